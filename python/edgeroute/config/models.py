"""What each name under `models` means: an alias of another name, or targets with fallbacks."""

from collections.abc import Collection, Container, Iterable, Mapping
from dataclasses import dataclass, replace

from edgeroute.config.schema import (
    AddedFallbacks,
    Config,
    Dialect,
    ListedTarget,
    Pool,
    Price,
    PromptCache,
    Provider,
    Replica,
    Rule,
    Strategy,
    TargetTimeouts,
    WeightedTarget,
)
from edgeroute.config.values import Secret, Url
from edgeroute.providers import CATALOGUE, catalogue_price

_AS_DEFAULTS = TargetTimeouts()
ORDERED = Strategy("ordered")
_WEIGHTED = Strategy("weighted")


@dataclass(frozen=True, slots=True)
class Target:
    """One way to serve a model. In a wildcard model, `model` may be or end in `*`."""

    provider: str
    model: str
    weight: int = 1
    timeouts: TargetTimeouts = _AS_DEFAULTS
    price: Price | None = None


@dataclass(frozen=True, slots=True)
class Model:
    """A name clients ask for: either `alias` names another, or `targets` serve it."""

    alias: str | None
    targets: tuple[Target, ...]
    strategy: Strategy
    fallbacks: tuple[str, ...]


def interpret(value: str | Pool, providers: Container[str]) -> Model:
    """A value under `models`. Text is a target if what stands before its first slash is a provider."""
    if isinstance(value, str):
        if value.partition("/")[0] in providers and "/" in value:
            return Model(None, (split_target(value),), ORDERED, ())
        return Model(value, (), ORDERED, ())
    if isinstance(value.targets, dict):
        weighted = tuple(_weighted(name, each) for name, each in value.targets.items())
        return Model(None, weighted, value.strategy or _WEIGHTED, tuple(value.fallbacks))
    return Model(None, tuple(map(_listed, value.targets)), value.strategy or ORDERED, tuple(value.fallbacks))


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


def replicas_of(name: str, provider: Provider) -> list[Replica]:
    """Where a provider is reached: as it is configured, else as the catalogue knows if nothing is to be discovered."""
    known = CATALOGUE.get(name)
    if provider.urls:
        return provider.urls
    if provider.url:
        return [Replica(provider.url)]
    return [Replica(Url(known.url))] if known and provider.discover is None else []


def known_as(name: str, provider: Provider) -> str | None:
    """The catalogue's name for a provider: that of whose URLs it has, or its own name if it names none."""
    if provider.discover is not None:
        return None
    urls = {replica.url for replica in replicas_of(name, provider)}
    return next((each for each, known in CATALOGUE.items() if urls == {known.url}), None)


def prompt_cache_of(name: str, provider: Provider) -> PromptCache | None:
    """How the prompt cache of a provider behaves: as it is configured, and where it is not as the catalogue knows."""
    catalogued = known_as(name, provider)
    known = CATALOGUE[catalogued].prompt_cache if catalogued else None
    own = provider.prompt_cache
    if known is None or own is None:
        return own or (PromptCache(known.lifetime_ms, known.least_tokens) if known else None)
    lifetime = known.lifetime_ms if own.lifetime is None else own.lifetime
    return PromptCache(lifetime, known.least_tokens if own.minimum is None else own.minimum)


def price_of(config: Config, target: Target) -> Price | None:
    """What a target charges: as it is configured, else as the catalogue knows."""
    provider = config.providers.get(target.provider)
    if target.price is not None or provider is None:
        return target.price
    catalogued = known_as(target.provider, provider)
    known = catalogue_price(catalogued, target.model) if catalogued else None
    return Price(known.input, known.output, known.cached_input) if known else None


def credentials_of(provider: Provider) -> list[Secret]:
    """The credentials of a provider; none if it has none."""
    return provider.api_keys or ([provider.api_key] if provider.api_key else [])


def _weighted(name: str, value: int | WeightedTarget) -> Target:
    if isinstance(value, int):
        return replace(split_target(name), weight=value)
    return replace(split_target(name), weight=value.weight, timeouts=value.timeouts, price=value.price)


def _listed(value: str | ListedTarget) -> Target:
    if isinstance(value, str):
        return split_target(value)
    return replace(split_target(value.target), timeouts=value.timeouts, price=value.price)
