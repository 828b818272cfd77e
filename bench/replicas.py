"""Strategies over eight replicas with prompt caches, as real processes: what they make of one load of conversations,
and what happens when a replica dies and another comes.

The replicas are mocks that read prompts at a fixed speed, one after the other, and keep what they have read as far as
their cache goes; the router has four workers. Strategies take turns under the same schedule of conversations, each
time with other words, so that none finds a cache warmed by another.
"""

import argparse
import contextlib
import math
import statistics
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec
from asked import Case, Line, Options, Results, Setup, at_most, render
from chart import Curve, Panel, svg
from conversations import Load, Shape, Turn, hold, plan
from fleet import CACHE, PREFILL, REPLICAS, WORKERS, Fleet
from legs import HERE, KEY, BenchError
from measure import DISTURBED, tell
from report import section
from run import calm, surroundings

SHAPE = Shape(per_second=5.5)
OUTAGE_TENANTS = 300
"""While a replica dies: so many that some are new to every cache until the end, and may go to the new replica."""
WARM_UP = 1 / 3
"""The share of a round that is not measured: until conversations of all ages go on."""
STRATEGIES: dict[str, dict[str, object]] = {
    "affinity": {"targets": ["vllm/mock"], "strategy": "affinity"},
    "bounded-hash": {"targets": ["vllm/mock"], "strategy": "bounded-hash"},
    "least-load": {"targets": ["vllm/mock"], "strategy": "least-load"},
    "weighted": {"targets": {"vllm/mock": 1}, "strategy": "weighted"},
}
OURS = "affinity"
BUCKET = 2
"""Seconds of a point in the plot over time."""


class Seen(NamedTuple):
    """What people saw of some turns: how much of their prompts was cached, and milliseconds to the first token."""

    turns: int
    cached: float
    mean: float
    p50: float
    p95: float
    p99: float


class Measured(NamedTuple):
    """One experiment: what a report has of it, and its plot."""

    case: Case
    plot: str


def main() -> None:
    options = arguments()
    busy = calm(options.force)
    measured: dict[str, Measured] = {}
    for name in options.only.split(","):
        with tempfile.TemporaryDirectory() as directory:
            try:
                setup = Setup(Path(directory), options.rounds, options.seconds, options.scale)
                measured[name] = EXPERIMENTS[name](setup)
            except BenchError as error:
                sys.exit(f"bench, {name}: {error}")
        print(render(measured[name].case), end="\n\n", flush=True)
    save(surroundings(busy) | described(), measured, options.output)


def arguments() -> Options:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="compare,outage", help="one of the two experiments, compare or outage")
    parser.add_argument("--rounds", type=int, default=3, help="of each strategy; default 3")
    parser.add_argument("--seconds", type=float, default=45, help="that a round takes; default 45, outage takes twice")
    parser.add_argument("--scale", type=float, default=1, help="of the rate of conversations; default 1")
    parser.add_argument("--force", action="store_true", help=f"also on a busy machine (over {DISTURBED} cores)")
    parser.add_argument("--output", type=Path, default=HERE / "results", help="folder for report, plots and raw data")
    return parser.parse_args(namespace=Options())


def compare(setup: Setup) -> Measured:
    """The same load with each strategy, in turn."""
    shape = msgspec.structs.replace(SHAPE, per_second=SHAPE.per_second * setup.scale)
    names = list(STRATEGIES)
    turns: dict[str, list[list[Turn]]] = {name: [] for name in names}
    busiest: dict[str, list[float]] = {name: [] for name in names}
    with contextlib.ExitStack() as stack:
        fleet = Fleet(stack, setup.directory, STRATEGIES)
        for number in range(setup.rounds):
            first = number % len(names)
            for name in names[first:] + names[:first]:
                tell(f"{name}, round {number + 1} of {setup.rounds}")
                before = fleet.read_tokens()
                planned = plan(shape, setup.seconds, seed=number, salt=f"{name} {number}")
                held = hold(Load(fleet.router.address, name, KEY, shape, planned, setup.seconds))
                read = [after - sooner for sooner, after in zip(before, fleet.read_tokens(), strict=True)]
                turns[name].append([turn for turn in held if turn.begins >= WARM_UP * setup.seconds])
                busiest[name].append(max(read) / max(statistics.mean(read), 1))
    seen = {name: see([turn for one in rounds for turn in one]) for name, rounds in turns.items()}
    by_round = {name: [see(one) for one in rounds] for name, rounds in turns.items()}
    lines = [errors(name, [turn for one in rounds for turn in one]) for name, rounds in turns.items()]
    for rival in names[1:]:
        ours, theirs = seen[OURS], seen[rival]
        lines.append(at_most(f"{OURS}, mean TTFT over that of {rival}", ours.mean / theirs.mean, 1, "times"))
        said = f"{100 * ours.cached:.1f} and {100 * theirs.cached:.1f} %"
        lines.append(Line(f"{OURS}, cached share ≥ that of {rival}", said, ours.cached >= theirs.cached))
    head = ["strategy", "turns", "cached", "TTFT mean ms", "p95", "p50", "p99", "mean by round", "busiest replica"]
    rows = [
        [
            name, *_cells(seen[name]), f"{seen[name].p50:.0f}", f"{seen[name].p99:.0f}",
            " ".join(f"{each.mean:.0f}" for each in by_round[name]), f"{statistics.mean(busiest[name]):.2f}",
        ]
        for name in names
    ]  # fmt: skip
    title = f"{REPLICAS} replicas, {WORKERS} workers: one load of conversations"
    table = section(f"{setup.rounds} rounds of {setup.seconds:g} s, the first third of each to warm up", head, rows)
    raw = {"by round": by_round, "busiest over mean": busiest}
    curves = [Curve(name, _distribution([turn for one in rounds for turn in one])) for name, rounds in turns.items()]
    plot = Panel("Turns whose first token came within, %", "ms", curves, logarithmic=True, top=100)
    return Measured(Case(title, lines, [table], raw), svg([plot]))


def outage(setup: Setup) -> Measured:
    """A replica killed and another added while conversations go on."""
    seconds = 2 * setup.seconds
    killed, added = 0.4 * seconds, 0.7 * seconds
    shape = msgspec.structs.replace(SHAPE, per_second=SHAPE.per_second * setup.scale, tenants=OUTAGE_TENANTS)
    with contextlib.ExitStack() as stack:
        fleet = Fleet(stack, setup.directory, {OURS: STRATEGIES[OURS]})
        tell(f"{OURS}: a replica is killed after {killed:g} s, another added after {added:g} s")
        load = Load(fleet.router.address, OURS, KEY, shape, plan(shape, seconds, 0, "outage"), seconds)
        turns = hold(load, [(killed, fleet.kill_one), (added, fleet.add_one)])
        read_by_new = fleet.read_tokens()[-1]
    spans = {
        "before": (killed / 2, killed),
        "just after the death": (killed, (killed + added) / 2),
        "later": ((killed + added) / 2, added),
        "just after the arrival": (added, (added + seconds) / 2),
        "at the end": ((added + seconds) / 2, seconds),
    }
    seen = {name: see([turn for turn in turns if low <= turn.begins < high]) for name, (low, high) in spans.items()}
    again = [turn for turn in turns if turn.attempts > 1]
    failed_over = sum(turn.good for turn in again)
    lines = [
        errors(OURS, turns),
        Line("requests tried again, with success", f"{failed_over} of {len(again)}", failed_over == len(again)),
        *(
            Line(
                f"cached share {name} ≥ 95 % of that before",
                f"{100 * seen[name].cached:.1f} and {100 * seen['before'].cached:.1f} %",
                seen[name].cached >= 0.95 * seen["before"].cached,
            )
            for name in ("later", "at the end")
        ),
        Line("the new replica has a part in it", f"{read_by_new:,.0f} tokens read", read_by_new > 0),
    ]
    head = ["", "turns", "cached", "TTFT mean ms", "p95"]
    table = section("Before and after", head, [[name, *_cells(each)] for name, each in seen.items()])
    marks = [(killed, "killed"), (added, "another added")]
    buckets = [see([turn for turn in turns if turn.begins // BUCKET == each]) for each in range(int(seconds // BUCKET))]
    points = [(BUCKET * number, each) for number, each in enumerate(buckets) if each.turns]
    plot = svg([
        Panel("Share of prompts that was cached, %", "seconds",
              [Curve("cached", [(at, 100 * each.cached) for at, each in points])], marks, top=100),
        Panel("Time to first token, ms", "seconds",
              [Curve("mean", [(at, each.mean) for at, each in points]),
               Curve("p95", [(at, each.p95) for at, each in points])], marks),
    ])  # fmt: skip
    raw = {"killed": killed, "added": added, "seconds of a bucket": BUCKET, "buckets": buckets}
    return Measured(Case("A replica dies, another comes", lines, [table], raw), plot)


EXPERIMENTS: dict[str, Callable[[Setup], Measured]] = {"compare": compare, "outage": outage}


def see(turns: Sequence[Turn]) -> Seen:
    """Those of them that went well."""
    good = [turn for turn in turns if turn.good]
    if not good:
        return Seen(0, *[math.nan] * 5)
    times = sorted(turn.first_ms for turn in good)
    p50, p95, p99 = (times[int(len(times) * share)] for share in (0.5, 0.95, 0.99))
    cached = sum(turn.cached_tokens for turn in good) / sum(turn.prompt_tokens for turn in good)
    return Seen(len(good), cached, statistics.mean(times), p50, p95, p99)


def errors(name: str, turns: Sequence[Turn]) -> Line:
    """What went wrong, all of which must be error events in streams that had begun."""
    bad = Counter(
        "error event in a begun stream" if turn.outcome == "error event" and turn.has_begun else turn.outcome
        for turn in turns
        if not turn.good
    )
    said = ", ".join(f"{count} times {outcome}" for outcome, count in bad.items())
    asked = f"{name}, no error but an error event in a stream that had begun"
    met = set(bad) <= {"error event in a begun stream"} and bool(turns)
    return Line(asked, f"{said or 'none'}, of {len(turns):,} turns", met)


def _cells(seen: Seen) -> list[str]:
    return [f"{seen.turns:,}", f"{100 * seen.cached:.1f} %", f"{seen.mean:.0f}", f"{seen.p95:.0f}"]


def _distribution(turns: Sequence[Turn]) -> list[tuple[float, float]]:
    """Per cent of turns by milliseconds to the first token."""
    times = sorted(turn.first_ms for turn in turns if turn.good)
    return [(times[int((len(times) - 1) * share / 200)], share / 2) for share in range(201)] if times else []


def described() -> dict[str, str]:
    """What is not as in other benchmarks."""
    return {
        "cores": "shared by all",
        "replicas": f"{REPLICAS}, each reads {PREFILL:,} tokens a second and keeps {CACHE:,}",
        "load": ", ".join(f"{name} {value}" for name, value in msgspec.structs.asdict(SHAPE).items()),
    }


def save(facts: dict[str, str], measured: dict[str, Measured], folder: Path) -> None:
    """Write the report, the plots and the raw data; named by date and time."""
    folder.mkdir(parents=True, exist_ok=True)
    report = folder / (facts["date"].replace(" ", "-").replace(":", "") + "-replicas.md")
    chapters: list[str] = []
    for name, each in measured.items():
        plot = report.with_name(f"{report.stem}-{name}.svg")
        plot.write_text(each.plot)
        chapters.append(f"{render(each.case)}\n\n![{each.case.title}]({plot.name})")
    listed = "\n".join(f"- {name}: {value}" for name, value in facts.items())
    report.write_text("\n\n".join(["# Replicas with prompt caches", listed, *chapters]) + "\n")
    results = Results(facts, {name: each.case for name, each in measured.items()})
    report.with_suffix(".json").write_bytes(msgspec.json.encode(results) + b"\n")
    tell(f"saved: {report} with plots and raw data")


if __name__ == "__main__":
    main()
