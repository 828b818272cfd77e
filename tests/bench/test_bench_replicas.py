"""Conversations as load, what is made of their turns, and, with tiny counts, that the experiments run."""

import json
import math
from pathlib import Path
from xml.etree import ElementTree

import pytest
import replicas
from asked import Setup
from chart import Curve, Panel, svg, ticks
from conversations import Shape, Turn, plan, read_stream
from replicas import errors, save, see

SHAPE = Shape(per_second=5, tenants=3)


def test_a_plan_is_the_same_whatever_is_said() -> None:
    one, two, other = (plan(SHAPE, 20, seed, salt) for seed, salt in ((1, "a"), (1, "b"), (2, "a")))
    assert [each._replace(system="") for each in one] == [each._replace(system="") for each in two]
    pairs = zip(one, two, strict=True)
    assert all(a.system[0] == "a" and b.system[0] == "b" and a.system[1:] == b.system[1:] for a, b in pairs)
    assert [each.begins for each in one] != [each.begins for each in other]


def test_conversations_have_the_shape_that_was_asked_for() -> None:
    planned = plan(SHAPE, 100, seed=3, salt="x")
    assert 400 < len(planned) < 600
    assert all(0 <= each.begins < 100 for each in planned)
    assert len({each.system for each in planned}) == 3
    for each in planned:
        assert 4 * 1500 <= len(each.system) <= 4 * 2500 + len("x: ")
        assert 4 <= len(each.questions) == len(each.pauses) <= 10
        assert each.pauses[0] == 0 < min(each.pauses[1:])
        assert all(400 <= len(question) <= 2400 for question in each.questions)


def stream(*events: object, end: bytes = b"data: [DONE]\n\n") -> bytes:
    return b"".join(b"data: " + json.dumps(event).encode() + b"\n\n" for event in events) + end


CONTENT = {"choices": [{"delta": {"content": "word"}}]}
USAGE: dict[str, object] = {
    "choices": [],
    "usage": {"prompt_tokens": 100, "prompt_tokens_details": {"cached_tokens": 64}},
}


@pytest.mark.parametrize(
    ("body", "outcome", "cached"),
    [
        (stream(CONTENT, CONTENT, USAGE), "good", 64),
        (stream(CONTENT, USAGE, end=b""), "cut", 0),
        (stream(CONTENT, {"error": {"code": "upstream_cut"}}, end=b""), "error event", 0),
        (stream(CONTENT), "cut", 0),
        (b"", "cut", 0),
    ],
)
def test_what_a_stream_says(body: bytes, outcome: str, cached: int) -> None:
    turn, text = read_stream(body, Turn(1.0, 0, "cut", first_ms=5))
    assert (turn.outcome, turn.cached_tokens) == (outcome, cached)
    assert text == "word" * body.count(b"word")


def turn(outcome: str, first_ms: float = 10, cached: int = 50) -> Turn:
    return Turn(0, 0, outcome, first_ms, prompt_tokens=100, cached_tokens=cached)


def test_figures_are_those_of_turns_that_went_well() -> None:
    seen = see([turn("good", first_ms=each) for each in range(1, 101)] + [turn("cut", 9999, 100)])
    assert seen == (100, 0.5, 50.5, 51, 96, 100)
    assert math.isnan(see([turn("cut")]).mean)


@pytest.mark.parametrize(
    ("turns", "said", "met"),
    [
        ([turn("good"), turn("good")], "none, of 2 turns", True),
        ([turn("good"), turn("error event")], "1 times error event in a begun stream, of 2 turns", True),
        ([turn("error event", math.inf)], "1 times error event, of 1 turns", False),
        ([turn("cut"), turn("cut")], "2 times cut, of 2 turns", False),
        ([turn("status 502", math.inf)], "1 times status 502, of 1 turns", False),
        ([], "none, of 0 turns", False),
    ],
)
def test_no_error_but_an_error_event(turns: list[Turn], said: str, met: bool) -> None:
    line = errors("x", turns)
    assert (line.measured, line.met) == (said, met)


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [(0, 100, [0, 20, 40, 60, 80, 100]), (0, 3, [0, 0.5, 1, 1.5, 2, 2.5, 3]), (12, 31, [15, 20, 25, 30]), (0, 0, [0])],
)
def test_ticks_are_round(low: float, high: float, expected: list[float]) -> None:
    assert ticks(low, high) == pytest.approx(expected)


def test_a_chart_is_well_formed_and_inside() -> None:
    curve = Curve("a < b", [(1, 0), (10, 50), (100, 100)])
    panels = [Panel("one", "ms", [curve], [(50, "then & there")], logarithmic=True, top=100), Panel("none", "s", [])]
    drawn = ElementTree.fromstring(svg(panels))
    [line] = drawn.iter("{http://www.w3.org/2000/svg}polyline")
    assert line.get("points") == "62.0,190.0 383.0,110.0 704.0,30.0"


@pytest.mark.usefixtures("load_binary")
@pytest.mark.parametrize("name", replicas.EXPERIMENTS)
def test_each_runs(name: str, tmp_path: Path) -> None:
    def measure(folder: Path) -> replicas.Measured:
        folder.mkdir()
        return replicas.EXPERIMENTS[name](Setup(folder, rounds=1, seconds=0.8, scale=0.5))

    # By chance a replica is killed between the head of a stream and its first event; not three times in a row.
    tries = (measure(tmp_path / str(number)) for number in range(3))
    measured = next((measured for measured in tries if measured.case.lines[0].met), None)
    assert measured is not None
    save({"date": "2026-11-21 12:00"}, {name: measured}, tmp_path / "results")
    assert f"replicas-{name}.svg" in (tmp_path / "results" / "2026-11-21-1200-replicas.md").read_text()
