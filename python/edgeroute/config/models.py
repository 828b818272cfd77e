"""What each name under `models` means: an alias of another name, or targets with fallbacks."""

from collections.abc import Collection, Container, Iterable, Mapping
from dataclasses import dataclass

from edgeroute.config.schema import Pool


@dataclass(frozen=True, slots=True)
class Target:
    """One way to serve a model. In a wildcard model, `model` may be or end in `*`."""

    provider: str
    model: str
    weight: int = 1


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
    weights = value.targets if isinstance(value.targets, dict) else dict.fromkeys(value.targets, 1)
    targets = tuple(split_target(each, weight) for each, weight in weights.items())
    return Model(None, targets, isinstance(value.targets, dict), tuple(value.fallbacks))


def split_target(text: str, weight: int = 1) -> Target:
    """`provider/model`, split at the first slash; without a slash the model is empty."""
    provider, _, model = text.partition("/")
    return Target(provider, model, weight)


def match(name: str, models: Collection[str]) -> str | None:
    """The model that serves a name: the same name, else the longest wildcard that covers it."""
    if name in models:
        return name
    stem = name.removesuffix("*")
    covering = [each for each in models if each.endswith("*") and stem.startswith(each[:-1])]
    return max(covering, key=len, default=None)


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
