"""What an import found, in our words and independent of the gateway it came from."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from fractions import Fraction
from itertools import count
from math import gcd, lcm

from edgeroute.config.models import match
from edgeroute.config.variables import is_text
from edgeroute.config.virtual_key import hash_key
from edgeroute.config.vocabulary import foreign_variable
from edgeroute.migrate.report import Place, Report
from edgeroute.providers import CATALOGUE

_PLACEHOLDERS = {"", "none", "null", "dummy", "fake", "fake-key", "my-fake-key", "empty", "anything", "no-key", "na"}
_MODEL_NAME = re.compile(r"[!-)+-~][!-)+-~]{0,198}\*?|\*")
_MOST_WEIGHT = 1_000_000

Timeouts = dict[str, int]
"""`connect`, `first_byte`, `gap`, `total` in milliseconds."""


@dataclass(frozen=True, slots=True)
class Provider:
    """An account somewhere. Two with the same settings are one, whatever their place."""

    base: str
    dialect: str | None
    url: str | None
    api_keys: tuple[str, ...] = ()
    headers: tuple[tuple[str, str], ...] = ()
    proxy: str | None = None
    comment: str = field(default="", compare=False)


@dataclass(slots=True)
class Target:
    """One way to serve a model; `weight` as it was found, 0 if it must not be drawn; `price` per million tokens."""

    name: str
    weight: float = 1
    order: float = 0
    timeouts: Timeouts = field(default_factory=Timeouts)
    price: dict[str, float] = field(default_factory=dict[str, float])


@dataclass(slots=True)
class Model:
    """A public name: an alias, or targets with fallbacks, each of which may know where it was found."""

    alias: str | None = None
    targets: list[Target] = field(default_factory=list[Target])
    ordered: bool = False
    strategy: str | None = None
    fallbacks: dict[str, Place] = field(default_factory=dict[str, Place])
    places: list[Place] = field(default_factory=list[Place])


@dataclass(frozen=True, slots=True)
class Rule:
    """A condition that chooses a model; `comment` is the condition it was made from."""

    name: str
    when: str
    model: str
    comment: str
    place: Place


Limits = dict[str, int]
"""`requests_per_minute`, `tokens_per_minute`, `concurrency`."""


@dataclass(slots=True)
class Team:
    """Who shares models (all, if None) and limits."""

    models: list[str] | None = None
    limits: Limits = field(default_factory=Limits)


@dataclass(slots=True)
class VirtualKey:
    """A client's credential: its hash, or a variable that will hold the hash."""

    hash: str
    team: str | None = None
    limits: Limits = field(default_factory=Limits)
    comment: str = ""


@dataclass(slots=True)
class Draft:
    """The configuration that an import makes."""

    report: Report = field(default_factory=Report)
    settings: dict[str, str] = field(default_factory=dict[str, str])
    attempts: int | None = None
    timeouts: Timeouts = field(default_factory=Timeouts)
    cache: dict[str, str | int] = field(default_factory=dict[str, str | int])
    """`mode`, and `ttl` in milliseconds, of the cache that every model gets; none without."""
    redis: str | None = None
    providers: dict[str, Provider] = field(default_factory=dict[str, Provider])
    models: dict[str, Model] = field(default_factory=dict[str, Model])
    rules: list[Rule] = field(default_factory=list[Rule])
    teams: dict[str, Team] = field(default_factory=dict[str, Team])
    virtual_keys: dict[str, VirtualKey] = field(default_factory=dict[str, VirtualKey])
    reserved: set[str] = field(default_factory=set[str])
    """Names of variables that the file reads."""
    _variables: dict[tuple[str, str], str] = field(default_factory=dict[tuple[str, str], str])

    def provider(self, wanted: Provider) -> str:
        """The name of a provider with these settings, added if it is new: `openai`, `openai-2` …"""
        for name, known in self.providers.items():
            if known == wanted:
                return name
        name = unique(wanted.base, self.providers)
        self.providers[name] = wanted
        return name

    def credential(self, text: str, place: Place, variable: str) -> str | None:
        """A credential as `${NAME}`. One that is written out is not copied; a placeholder is none at all."""
        named = foreign_variable(text)
        if named is not None:
            return f"${{{named}}}"
        if is_placeholder(text):
            return None
        name = self._variables.get((variable, text))
        if name is None:  # numbered, so that it cannot be a variable that the file or the gateway means by itself
            number = next(each for each in count(1) if f"{variable}_{each}" not in self.reserved)
            name = self._variables[variable, text] = f"{variable}_{number}"
            self.reserved.add(name)
        reason = "a credential is written into the file; it was not copied"
        self.report.changed(place, reason, f"export {name} with it before starting edgeroute")
        return f"${{{name}}}"

    def key_hash(self, text: str, place: Place, environ: Mapping[str, str]) -> str:
        """The hash of a virtual key. If only the environment has the key, and not now, a variable for the hash."""
        variable = foreign_variable(text)
        if variable is None:
            return hash_key(text)
        key = environ.get(variable)
        if key and is_text(key):
            return hash_key(key)
        missing = "UTF-8 text" if key else "set here"
        reason = f"the key is in {variable}, which is not {missing}, so its hash is read from {variable}_HASH"
        command = f'"sha256:$(printf %s "${variable}" | sha256sum | cut -c1-64)"'
        self.report.changed(place, reason, f"export {variable}_HASH={command}")
        return f"${{{variable}_HASH}}"

    def has_expired(self, expiry: str, place: Place, now: datetime) -> bool:
        """Whether a key must be left out because of its expiry, which is reported; UTC unless it says otherwise.

        One that cannot be read counts as past: a key that is missing is noticed, one that stays for ever is not.
        """
        try:
            time = datetime.fromisoformat(expiry)
        except ValueError:
            advice = "write it as in 2030-01-31T12:00:00Z, or add the key yourself"
            self.report.left_out(place, "the key expires at a time that cannot be read; the key is left out", advice)
            return True
        if (time if time.tzinfo else time.replace(tzinfo=UTC)) <= now:
            self.report.left_out(place, "the key has expired", "nobody can use it")
            return True
        advice = "remove the key from the file at that time"
        self.report.changed(place, f"virtual keys do not expire here; this one would on {time:%Y-%m-%d}", advice)
        return False

    def somebody_may_call(self, place: Place) -> None:
        """Without any key nobody could call; then one is left to be filled in."""
        if not self.virtual_keys:
            advice = "make one with `edgeroute keys new` and export EDGEROUTE_KEY_HASH with its hash"
            self.report.changed(place, "the file has no key of a client; edgeroute serves nobody without one", advice)
            self.virtual_keys["default"] = VirtualKey("${EDGEROUTE_KEY_HASH}")

    def add_fallbacks(self, name: str, fallbacks: list[tuple[str, Place]]) -> None:
        """Adds fallbacks to a model; those that do not exist or would go in a circle are reported."""
        model = self.models[name]
        for fallback, place in fallbacks:
            if match(fallback, self.models) is None:
                self.report.left_out(place, f'there is no model "{fallback}" to fall back to', "name a model")
            elif self._leads_to(fallback, name):
                reason = f'falling back from "{name}" to "{fallback}" would go round in a circle'
                self.report.left_out(place, reason, "put what both should fall back to last into a third model")
            elif fallback not in model.fallbacks:
                model.fallbacks[fallback] = place

    def _leads_to(self, start: str, goal: str) -> bool:
        """Whether a request for a model may end at another one, by aliases and fallbacks."""
        pending, seen = [start], set[str]()
        while pending:
            name = match(pending.pop(), self.models)
            if name is None or name in seen:
                continue
            if name == goal:
                return True
            seen.add(name)
            model = self.models[name]
            pending += model.fallbacks if model.alias is None else [model.alias]
        return False

    def dialect(self, target: Target) -> str | None:
        """What a target's provider speaks."""
        name = target.name.partition("/")[0]
        return self.providers[name].dialect or CATALOGUE[name].dialect


def is_placeholder(credential: str) -> bool:
    """Whether a credential is only there because something had to be."""
    return credential.strip().lower() in _PLACEHOLDERS


def unique(name: str, taken: Mapping[str, object]) -> str:
    """The name, or the first of `name-2`, `name-3` … that is free."""
    number, found = 1, name
    while found in taken:
        number += 1
        found = f"{name}-{number}"
    return found


def slug(text: str, otherwise: str) -> str:
    """A text as a rule's name: lower-case letters, digits and hyphens."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:50] or otherwise


def name_of(text: str, otherwise: str) -> str:
    """A text as the name of a team, a key or a provider."""
    name = re.sub(r"[^A-Za-z0-9._@-]+", "-", text).strip("-._@")[:60]
    return re.sub(r"^env\.", "env-", name) or otherwise


def is_model_name(text: str) -> bool:
    """Whether a text can be the name of a model, here or at a provider."""
    return _MODEL_NAME.fullmatch(text) is not None and "$" not in text and foreign_variable(text) is None


def proportions(weights: list[float]) -> list[int]:
    """The smallest whole numbers in these proportions; each at least 1."""
    exact = [Fraction(str(each)).limit_denominator(1000) if each > 0 else Fraction(0) for each in weights]
    scale = lcm(*(each.denominator for each in exact))
    whole = [int(each * scale) for each in exact]
    divisor = max(gcd(*whole), 1)
    most = max(max(whole) // divisor, 1)
    shrink = max(most, _MOST_WEIGHT) / _MOST_WEIGHT
    return [max(1, round(each // divisor / shrink)) for each in whole]


def milliseconds(seconds: float) -> int:
    """A time in seconds as our timeouts take it: 1 ms to 24 h."""
    return min(max(1, round(seconds * 1000)), 24 * 3_600_000)
