"""What operators change of the replicas while the router runs: an overlay over what is configured and discovered.

It lives in the supervisor and is gone with it: what is to stay belongs into the configuration.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import islice
from typing import Annotated, Literal

import msgspec

from edgeroute.config import Config
from edgeroute.config.diagnostics import nearest
from edgeroute.config.members import Member, Members, published_url
from edgeroute.config.schema import Weight
from edgeroute.config.values import Malformed, Url

Action = Literal["add", "drain", "undrain", "remove", "weight"]

_SHOWN = 8


class Command(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A change that somebody asks for."""

    action: Action
    provider: str
    replica: Annotated[str, msgspec.Meta(max_length=2000)]
    """Its base URL; `URL@address` for one of several addresses that were discovered."""
    weight: Weight | None = None
    """For `weight` its share of requests, and for `add` if it is not 1."""


class Change(msgspec.Struct, frozen=True):
    """How one replica differs from what is configured and discovered; never all of it as by default."""

    added: bool = False
    """It need not be anywhere else; then its name is its URL."""
    removed: bool = False
    drained: bool = False
    weight: int | None = None


Overlay = Mapping[tuple[str, str], Change]
"""What was changed, by provider and replica."""


class RefusedError(ValueError):
    """A command that cannot be followed: why, and what to do instead."""


def follow(command: Command, config: Config, given: Members, overlay: Overlay) -> Overlay:
    """The overlay after a command; `given` is what is configured and discovered. Raises RefusedError."""
    provider = config.providers.get(command.provider)
    if provider is None:
        near = nearest(command.provider, config.providers)
        raise RefusedError(f"there is no provider {command.provider!r}; {_choice(near, config.providers)}")
    if command.weight is None and command.action == "weight":
        raise RefusedError("a weight is missing: give a number from 1; `drain` stops new requests")
    if command.weight is not None and command.action not in ("weight", "add"):
        raise RefusedError(f"`{command.action}` takes no weight; leave it out")
    if command.action == "add":
        try:
            name = published_url(command.provider, provider, Url.parse(command.replica))
        except Malformed as problem:
            # Not the URL itself: what is wrong with it may be a credential in it.
            raise RefusedError(f"this URL cannot be a replica: {problem}") from None
    else:
        name = command.replica.rstrip("/")
    key = (command.provider, name)
    here = {each.name: each for each in given[command.provider]}
    others = [each.name for each in overlaid(given, overlay)[command.provider]]
    change = _next(command, here.get(name), overlay.get(key), name, others)
    after = {each: old for each, old in overlay.items() if each != key}
    if change != Change():
        after[key] = change
    _check_rest(command, overlaid(given, after)[command.provider])
    return after


def overlaid(given: Members, overlay: Overlay) -> Members:
    """The replicas of each provider as they are to be: what is configured and discovered, with the overlay."""
    return {provider: list(_overlaid(provider, members, overlay)) for provider, members in given.items()}


def described(given: Members, overlay: Overlay) -> list[dict[str, str | bool]]:
    """What was changed, for people and scripts: `fits` is false for what has no effect now."""
    found: list[dict[str, str | bool]] = []
    for (provider, name), change in overlay.items():
        is_given = any(each.name == name for each in given.get(provider, ()))
        fits = provider in given and (is_given or change.added)
        found.append({"provider": provider, "replica": name, "change": _words(change, is_given), "fits": fits})
    return found


def misfits(given: Members, overlay: Overlay) -> list[str]:
    """A sentence for each change that has no effect now."""
    return [
        f"{each['provider']}: {each['replica']} is not there, so that it is {each['change']} has no effect"
        for each in described(given, overlay)
        if not each["fits"]
    ]


def _next(command: Command, given: Member | None, old: Change | None, name: str, others: Collection[str]) -> Change:
    """What the overlay says of a replica after a command."""
    change = old or Change()
    is_there = (given is not None or change.added) and not change.removed
    if command.action == "add":
        if is_there:
            raise RefusedError(f"{command.provider} has {name} already; `weight` changes its share")
        return Change(added=given is None, weight=command.weight)
    if not is_there:
        raise RefusedError(f"{command.provider} has no such replica; {_choice(None, others)}")
    match command.action:
        case "remove":
            return Change() if given is None else Change(removed=True)
        case "drain":
            return msgspec.structs.replace(change, drained=True)
        case "undrain":
            if not change.drained and given is not None and given.weight == 0 and change.weight is None:
                raise RefusedError(f"the configuration drains {name}: give it a weight instead")
            return msgspec.structs.replace(change, drained=False)
        case "weight":
            return msgspec.structs.replace(change, weight=command.weight)


def _check_rest(command: Command, members: Sequence[Member]) -> None:
    """No change may leave a provider without a replica that takes requests."""
    if command.action in ("drain", "remove") and not any(each.weight for each in members):
        raise RefusedError(
            f"{command.replica} is the last replica of {command.provider} that takes requests; add another first, "
            f"or take {command.provider} out of the configuration"
        )


def _overlaid(provider: str, members: Sequence[Member], overlay: Overlay) -> Iterator[Member]:
    names = {each.name for each in members}
    for each in members:
        change = overlay.get((provider, each.name), Change())
        if not change.removed:
            yield _changed(each, change)
    for (of, name), change in overlay.items():
        if of == provider and change.added and name not in names:
            yield _changed(Member(url=Url(name)), change)


def _changed(member: Member, change: Change) -> Member:
    weight = member.weight if change.weight is None else change.weight
    return msgspec.structs.replace(member, weight=0 if change.drained else weight)


def _words(change: Change, is_given: bool) -> str:
    if change.removed:
        return "removed"
    words = ["added"] if change.added and not is_given else []
    words += ["drained"] if change.drained else []
    words += [f"weighted {change.weight}"] if change.weight is not None else []
    return ", ".join(words) or "added"


def _choice(near: str | None, names: Collection[str]) -> str:
    if near:
        return f'did you mean "{near}"?'
    more = f", … ({len(names)} in all)" if len(names) > _SHOWN else ""
    return f"there is {', '.join(islice(names, _SHOWN))}{more}" if names else "there is none"
