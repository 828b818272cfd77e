"""Teams and virtual keys of a draft. With us a team says which models may be asked for, so a key with models of
its own gets a team of its own: what a key could not reach before, it cannot reach after.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from edgeroute.config.models import match
from edgeroute.migrate.draft import Draft, Limits, Team, VirtualKey, name_of, unique
from edgeroute.migrate.report import Place


@dataclass(frozen=True, slots=True)
class ForeignTeam:
    """A team of the other gateway; `models` is None if it may use all."""

    name: str
    models: tuple[str, ...] | None
    limits: Limits


class Access:
    """Collects teams, and makes those of them that a key uses."""

    def __init__(self, draft: Draft) -> None:
        self._draft = draft
        self._foreign: dict[str, ForeignTeam] = {}
        self._made: dict[tuple[str | None, tuple[str, ...] | None], str] = {}

    def add_team(self, identifier: str, team: ForeignTeam) -> None:
        """Takes note of a team; it is made when a key belongs to it."""
        self._foreign.setdefault(identifier, team)

    def knows(self, identifier: str) -> bool:
        """Whether a team has been added."""
        return identifier in self._foreign

    def teams_of(self, identifier: str) -> list[str]:
        """Our teams that a team of the other gateway became."""
        return [name for (owner, _), name in self._made.items() if owner == identifier]

    def allowed(self, models: Iterable[tuple[str, Place]]) -> tuple[str, ...]:
        """Those of the models that exist; the others are reported."""
        found: list[str] = []
        for model, place in models:
            if match(model, self._draft.models) is None:
                self._draft.report.left_out(place, f'there is no model "{model}" to allow', "nobody can use it")
            elif model not in found:
                found.append(model)
        return tuple(found)

    def add_key(
        self, name: str, key: VirtualKey, team: str | None, models: tuple[str, ...] | None, place: Place
    ) -> str | None:
        """Adds a key; `models` is None if it may use all that its team may. Gives its name, None if it was left out."""
        report = self._draft.report
        foreign = self._foreign.get(team) if team is not None else None
        if foreign is not None and foreign.models is not None:
            models = foreign.models if models is None else tuple(each for each in models if match(each, foreign.models))
        if models == ():
            report.left_out(place, "this key may use no model that is left", "give it a model, and import again")
            return None
        if any(other.hash == key.hash for other in self._draft.virtual_keys.values()):
            report.left_out(place, "another virtual key has the same hash", "keep one of them")
            return None
        name = unique(name_of(name, "key"), self._draft.virtual_keys)
        key.team = self._team(team, models, name, place)
        self._draft.virtual_keys[name] = key
        return name

    def _team(self, identifier: str | None, models: tuple[str, ...] | None, key: str, place: Place) -> str | None:
        """The team of ours for a key; one team of theirs becomes several if its keys may use different models."""
        foreign = self._foreign.get(identifier) if identifier is not None else None
        if models is None and foreign is None:
            return None
        known = self._made.get((identifier, models))
        if known is not None:
            return known
        base = key if foreign is None else foreign.name
        if foreign is not None and self.teams_of(identifier or ""):
            base = f"{foreign.name}.{key}"
            reason = "a team says which models may be asked for, so this key has a team of its own"
            if foreign.limits:
                reason += ", with the limits of the old one for itself"
            self._draft.report.changed(place, reason, "put keys that may use the same models into one team")
        name = unique(name_of(base, "team"), self._draft.teams)
        self._made[identifier, models] = name
        limits = dict(foreign.limits) if foreign is not None else {}
        self._draft.teams[name] = Team(list(models) if models is not None else None, limits)
        return name
