"""The cache as operators see it: what is in it, how often it answers, and how to get rid of answers.

The supervisor has a way of its own into the store, beside those of the workers, which follow what it removes.
"""

import hashlib
import logging
import re
import time
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal, cast

import msgspec

from edgeroute._native import ModelEvidence, Store, least_share
from edgeroute.config import Config
from edgeroute.config.caches import cache_path, has_cache, model_caches
from edgeroute.config.diagnostics import nearest, suggest
from edgeroute.config.models import interpret, match
from edgeroute.config.values import parse_quantity
from edgeroute.telemetry import Sample

_LONGEST_LABEL = 48
_KEPT_OF_LABEL = 39
_SAMPLE = re.compile(r"edgeroute_cache_(requests|refused|evictions|dropped)_total(?:\{(.*)\})?")
_LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')
_GRAIN = 64 << 10
"""Sizes of the file are multiples of it."""
_NO_CACHE = "no model and no rule of the configuration has a cache"
_ANSWERED = ("hit", "semantic", "joined")

By = Literal["key", "virtual_key", "team", "everybody", "model", "older_than", "all"]
Text = Annotated[str, msgspec.Meta(min_length=1, max_length=200)]

_log = logging.getLogger("edgeroute")


class PurgeCommand(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which answers somebody wants to be gone: one of these is given."""

    key: Text | None = None
    """The one with this key, 32 hexadecimal digits, as `edgeroute explain` shows it."""
    virtual_key: Text | None = None
    team: Text | None = None
    everybody: bool = False
    """Those that everybody shares."""
    model: Text | None = None
    older_than: Text | None = None
    """Those that were stored longer ago than this, as in `1h`."""
    all: bool = False


class Purged(msgspec.Struct, frozen=True):
    """What became of a purge."""

    result: Literal["applied", "unchanged", "invalid", "unconfirmed"]
    entries: int
    """How many there were."""
    message: str


@dataclass(frozen=True, slots=True)
class _Place:
    """With what a store is opened."""

    path: str
    bytes: int
    entries: int
    redis: str | None

    @staticmethod
    def of(config: Config, environ: Mapping[str, str]) -> "_Place | None":
        path = cache_path(config, environ) if has_cache(config) else None
        cache = config.cache
        redis = cache.redis.reveal() if cache.redis else None
        return None if path is None else _Place(path, cache.size, cache.entries, redis)

    def open(self) -> Store:
        return Store(self.path, self.bytes, self.entries, self.redis)


class Caches:
    """The store of the current configuration. One thread follows it; others may ask and purge."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ
        self._open: tuple[_Place, Store] | None = None
        self._looks_at_size = False

    def follow(self, config: Config) -> None:
        """Have the store open that a configuration names, and tell what is wrong with it. Call it often."""
        wanted = _Place.of(config, self._environ)
        if wanted != (self._open and self._open[0]):
            self._open = wanted and (wanted, wanted.open())
            self._looks_at_size = True
        if self._open is not None:
            for warning in self._open[1].take_warnings():
                _log.warning("cache: %s", warning)
            if self._looks_at_size:
                self._look_at_size(*self._open)

    def _look_at_size(self, place: _Place, store: Store) -> None:
        """Workers have the file open, and with it its size, before and after a reload."""
        found = store.statistics()
        if not found.available:
            return
        self._looks_at_size = False
        if place.bytes - found.most_bytes >= _GRAIN:
            sentence = "cache: the file in %s stays at %d KiB, not cache.size (%d KiB), while it is open: restart"
            _log.warning(sentence, place.path, found.most_bytes >> 10, place.bytes >> 10)

    def purge(self, command: PurgeCommand, config: Config) -> Purged:
        """Remove answers, and wait until they are gone."""
        if self._open is None:
            return Purged("invalid", 0, f"there is nothing to purge: {_NO_CACHE}")
        place, store = self._open
        try:
            by, name, stored_before_ms = _selected(command)
        except ValueError as error:
            return Purged("invalid", 0, str(error))
        if not store.statistics().available:
            message = f"nothing was purged: there is no store in {place.path} at present, the log says why"
            return Purged("invalid", 0, f"{message}; until there is, workers give again what they have in memory")
        try:
            names = _models(name, config) if by == "model" else [name]
            outcomes = [store.purge(by, each, stored_before_ms) for each in names]
        except ValueError as error:
            return Purged("invalid", 0, str(error))
        entries, states = sum(entries for entries, _ in outcomes), {state for _, state in outcomes}
        if "failed" in states:
            message = "the purge could not be done, the log says why: what is to go may still be there; purge again"
            return Purged("unconfirmed", 0, message)
        if "waiting" in states:
            message = f"{_counted(entries)} will be purged, and are not all gone yet; should it fail, the log says so"
            return Purged("unconfirmed", entries, message)
        _log.info("cache: purged by %s: %s", by.replace("_", " "), _counted(entries))
        if entries == 0 and names == [name] and (unknown := _unknown(by, name, config)) is not None:
            return Purged("invalid", 0, unknown)
        whose = f" of {' and '.join(names[1:])}" if names[1:] else ""
        message = f"purged {_counted(entries)}{whose}; workers follow within 0.1 s" if entries else "nothing to purge"
        return Purged("applied" if entries else "unchanged", entries, message)

    def samples(self) -> list[Sample]:
        """How much there is, over all workers."""
        if self._open is None:
            return []
        found = self._open[1].statistics()
        return [("edgeroute_cache_entries", found.entries), ("edgeroute_cache_bytes", found.bytes)]

    def summary(self, counted: Iterable[Sample]) -> dict[str, Any] | None:
        """The store, and the share of answers, as JSON can hold them; None without a cache."""
        if self._open is None:
            return None
        place, store = self._open
        found = store.statistics()
        results = sum(_Counts(counted).requests.values(), Counter[str]())
        return {
            "path": place.path,
            "available": found.available,
            "entries": found.entries,
            "most_entries": place.entries,
            "bytes": found.bytes,
            "most_bytes": found.most_bytes,
            "redis": place.redis is not None,
            "hit_share": _hit_share(results),
        }

    def report(self, config: Config, counted: Iterable[Sample]) -> dict[str, Any]:
        """All there is to know, as JSON can hold it; `counted` are the workers' samples."""
        counted = list(counted)
        counts = _Counts(counted)
        caches = model_caches(config)
        by_label = {_label(name): name for name in config.models}
        names = list(dict.fromkeys([*caches, *(by_label.get(each, each) for each in counts.requests)]))
        store = self._open[1] if self._open else None
        entries = dict(zip(names, store.entries_of(names), strict=True)) if store else {}
        evidence = dict(zip(names, store.evidence_of(names), strict=True)) if store else {}
        models: list[dict[str, Any]] = []
        for name in names:
            cache, results = caches.get(name), counts.requests[_label(name)]
            models.append(
                {
                    "model": name,
                    "mode": cache.mode if cache else None,
                    "serve": cache.serve if cache and cache.mode == "semantic" else None,
                    "entries": entries.get(name, 0),
                    **{result: results[result] for result in (*_ANSWERED, "miss", "bypass")},
                    "hit_share": _hit_share(results),
                    "evidence": _evidence([evidence[name]] if name in evidence else []),
                }
            )
        return {
            "store": self.summary(counted),
            "models": models,
            "refused": dict(sorted(counts.refused.items())),
            "evidence": _evidence(evidence.values()),
            "evictions": counts.evictions,
            "dropped": counts.dropped,
        }


class _Counts:
    """What workers have counted of the cache since the memory file was made."""

    def __init__(self, counted: Iterable[Sample]) -> None:
        self.requests: defaultdict[str, Counter[str]] = defaultdict(Counter)
        self.refused: Counter[str] = Counter()
        self.evictions = 0
        self.dropped = 0
        for name, value in counted:
            found = _SAMPLE.fullmatch(name)
            if found is None:
                continue
            labels = {label: re.sub(r"\\(.)", r"\1", text) for label, text in _LABEL.findall(found[2] or "")}
            match found[1]:
                case "requests":
                    self.requests[labels.get("model", "")][labels.get("result", "")] += int(value)
                case "refused":
                    self.refused[labels.get("reason", "")] += int(value)
                case "evictions":
                    self.evictions += int(value)
                case _:
                    self.dropped += int(value)


def _selected(command: PurgeCommand) -> tuple[By, str, int]:
    """By what is purged, its name, and before which Unix time in milliseconds. Raises ValueError."""
    given = {by: value for by, value in msgspec.structs.asdict(command).items() if value not in (None, False)}
    if len(given) != 1:
        names = ", ".join(command.__struct_fields__)
        raise ValueError(f"say what is to be purged: one of {names}{'' if not given else ', and not several'}")
    [(by, name)] = cast(dict[By, Any], given).items()
    if command.older_than is None:
        return by, name if isinstance(name, str) else "", 0
    try:
        age_ms = parse_quantity(command.older_than, "milliseconds")
    except ValueError as error:
        raise ValueError(f"older_than must be {error}") from None
    return by, "", max(0, time.time_ns() // 1_000_000 - age_ms)


def _models(name: str, config: Config) -> list[str]:
    """A name, and the models that answer for it: their names are what answers are purged by."""
    found = [name]
    for given in (name, *(team.aliases[name] for team in config.teams.values() if name in team.aliases)):
        following = match(given, config.models)
        while following is not None:
            alias = interpret(config.models[following], config.providers).alias
            if alias is None:
                found.append(following)
                break
            following = match(alias, config.models)
    return list(dict.fromkeys(found))


def _unknown(by: By, name: str, config: Config) -> str | None:
    """What to say of a name that the configuration does not have, or None."""
    known: Collection[str]
    match by:
        case "model":
            known = config.models
        case "team":
            known = config.teams
        case "virtual_key":
            known = config.virtual_keys
        case _:
            return None
    if name in known:
        return None
    word = by.replace("_", " ")
    return f'there is no {word} "{name}", and no answer of one; {suggest(nearest(name, known), known, f"{word}s are")}'


def _evidence(observed: Collection[ModelEvidence]) -> dict[str, Any]:
    correct, wrong = sum(each.correct for each in observed), sum(each.wrong for each in observed)
    return {
        "correct": correct,
        "wrong": wrong,
        "unknown": sum(each.unknown for each in observed),
        "least_correct": round(least_share(correct, wrong), 4) if correct + wrong else None,
        "serving": any(each.serving for each in observed),
    }


def _label(name: str) -> str:
    """A model's name as metrics have it: long ones are cut."""
    if len(name) <= _LONGEST_LABEL:
        return name
    return f"{name[:_KEPT_OF_LABEL]}~{hashlib.sha256(name.encode()).hexdigest()[:8]}"


def _hit_share(results: Mapping[str, int]) -> float | None:
    """The share of answers from the cache among the requests that asked it."""
    answered = sum(results.get(each, 0) for each in _ANSWERED)
    asked = answered + results.get("miss", 0)
    return round(answered / asked, 4) if asked else None


def _counted(entries: int) -> str:
    return "1 entry" if entries == 1 else f"{entries} entries"
