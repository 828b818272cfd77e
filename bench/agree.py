"""How far two runs of `make bench` agree: agree.py FIRST.json SECOND.json

Prints for every leg under every load what both runs found, and by how much the second is above the first: CPU per
request as it was, at the yardstick's nominal speed, and over nginx. Ends with 1 if any leg's CPU at nominal speed
differs by more than `--most` percent.
"""

import argparse
import sys
from pathlib import Path

import msgspec
from measure import LOADS
from report import Results, cpu, find, measured, over, raw, section


class Options(argparse.Namespace):
    """The command line."""

    first: Path
    second: Path
    most: float


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("first", type=Path, help="raw data of a run, as bench/results has it")
    parser.add_argument("second", type=Path, help="raw data of another")
    parser.add_argument("--most", type=float, default=10, help="percent that runs may differ by; default 10")
    options = parser.parse_args(namespace=Options())
    first, second = (msgspec.json.decode(path.read_bytes(), type=Results) for path in (options.first, options.second))
    text, worst = compare(first, second)
    print(text)
    print(f"\nAt nominal speed the runs differ by at most {worst:.1f} %; asked: {options.most:g} %.")
    sys.exit(worst > options.most)


def compare(first: Results, second: Results) -> tuple[str, float]:
    """Tables, and the most percent by which CPU at nominal speed differs in any of them."""
    tables: list[str] = []
    worst = 0.0
    for load in LOADS:
        rows: list[list[str]] = []
        for leg, rounds in measured(first.legs, load):
            others = find(second.legs, leg.leg, load)
            if not others:
                continue
            pairs = [(raw(rounds), raw(others)), (cpu(rounds), cpu(others))]
            nginxes = [find(run.legs, "nginx", load) for run in (first, second)]
            if all(nginxes):
                pairs.append((over(rounds, nginxes[0]), over(others, nginxes[1])))
            rows.append([leg.leg, *(cell for pair in pairs for cell in cells(*pair))])
            worst = max(worst, abs(percent(*pairs[1])))
        head = ["leg", "CPU µs", "", "", "at nominal speed", "", "", "over nginx", "", ""]
        tables.append(section(load.name, head, rows))
    return "\n\n".join(table for table in tables if table), worst


def percent(first: float, second: float) -> float:
    """By how much the second is above the first."""
    return 100 * (second / first - 1)


def cells(first: float, second: float) -> list[str]:
    return [f"{first:.2f}", f"{second:.2f}", f"{percent(first, second):+.1f} %"]


if __name__ == "__main__":
    main()
