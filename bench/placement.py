"""Policies of placement on simulated replicas: traces in Mooncake's format and generated loads.

    bench/placement.py TRACE…                        all loads, five seeds, one and four routers
    bench/placement.py --loads tenants:11 --seeds 1  one generated load, with 11 requests a second, once
    bench/placement.py TRACE --only affinity CHWBL   some policies

The router is the compiled placement code; replicas, loads and the rules of other routers are in `bench/simulation`.
Same arguments, same figures. Raw data and tables go to `--output`, with plots if asked.
"""

import argparse
import datetime
import platform
import shlex
import sys
import time
from pathlib import Path

import msgspec
from simulation.comparison import GENERATED, cases, compare, goodputs
from simulation.plot import plot
from simulation.policies import RING
from simulation.report import Results, best_key, loads, render


def main(arguments: list[str] | None = None) -> None:
    options = parser().parse_args(arguments)
    generated = options.loads if options.loads is not None else GENERATED
    seeds = range(1, options.seeds + 1)
    began = time.monotonic()
    chosen = cases(options.traces, generated, options.most)
    results = Results({}, compare(chosen, seeds, options.routers, options.only, options.processes), [])
    if options.goodput:
        # The ring with the keys that were best.
        best = {best_key(results, load) for load in loads(results)}
        ran = dict.fromkeys(run.policy for run in results.runs)
        policies = [policy for policy in ran if not policy.startswith(RING) or policy in best]
        results.goodputs = goodputs(options.traces, policies, seeds[: options.goodput], options.most, options.processes)
    results.facts = facts(arguments, time.monotonic() - began)
    report = render(results)
    print(report)
    if options.output is not None:
        write(results, report, options.output, plots=options.plots)


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("traces", nargs="*", type=Path, metavar="TRACE")
    made.add_argument(
        "--loads", nargs="*", help="generated loads besides, as NAME or NAME:AMOUNT (tenants agents threads)"
    )
    made.add_argument("--seeds", type=int, default=5, help="how many (5)")
    made.add_argument("--routers", type=numbers, default=[1, 4], help="how many, each count on its own (1,4)")
    made.add_argument("--only", nargs="*", default=[], help="policies whose names begin so")
    made.add_argument("--goodput", type=int, default=0, metavar="SEEDS", help="look for goodput with so many seeds (0)")
    made.add_argument("--most", type=int, help="only so many requests of each trace")
    made.add_argument("--processes", type=int, default=1, help="how many (1)")
    made.add_argument("--output", type=Path, help="a folder for results")
    made.add_argument("--plots", action="store_true", help="plots as SVG, besides")
    return made


def numbers(text: str) -> list[int]:
    return [int(each) for each in text.split(",")]


def facts(arguments: list[str] | None, seconds: float) -> dict[str, str]:
    """When, where and how."""
    given = sys.argv[1:] if arguments is None else arguments
    # Folders are of no interest to others.
    command = shlex.join(["bench/placement.py", *(Path(each).name for each in given)])
    return {
        "date": f"{datetime.datetime.now(datetime.UTC):%Y-%m-%d %H:%M} UTC",
        "machine": f"{platform.machine()}, Python {platform.python_version()} (figures do not depend on it)",
        "took": f"{seconds:.0f} s",
        "command": f"`{command}`",
    }


def write(results: Results, report: str, folder: Path, *, plots: bool) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    stem = f"{datetime.datetime.now(datetime.UTC):%Y-%m-%d-%H%M}-placement"
    (folder / f"{stem}.json").write_bytes(msgspec.json.format(msgspec.json.encode(results), indent=1))
    (folder / f"{stem}.md").write_text(report)
    if plots:
        (folder / f"{stem}.svg").write_text(plot(results))


if __name__ == "__main__":
    main()
