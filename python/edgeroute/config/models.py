"""What each name under `models` means: an alias of another name, or targets with fallbacks."""

from collections.abc import Collection, Container, Iterable, Mapping
from dataclasses import dataclass, replace

from edgeroute.config.schema import (
    AddedFallbacks,
    Config,
    Dialect,
    ListedTarget,
    Pool,
    Provider,
    Rule,
    TargetTimeouts,
    WeightedTarget,
)
from edgeroute.config.values import Url
from edgeroute.providers import CATALOGUE

_AS_DEFAULTS = TargetTimeouts()


@dataclass(frozen=True, slots=True)
class Target:
    """One way to serve a model. In a wildcard model, `model` may be or end in `*`."""

    provider: str
    model: str
    weight: int = 1
    timeouts: TargetTimeouts = _AS_DEFAULTS


@dataclass(frozen=True, slots=True)
class Model:
    """A name clients ask for: either `alias` names another, or `targets` serve it."""

    alias: str | None
    targets: tuple[Target, ...]
    weighted: bool
    fallbacks: tuple[str, ...]


def interpret(value: str | Pool, providers: Container[str]) -> Model:
    """A value under `models`. Text is a target if what stands before its first slash is a provider."""
    if isinstance(value, str):
        if value.partition("/")[0] in providers and "/" in value:
            return Model(None, (split_target(value),), False, ())
        return Model(value, (), False, ())
    if isinstance(value.targets, dict):
        weighted = tuple(_weighted(name, each) for name, each in value.targets.items())
        return Model(None, weighted, True, tuple(value.fallbacks))
    return Model(None, tuple(map(_listed, value.targets)), False, tuple(value.fallbacks))


def models_of(rule: Rule) -> dict[str, int]:
    """The models that a rule chooses among, with their weights."""
    return {rule.model: 1} if isinstance(rule.model, str) else rule.model or {}


def fallbacks_of(rule: Rule) -> list[str]:
    """The models that a rule lets follow, instead of the model's own fallbacks or after them."""
    return rule.fallbacks.add if isinstance(rule.fallbacks, AddedFallbacks) else rule.fallbacks or []


def split_target(text: str) -> Target:
    """`provider/model`, split at the first slash; without a slash the model is empty."""
    provider, _, model = text.partition("/")
    return Target(provider, model)


def match(name: str, models: Collection[str]) -> str | None:
    """The model that serves a name: the same name, else the longest wildcard that covers it."""
    if name in models:
        return name
    stem = name.removesuffix("*")
    covering = [each for each in models if each.endswith("*") and stem.startswith(each[:-1])]
    return max(covering, key=len, default=None)


def dialects_of_model(config: Config, name: str) -> tuple[Dialect, ...]:
    """The dialects that a model of a checked configuration serves, itself or by its fallbacks, sorted."""
    found: set[Dialect] = set()
    seen: set[str] = set()
    pending = [name]
    while pending:
        following = match(pending.pop(), config.models)
        if following is None or following in seen:
            continue
        seen.add(following)
        model = interpret(config.models[following], config.providers)
        pending += model.fallbacks if model.alias is None else [model.alias]
        for target in model.targets:
            dialect = dialect_of(target.provider, config.providers[target.provider])
            found.update([dialect] if dialect is not None else [])
    return tuple(sorted(found))


def dialect_of(name: str, provider: Provider) -> Dialect | None:
    """What a provider speaks: as it is configured, else as the catalogue knows."""
    known = CATALOGUE.get(name)
    return provider.dialect or (known.dialect if known else None)


def find_cycles(edges: Mapping[str, Iterable[str]]) -> list[list[str]]:
    """Each way round in a graph of names, its first name repeated at the end. Iterative: depth is input."""
    finished: set[str] = set()
    cycles: list[list[str]] = []
    for root in edges:
        if root in finished:
            continue
        trail, place = [root], {root: 0}
        pending = [iter(edges[root])]
        while pending:
            following = next(pending[-1], None)
            if following is None:
                pending.pop()
                finished.add(trail[-1])
                del place[trail.pop()]
            elif following in place:
                cycles.append([*trail[place[following] :], following])
            elif following in edges and following not in finished:
                place[following] = len(trail)
                trail.append(following)
                pending.append(iter(edges[following]))
    return cycles


def urls_of(name: str, provider: Provider) -> list[Url]:
    """Where a provider is reached, a URL for each replica: as it is configured, else as the catalogue knows."""
    known = CATALOGUE.get(name)
    urls = provider.urls or ([provider.url] if provider.url else [])
    return urls or ([Url(known.url)] if known else [])


def _weighted(name: str, value: int | WeightedTarget) -> Target:
    if isinstance(value, int):
        return replace(split_target(name), weight=value)
    return replace(split_target(name), weight=value.weight, timeouts=value.timeouts)


def _listed(value: str | ListedTarget) -> Target:
    if isinstance(value, str):
        return split_target(value)
    return replace(split_target(value.target), timeouts=value.timeouts)
