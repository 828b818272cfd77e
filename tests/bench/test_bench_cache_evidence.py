"""The table of observe mode beside static thresholds."""

from cache_evidence import Outcome, Run, render


def run(drift: str, observed: Outcome, fixed: Outcome) -> Run:
    return Run(1, drift, observed, fixed, Outcome(70, 1), Outcome(40, 10))


def test_counts_streams_that_kept_the_promise_and_were_ahead() -> None:
    nothing = Outcome(0, 0)
    runs = [
        run("None", Outcome(50, 0), Outcome(20, 0)),
        run("None", Outcome(50, 1), nothing),
        run("Event", nothing, nothing),
        run("Event", Outcome(80, 0), Outcome(90, 0)),
    ]
    lines = render(runs, 100).splitlines()
    assert [line.count("|") for line in lines[3:]] == [11] * 5
    assert "| nothing changes | 1 of 2 | 50 % | 1 % | 2 % | 10 % | 2 of 2 | 70 % | 0 of 2 | 25 % |" in lines
    assert "| half-way, one entry in twenty is outdated at once | 2 of 2 | 40 % | 0 % | 0 % |" in lines[-2]
    assert lines[-1].startswith("| **all** | 3 of 4 | 50 % |")
    assert "| 2 of 4 |" in lines[-1]
    assert "| 1 of 4 |" in lines[-1]
