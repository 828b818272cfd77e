"""`make gates`: counts that do not depend on the clock, beside the committed ones; `make gates-update` writes those.

What is counted, how, and what to do when a gate fails is in docs/dev/gates.md.
"""

import argparse
import platform
import subprocess
import sys
import tempfile
from pathlib import Path

import baseline
import in_process
import inputs
import instructions
import worker
from baseline import Baseline, Count, Tolerance

OTHER_COMPILER = Tolerance(0.10, 0, "10 % more, because the baseline is of another compiler")
OTHER_PYTHON = Tolerance(0.25, 1, "25 % or 1 more, because the baseline is of another Python")
TOLERANCES = {
    "instructions": Tolerance(0.03, 0, "3 % more"),
    "allocations": Tolerance(0, 0.5, "0.5 more"),
    "bytes allocated": Tolerance(0.01, 16, "1 % or 16 more"),
    "system calls": Tolerance(0, 0.5, "0.5 more"),
    "waits": Tolerance(0.4, 1, "40 % or 1 more, because the machine decides which thread is faster"),
    "wake-ups": Tolerance(0.4, 1, "40 % or 1 more, for the same reason"),
}


def main() -> int:
    """Count, judge, print; 1 if a gate fails."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--update", action="store_true", help="write what is counted to baseline.json")
    parser.add_argument("--parts", action="store_true", help="also print where each count comes from")
    options = parser.parse_args()
    counts, skipped = count()
    for name, each in counts.items():
        print(f"{each.count:14,.2f}  {name}")
        if options.parts:
            for part, value in baseline.kept(each).parts.items():
                print(f"{value:25,.2f}  {part}")
    for line in skipped:
        print(f"!!! SKIPPED: {line}", file=sys.stderr)
    here = Baseline(_compiler(), _python(), counts)
    if options.update:
        if skipped:
            print("a baseline has everything: nothing is written", file=sys.stderr)
            return 1
        baseline.write(here)
        return 0
    return report(here, baseline.read())


def count() -> tuple[dict[str, Count], list[str]]:
    """All that can be counted here, and why the rest cannot."""
    counts: dict[str, Count] = {}
    skipped: list[str] = []
    with tempfile.TemporaryDirectory(prefix="edgeroute-gates-") as name:
        directory = Path(name)
        configuration = inputs.normalised(directory)
        if why := instructions.missing():
            skipped.append(f"instructions: {why}")
        else:
            counts |= instructions.instructions(inputs.built("edgeroute-gates"), configuration, directory)
        counts |= instructions.allocations(inputs.built("edgeroute-gates"), configuration)
        for face in inputs.FACES:
            counts |= in_process.allocations(face, directory)
            found, why = worker.count(face, directory)
            counts |= found
            if why:
                skipped.append(f"system calls on {face}: {why}")
    return counts, skipped


def report(here: Baseline, before: Baseline) -> int:
    """Print what is wrong; 1 if anything is."""
    for there, now in ((before.compiler, here.compiler), (before.python, here.python)):
        if there != now:
            print(f"the baseline is of {there}, this is {now}: some gates are wider", file=sys.stderr)
    judged = [
        baseline.judge(name, now, before.counts.get(name), _tolerance(name, here, before))
        for name, now in here.counts.items()
    ]
    wrong = [verdict for verdict in judged if verdict is not None]
    if not wrong:
        print(f"{len(judged)} gates pass")
        return 0
    print("\n".join(["", *wrong, ""]), file=sys.stderr)
    print("If this is meant, `make gates-update` and commit bench/gates/baseline.json, saying why.", file=sys.stderr)
    return 1


def _tolerance(name: str, here: Baseline, before: Baseline) -> Tolerance:
    what = name.partition(":")[0]
    if what == "instructions" and here.compiler != before.compiler:
        return OTHER_COMPILER
    if name.endswith("in Python") and here.python != before.python:
        return OTHER_PYTHON
    return TOLERANCES[what]


def _compiler() -> str:
    return subprocess.run(["rustc", "--version"], stdout=subprocess.PIPE, check=True, text=True).stdout.strip()


def _python() -> str:
    """Patch releases allocate alike."""
    return "{} {}.{}".format(platform.python_implementation(), *platform.python_version_tuple()[:2])


if __name__ == "__main__":
    sys.exit(main())
