"""Measurements at the limit: what they make of what they see, and, with tiny counts, that each of them runs."""

from pathlib import Path

import boot
import mixed
import msgspec
import overload
import pytest
import ratios
import streams
from asked import Case, Line, Setup, at_least, at_most, render
from legs import divide, find_nginx, most_connections
from limits import CASES, Results, save
from rate import RATES, Stages, body
from test_bench_report import one_round

TINY = 0.0005


@pytest.mark.usefixtures("load_binary")
@pytest.mark.parametrize("name", [name for name in CASES if name not in ("spaced", "body", "alone")])
def test_each_runs_and_says_what_was_asked(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "EVENTS", 1)
    monkeypatch.setattr(streams, "RAMP_SECONDS", 1)
    monkeypatch.setattr(mixed, "PARTS", 6)
    monkeypatch.setattr(boot, "BOOTS", 1)
    monkeypatch.setattr(overload, "WINDOWS", 2)
    monkeypatch.setattr(overload, "COURSES", 1)
    monkeypatch.setattr(overload, "CONNECTIONS", 100)
    monkeypatch.setattr("rate.RATES", RATES[-1:])
    scale = 0.005 if name == "rate" else TINY
    case = CASES[name](Setup(tmp_path, rounds=1, seconds=0.3, scale=scale))
    assert case.tables
    assert case.lines or not find_nginx(), "nginx is what most of them are compared with"
    results = Results({"date": "2026-11-21 12:00"}, {name: case})
    save(results, tmp_path / "results")
    assert (tmp_path / "results" / f"2026-11-21-1200-{name}.md").read_text().count(f"## {case.title}") == 1
    assert msgspec.json.decode((tmp_path / "results" / f"2026-11-21-1200-{name}.json").read_bytes())
    said = {line.asked: line.measured for line in case.lines}
    if name == "mixed":
        for face in ("asgi", "rsgi"):
            assert said[f"edgeroute {face}, policy on, no error on good requests"].startswith("none, of ")
            assert said[f"edgeroute {face}, policy on, the others answered as they should"] == "all"
    if name == "streams":
        assert said["edgeroute rsgi, all usage settled"] == "480 + 4 tokens, 0 dropped, 0 in flight"


def test_a_line_is_met_up_to_its_bound() -> None:
    assert [at_most("x", figure, 4, "µs").met for figure in (3.9, 4, 4.1, float("nan"))] == [True, True, False, False]
    assert [at_least("x", figure, 90, "%").met for figure in (89.9, 90, float("nan"))] == [False, True, False]


def test_a_report_marks_what_is_not_met() -> None:
    lines = [Line("x ≤ 4", "3", met=True), Line("y ≤ 4", "5", met=False)]
    text = render(Case("plain", lines, ["## legs"], None))
    assert "| x ≤ 4 | 3 | yes |\n| y ≤ 4 | 5 | **no** |\n\n### legs" in text


@pytest.mark.parametrize(
    ("figures", "rise", "error"),
    [([1, 2, 3, 4], 1, 0), ([5, 5, 5], 0, 0), ([0, 1, 0, 1], 0.2, 0.283)],
)
def test_the_slope_of_a_line_and_how_sure_it_is(figures: list[float], rise: float, error: float) -> None:
    assert mixed.slope(figures) == (pytest.approx(rise), pytest.approx(error, abs=1e-3))


def test_connections_are_as_many_as_descriptors_allow() -> None:
    assert [most_connections(limit) for limit in (1_024, 20_000, 1_000_000)] == [262, 9_750, 10_000]


def test_cores_are_divided_where_there_are_two() -> None:
    assert divide({0, 1, 2}) == ({0}, {1, 2})
    assert divide({3}) == ({3}, {3})


def test_the_least_of_rounds_and_what_policy_adds() -> None:
    on, off = [one_round(50), one_round(44), one_round(46)], [one_round(40), one_round(41), one_round(90)]
    assert ratios.least(on) == 44
    assert ratios.difference(on, off) == 5


def test_stages_leave_the_write_out() -> None:
    assert Stages(decide_us=3, attempt_us=12, write_us=10).counted_us == 5


def test_bodies_of_the_stages_differ() -> None:
    bodies = {body(number) for number in range(1_024)}
    assert len(bodies) == 1_024
    assert all(800 < len(each) < 1_100 for each in bodies)
