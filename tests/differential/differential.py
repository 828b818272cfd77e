"""Compares edgeroute with cel-cpp, the reference implementation, on random expressions.

    python tests/differential/differential.py --seed 1 --count 200000

Every second expression is compiled without the checker and holds operands of wrong types. Exit status 1 if the engines
differ where `differences.py` knows no reason; the shortest such expressions are printed.
"""

import argparse
import sys
from collections import Counter
from dataclasses import dataclass

from differences import excused
from engines import Outcome, Values, agree, cel_cpp, edgeroute, observable
from generator import Generator

WRONG = 0.06
"""Of the places of an expression that is not checked, how many hold something of another type."""
SHOWN = 20


@dataclass(frozen=True)
class Difference:
    """An expression on which the engines differ for no known reason."""

    source: str
    checked: bool
    values: Values
    ours: Outcome
    theirs: Outcome

    def __str__(self) -> str:
        checked = "checked" if self.checked else "unchecked"
        return f"{self.source}\n  {checked}, with {self.values}\n  edgeroute: {self.ours}\n  cel-cpp:   {self.theirs}"


def compare(seed: int, count: int) -> tuple[Counter[str], list[Difference]]:
    """How often each thing happened, and what should not have."""
    generator, ours, theirs = Generator(seed), edgeroute(), cel_cpp()
    happened: Counter[str] = Counter()
    differences: list[Difference] = []
    for index in range(count):
        checked = index % 2 == 0
        grown, of_type = generator.expression(0.0 if checked else WRONG)
        source, values = observable(grown, of_type), generator.values()
        one, other = ours(source, checked, values), theirs(source, checked, values)
        if agree(one, other, of_type):
            happened[f"agree: {one.kind}"] += 1
        elif reason := excused(source, one, other):
            happened[f"known: {reason}"] += 1
        else:
            happened["differ"] += 1
            differences.append(Difference(source, checked, values, one, other))
    return happened, differences


def main() -> int:
    """As the head of the file says."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--seed", type=int, default=1)
    arguments.add_argument("--count", type=int, default=200_000)
    chosen = arguments.parse_args()
    happened, differences = compare(chosen.seed, chosen.count)
    for difference in sorted(differences, key=lambda one: len(one.source))[:SHOWN]:
        print(difference, file=sys.stderr)
    for what, times in happened.most_common():
        print(f"{times:8}  {what}")
    return 1 if differences else 0


if __name__ == "__main__":
    sys.exit(main())
