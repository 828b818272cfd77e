"""What the gates of CI make of what they count. The counting itself is `make gates`."""

from pathlib import Path

import baseline
import instructions
import pytest
import worker
from baseline import Baseline, Count, Tolerance

WIDE = Tolerance(0.03, 0, "3 % more")
EXACT = Tolerance(0, 0.5, "0.5 more")


@pytest.mark.parametrize(
    ("now", "before", "tolerance", "passes"),
    [
        (1030, 1000, WIDE, True),
        (1031, 1000, WIDE, False),
        (10, 1000, WIDE, True),
        (0.4, 0, EXACT, True),
        (0.6, 0, EXACT, False),
        (5.5, 5, EXACT, True),
    ],
)
def test_a_count_may_grow_by_its_tolerance(now: float, before: float, tolerance: Tolerance, passes: bool) -> None:
    verdict = baseline.judge("it", Count(now), Count(before), tolerance)
    assert (verdict is None) == passes


def test_what_grew_is_named_the_largest_first() -> None:
    before = Count(1000, {"scan": 600, "rules": 400})
    now = Count(1300, {"rules": 420, "scan": 610, "place": 270})
    assert baseline.judge("instructions: decide", now, before, WIDE) == (
        "instructions: decide: 1,000.00 → 1,300.00 (+30.0%)\n"
        "    at most 1,030.00 passes: 3 % more\n"
        "    +270.00 place\n"
        "    +20.00 rules\n"
        "    +10.00 scan"
    )


def test_what_a_baseline_did_not_keep_was_small() -> None:
    kept = {f"part {number}": 100.0 - number for number in range(baseline.PARTS)}
    verdict = baseline.judge("it", Count(2000, kept | {"new": 585.0, "old": 80.0}), Count(1500, kept), WIDE)
    assert verdict is not None
    assert verdict.splitlines()[2:] == ["    +500.00 new"]


def test_a_gate_without_baseline_fails() -> None:
    assert baseline.judge("new", Count(1), None, EXACT) == "new: 1.00, and no baseline"


def test_a_baseline_is_read_as_it_was_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(baseline, "FILE", tmp_path / "baseline.json")
    written = Baseline("rustc 1", "CPython 3.11", {"b": Count(0.333333), "a": Count(20, {"x": 1, "y": 19})})
    baseline.write(written)
    assert baseline.read() == Baseline("rustc 1", "CPython 3.11", {"a": Count(20, {"y": 19, "x": 1}), "b": Count(0.33)})


def test_what_is_committed_has_all_gates_of_both_faces() -> None:
    names = set(baseline.read().counts)
    of_both = {f"{each}, {face}" for each in ("plain request", "stream event") for face in ("asgi", "rsgi")}
    assert {f"instructions: {phase}" for phase in instructions.PHASES} < names
    for what in ("system calls", "waits", "wake-ups"):
        assert {f"{what}: {each}" for each in of_both} < names


def test_functions_of_a_profile() -> None:
    profile = """\
events: Ir
summary: 60

fn=router::decide::h0123456789abcdef
12 10
cfi=memory.c
cfn=memcpy
calls=2 40
13 30

fn=memcpy
40 30
fn=walk'2
7 4
fn=walk
7 10
"""
    assert instructions.by_function(profile) == {"router::decide": 10, "memcpy": 30, "walk": 14}


def test_system_calls_of_a_table() -> None:
    table = """\
    calls syscall
--------- ----------------
     3072 futex
      512 epoll_wait
--------- ----------------
     3584 total
"""
    assert worker.by_name(table) == {"futex": 3072, "epoll_wait": 512}
