"""Observe mode of the semantic cache beside static thresholds, on simulated streams that drift.

    bench/cache_evidence.py                       100 streams of 200,000 would-be hits
    bench/cache_evidence.py --first 100           the next 100
    bench/cache_evidence.py --workers 4 --lag 20  comparisons count 20 would-be hits late, for four workers

Streams and decisions are Rust (`rust/cache/tests/stream`, `rust/cache/src/evidence.rs`); this builds and runs them and
makes the table. Same arguments, same figures on every machine. With `--output`, table and raw data go to that folder.
"""

import argparse
import datetime
import statistics
import subprocess
from collections.abc import Callable
from pathlib import Path

import msgspec

ROOT = Path(__file__).parent.parent
PROMISE = 0.01
"""The share of served answers that may be wrong."""

DRIFTS = {
    "None": "nothing changes",
    "Outdated": "entries become outdated one by one",
    "Sudden": "half-way, a third of the entries becomes confusing",
    "Gradual": "more and more entries are confusing",
    "Event": "half-way, one entry in twenty is outdated at once",
}

COLUMNS = (
    "stream",
    "promise kept",
    "served",
    "wrong",
    "most wrong",
    "static, as often wrong",
    "observe mode ahead",
    "static, ≤ 1 % wrong",
    "ahead of that too",
    "0.95: wrong",
)


class Outcome(msgspec.Struct, frozen=True):
    """Answers served, and how many of them were wrong."""

    served: int
    wrong: int

    @property
    def error(self) -> float:
        return self.wrong / max(1, self.served)


class Run(msgspec.Struct, frozen=True):
    """One stream: what observe mode served, and what static thresholds would have.

    `fixed` is the threshold, best in hindsight, that is wrong no more often than observe mode was; `fixed_promise` the
    best that keeps the promise; `usual` is 0.95.
    """

    seed: int
    drift: str
    observed: Outcome
    fixed: Outcome
    fixed_promise: Outcome
    usual: Outcome


def main(arguments: list[str] | None = None) -> None:
    made = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--first", type=int, default=0, help="the first seed (0)")
    made.add_argument("--seeds", type=int, default=100, help="how many (100)")
    made.add_argument("--would-be-hits", type=int, default=200_000, help="of each stream (200000)")
    made.add_argument("--workers", type=int, default=1, help="who decide by turns (1)")
    made.add_argument("--lag", type=int, default=0, help="would-be hits after which a comparison counts (0: at once)")
    made.add_argument("--output", type=Path, help="a folder for results")
    options = made.parse_args(arguments)
    runs = simulate(options.first, options.seeds, options.would_be_hits, options.workers, options.lag)
    report = render(runs, options.would_be_hits)
    print(report)
    if options.output is not None:
        stem = f"{datetime.datetime.now(datetime.UTC):%Y-%m-%d-%H%M}-cache-evidence"
        options.output.mkdir(parents=True, exist_ok=True)
        (options.output / f"{stem}.md").write_text(report)
        (options.output / f"{stem}.json").write_bytes(msgspec.json.format(msgspec.json.encode(runs), indent=1))


def simulate(first: int, seeds: int, would_be_hits: int, workers: int, lag: int) -> list[Run]:
    """Runs the streams; raises CalledProcessError where they cannot be built."""
    build = ["cargo", "run", "--release", "--locked", "--quiet", "-p", "edgeroute-cache", "--example", "evidence", "--"]
    command = [*build, *map(str, (first, seeds, would_be_hits, workers, lag))]
    lines = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE).stdout.splitlines()
    return [msgspec.json.decode(line, type=Run) for line in lines]


def render(runs: list[Run], would_be_hits: int) -> str:
    """The table, in Markdown."""
    lines = [
        f"{len(runs)} streams of {would_be_hits:,} would-be hits. Shares are medians over streams: of would-be hits",
        "what was served, of served answers what was wrong.",
        "",
        f"| {' | '.join(COLUMNS)} |",
        f"|---|{'--:|' * (len(COLUMNS) - 1)}",
    ]
    for drift, words in DRIFTS.items():
        of_kind = [run for run in runs if run.drift == drift]
        if of_kind:
            lines.append(row(words, of_kind, would_be_hits))
    lines.append(row("**all**", runs, would_be_hits))
    return "\n".join(lines) + "\n"


def row(name: str, runs: list[Run], would_be_hits: int) -> str:
    def median(value: Callable[[Run], float]) -> str:
        return f"{100 * statistics.median(map(value, runs)):.3g} %"

    def count(wanted: Callable[[Run], bool]) -> str:
        return f"{sum(map(wanted, runs))} of {len(runs)}"

    cells = [
        name,
        count(lambda run: run.observed.error <= PROMISE),
        median(lambda run: run.observed.served / would_be_hits),
        median(lambda run: run.observed.error),
        f"{100 * max(run.observed.error for run in runs):.3g} %",
        median(lambda run: run.fixed.served / would_be_hits),
        count(lambda run: run.observed.served > run.fixed.served),
        median(lambda run: run.fixed_promise.served / would_be_hits),
        count(lambda run: run.observed.served > run.fixed_promise.served),
        median(lambda run: run.usual.error),
    ]
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    main()
