"""Teams and virtual keys of a draft. With us a team says which models may be asked for, so keys of one team that may
use different models need teams of their own, or share what each of them may use: what a key could not reach before,
it cannot reach after, and a team's limits are not multiplied.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from edgeroute.config.models import match
from edgeroute.migrate.draft import Draft, Limits, Team, VirtualKey, name_of, unique
from edgeroute.migrate.report import Place

Models = tuple[str, ...] | None
"""Names that may be asked for; None if all."""


@dataclass(frozen=True, slots=True)
class ForeignTeam:
    """A team of the other gateway; `models` is None if it may use all."""

    name: str
    models: Models
    limits: Limits
    place: Place


@dataclass(slots=True)
class _Owner:
    """A foreign team and its keys, with the models that each may use and where it stands."""

    team: ForeignTeam
    keys: dict[str, tuple[Models, Place]] = field(default_factory=dict[str, tuple[Models, Place]])
    made: list[str] = field(default_factory=list[str])


class Access:
    """Collects teams and keys; then makes those of the teams that a key uses."""

    def __init__(self, draft: Draft) -> None:
        self._draft = draft
        self._report = draft.report
        self._owners: dict[str, _Owner] = {}
        self._without_team: dict[Models, str] = {}

    def add_team(self, identifier: str, team: ForeignTeam) -> None:
        """Takes note of a team."""
        self._owners.setdefault(identifier, _Owner(team))

    def knows(self, identifier: str) -> bool:
        """Whether a team has been added."""
        return identifier in self._owners

    def teams_of(self, identifier: str) -> list[str]:
        """Our teams that a team of the other gateway became."""
        return self._owners[identifier].made if identifier in self._owners else []

    def allowed(self, models: Iterable[tuple[str, Place]]) -> tuple[str, ...]:
        """Those of the models that exist; the others are reported."""
        found: list[str] = []
        for model, place in models:
            if match(model, self._draft.models) is None:
                self._report.left_out(place, f'there is no model "{model}" to allow', "nobody can use it")
            elif model not in found:
                found.append(model)
        return tuple(found)

    def add_key(self, name: str, key: VirtualKey, team: str | None, models: Models, place: Place) -> str | None:
        """Adds a key; `models` is None if it may use all that its team may. Gives its name, None if it was left out."""
        owner = self._owners.get(team) if team is not None else None
        if owner is not None and owner.team.models is not None:
            own = owner.team.models
            models = own if models is None else tuple(each for each in models if match(each, own))
        if models == ():
            self._report.left_out(place, "this key may use no model that is left", "give it a model, and import again")
            return None
        if any(other.hash == key.hash for other in self._draft.virtual_keys.values()):
            self._report.left_out(place, "another virtual key has the same hash", "keep one of them")
            return None
        ours = self._named(name, "key", self._draft.virtual_keys, place)
        self._draft.virtual_keys[ours] = key
        if owner is not None:
            owner.keys[ours] = models, place
        elif models is not None:
            if models not in self._without_team:
                self._without_team[models] = unique(ours, self._draft.teams)
                self._draft.teams[self._without_team[models]] = Team(list(models))
            key.team = self._without_team[models]
        return ours

    def make_teams(self) -> None:
        """Makes the teams, when all keys are there."""
        for owner in self._owners.values():
            groups: dict[frozenset[str] | None, list[str]] = {}
            for key, (models, _) in owner.keys.items():
                groups.setdefault(None if models is None else frozenset(models), []).append(key)
            if not groups:
                continue
            common = _common([models for models, _ in owner.keys.values()])
            if len(groups) > 1 and owner.team.limits and common:
                self._narrow(owner, common)
            else:
                self._split(owner, list(groups.values()))

    def _narrow(self, owner: _Owner, common: tuple[str, ...]) -> None:
        """One team with what each of its keys may use, since two would have its limits twice."""
        name = self._make(owner, self._team_name(owner), common, owner.team.limits, list(owner.keys))
        reason = (
            f'the keys of team "{name}" may use different models, and several teams would have its limits several '
            f"times; all its keys may now use only what each might: {', '.join(common)}"
        )
        advice = (
            "to give the others more, add it to the team's models, and reject it by a rule for those that may not: "
            'when: \'virtual_key_name == "KEY" && model == "MODEL"\', reject: MESSAGE'
        )
        for models, place in owner.keys.values():
            if models is None or set(models) != set(common):
                self._report.changed(place, reason, advice)

    def _split(self, owner: _Owner, groups: list[list[str]]) -> None:
        """A team for each group of keys that may use the same; the team's own list stays under its own name."""
        own = owner.team.models
        limits = {name: max(1, most // len(groups)) for name, most in owner.team.limits.items()}
        name = self._team_name(owner)
        groups.sort(key=lambda keys: not _same(owner.keys[keys[0]][0], own))
        keep = own is not None and not _same(owner.keys[groups[0][0]][0], own)
        if keep:
            self._make(owner, name, own, limits, [])
        for keys in groups:
            models, _ = owner.keys[keys[0]]
            if not owner.made:
                self._make(owner, name, models, limits, keys)
                continue
            made = self._make(owner, unique(f"{name}.{keys[0]}", self._draft.teams), models, limits, keys)
            reason = f'a team says which models may be asked for, so this key is not in team "{name}" but in "{made}"'
            if limits and len(groups) > 1:
                reason += f", and has a part of the limits for itself: 1/{len(groups)}"
            elif limits:
                reason += f', with a copy of the limits; "{name}" has no key'
            for key in keys:
                self._report.changed(owner.keys[key][1], reason, "put keys that may use the same models into one team")

    def _make(self, owner: _Owner, name: str, models: Models, limits: Limits, keys: Iterable[str]) -> str:
        self._draft.teams[name] = Team(None if models is None else list(models), dict(limits))
        owner.made.append(name)
        for key in keys:
            self._draft.virtual_keys[key].team = name
        return name

    def _team_name(self, owner: _Owner) -> str:
        return self._named(owner.team.name, "team", self._draft.teams, owner.team.place)

    def _named(self, theirs: str, kind: str, taken: Mapping[str, object], place: Place) -> str:
        """A name of theirs as ours, reported if it is another."""
        ours = unique(name_of(theirs, kind), taken)
        if ours != theirs:
            reason = f'{kind} "{theirs}" is called "{ours}" here, in the log, metrics and rules too'
            self._report.changed(place, reason)
        return ours


def _common(lists: list[Models]) -> tuple[str, ...]:
    """The models that every list has."""
    given = [models for models in lists if models is not None]
    names = dict.fromkeys(name for models in given for name in models)
    return tuple(name for name in names if all(match(name, models) for models in given))


def _same(one: Models, other: Models) -> bool:
    return one == other if one is None or other is None else set(one) == set(other)
