"""Teams of the other gateway whose keys may use different models: nobody gains a model, and no limit is multiplied."""

import pytest

from edgeroute.config.diagnostics import Source, Span
from edgeroute.migrate.access import Access, ForeignTeam, Models
from edgeroute.migrate.draft import Draft, Limits, Model, VirtualKey
from edgeroute.migrate.report import Place

PLACE = Place("row", Span(0, 1), Source("keys.csv", "x"))
MINUTE: Limits = {"requests_per_minute": 100}
Made = dict[str, tuple[list[str] | None, int | None, str]]


def made(own: Models, limits: Limits, keys: dict[str, Models], name: str = "T") -> tuple[Made, list[str]]:
    """Each team with its models, its limit and its keys; and what the report says."""
    draft = Draft(models={each: Model() for each in ("a", "b", "c", "o/x", "o/*")})
    access = Access(draft)
    access.add_team("id", ForeignTeam(name, own, limits, PLACE))
    for key, models in keys.items():
        access.add_key(key, VirtualKey(f"hash of {key}"), "id", models, PLACE)
    access.make_teams()
    members = {team: [key for key, each in draft.virtual_keys.items() if each.team == team] for team in draft.teams}
    assert access.teams_of("id") == list(draft.teams)
    return {
        team: (each.models, each.limits.get("requests_per_minute"), " ".join(members[team]))
        for team, each in draft.teams.items()
    }, [each.reason for each in draft.report.findings]


@pytest.mark.parametrize(
    ("own", "limits", "keys", "teams", "says"),
    [
        (("a", "b"), MINUTE, {"k": None, "l": None}, {"T": (["a", "b"], 100, "k l")}, ""),
        (("a", "b"), MINUTE, {"k": ("b", "a")}, {"T": (["b", "a"], 100, "k")}, ""),
        (None, MINUTE, {"k": None}, {"T": (None, 100, "k")}, ""),
        (None, MINUTE, {"k": ("a",)}, {"T": (["a"], 100, "k")}, ""),
        (("a", "b"), MINUTE, {}, {}, ""),
        (
            ("a", "b", "c"),
            MINUTE,
            {"k": ("a", "b")},
            {"T": (["a", "b", "c"], 100, ""), "T.k": (["a", "b"], 100, "k")},
            'with a copy of the limits; "T" has no key',
        ),
        (
            ("a", "b", "c"),
            {},
            {"k": ("a",), "l": None, "m": ("a",)},
            {"T": (["a", "b", "c"], None, "l"), "T.k": (["a"], None, "k m")},
            'this key is not in team "T" but in "T.k"',
        ),
        (
            ("a", "b", "c"),
            MINUTE,
            {"k": ("a", "b"), "l": None},
            {"T": (["a", "b"], 100, "k l")},
            "all its keys may now use only what each might: a, b",
        ),
        (None, MINUTE, {"k": ("o/*",), "l": ("o/x", "a")}, {"T": (["o/x"], 100, "k l")}, "only what each might: o/x"),
        (
            None,
            MINUTE,
            {"k": ("a",), "l": ("b",), "m": ("c",)},
            {"T": (["a"], 33, "k"), "T.l": (["b"], 33, "l"), "T.m": (["c"], 33, "m")},
            "has a part of the limits for itself: 1/3",
        ),
    ],
)
def test_teams(own: Models, limits: Limits, keys: dict[str, Models], teams: Made, says: str):
    found, reasons = made(own, limits, keys)
    assert found == teams
    assert (says in " ".join(reasons)) if says else not reasons


def test_new_names_are_reported():
    found, reasons = made(("a",), {}, {"app one": None, "app-one": None}, name="Search Team")
    assert found == {"Search-Team": (["a"], None, "app-one app-one-2")}
    assert reasons == [
        'key "app one" is called "app-one" here, in the log, metrics and rules too',
        'key "app-one" is called "app-one-2" here, in the log, metrics and rules too',
        'team "Search Team" is called "Search-Team" here, in the log, metrics and rules too',
    ]
