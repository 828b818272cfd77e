"""Which replicas were found where: looks again and again, and keeps the last good answer.

A look-up that fails changes nothing, and neither does one that names nobody: what worked a moment ago probably still
does, and a pool without replicas surely does not.
"""

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from edgeroute.config import Config
from edgeroute.config.members import Member
from edgeroute.config.schema import Discovery as Discovered
from edgeroute.replicas.errands import Errands
from edgeroute.replicas.lookup import Kind, LookupFailedError, Source

_FILE_SECONDS = 0.5
"""Between two looks at a file, which cost little; new content counts once two looks have seen it."""
_MOST_LOOKUPS = 16
_log = logging.getLogger("edgeroute")

Found = Sequence[Member]


def sources(config: Config) -> list[Source]:
    """Where a configuration has replicas looked up."""
    return [
        Source(provider=name, kind=kind, place=place, every=found.every / 1000, nameserver=found.nameserver)
        for name, provider in config.providers.items()
        if (found := provider.discover) is not None
        for kind, place in _places(found)
    ]


def _places(found: Discovered) -> Iterator[tuple[Kind, str]]:
    if found.dns is not None:
        yield "dns", found.dns
    if found.srv is not None:
        yield "srv", found.srv
    if found.file is not None:
        yield "file", found.file


@dataclass
class _State:
    """What is known of a source."""

    next_at: float = 0.0
    found: Found = ()
    """The last answer that named somebody."""
    seen: Found | str | None = None
    """What the last look-up led to: who was named, or why nobody was; None before the first has ended."""
    trouble: str | None = None


class Discovery:
    """The sources in use, and what each named last. Times are `time.monotonic()` seconds; use it from one thread."""

    def __init__(self, done: Callable[[], None], look_up: Callable[[Source], Found]) -> None:
        """`done` is called, from any thread, when a look-up has ended: then `look`."""
        self._look_up = look_up
        self._errands: Errands[Source, Found] = Errands(_MOST_LOOKUPS, done)
        self._states: dict[Source, _State] = {}
        self.changes = 0
        """How often a source has named others than before."""

    def follow(self, wanted: Sequence[Source]) -> None:
        """Look at these sources from now on; what is known of those among them stays."""
        self._states = {each: self._states.get(each) or _State() for each in wanted}

    def look(self, now: float) -> None:
        """Take what look-ups have found, and begin those that are due."""
        for source, outcome in self._errands.collect():
            self._note(source, outcome)
        for source, state in self._states.items():
            if now >= state.next_at and self._errands.start(source, lambda source=source: self._look_up(source)):
                state.next_at = now + (_FILE_SECONDS if source.kind == "file" else source.every)

    def is_settled(self) -> bool:
        """Whether every source has been looked up at least once."""
        return all(state.seen is not None for state in self._states.values())

    def found(self, source: Source) -> Found:
        """What a source named last; nothing before its first answer."""
        state = self._states.get(source)
        return state.found if state else ()

    def described(self) -> list[dict[str, Any]]:
        """Each source for people and scripts; `trouble` says why the last look-up counts for nothing."""
        return [
            {
                "provider": source.provider, "source": str(source), "found": len(state.found), "trouble": state.trouble
            }
            for source, state in list(self._states.items())
        ]  # fmt: skip

    def _note(self, source: Source, outcome: Found | Exception) -> None:
        state = self._states.get(source)
        if state is None:  # the configuration has no such source any more
            return
        seen, state.seen = state.seen, _result(outcome)
        if source.kind == "file" and seen is not None and seen != state.seen:  # it may be half written
            return
        if isinstance(state.seen, str):
            self._trouble(source, state, state.seen)
            return
        if state.trouble is not None:
            _log.info("%s: replicas are found again by %s", source.provider, source)
        state.trouble = None
        if state.found != state.seen:
            _tell(source, state.found, state.seen)
            state.found = state.seen
            self.changes += 1

    def _trouble(self, source: Source, state: _State, trouble: str) -> None:
        """Say it when it is news."""
        if trouble != state.trouble:
            kept = f"the last {len(state.found)} stay in use" if state.found else "there are none"
            _log.warning("%s: no replicas are found by %s, and %s: %s", source.provider, source, kept, trouble)
        state.trouble = trouble


def _result(outcome: Found | Exception) -> Found | str:
    """Who was named, or why that counts for nothing."""
    if isinstance(outcome, LookupFailedError):
        return str(outcome)
    if isinstance(outcome, Exception):
        return repr(outcome)
    return outcome or "it names no replica"


def _tell(source: Source, before: Found, after: Found) -> None:
    old, new = {each.name for each in before}, {each.name for each in after}
    changes = [f"+ {name}" for name in sorted(new - old)] + [f"- {name}" for name in sorted(old - new)]
    if changes:
        _log.info("%s: %s names %d replicas: %s", source.provider, source, len(after), ", ".join(changes[:20]))
