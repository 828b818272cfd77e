#!/usr/bin/env python3
"""Fits the weights of the guards' logistic: how sure is it that one answer serves two questions?

    cargo build --release -p edgeroute-cache --example guard
    tools/fit_guard.py target/release/examples/guard

It learns from the pairs in `tests/cache/pairs.csv` that are there for tuning, not from those held out, and from pairs
derived from their texts: a text and itself without one word of content mean something else; a text and itself in
capitals, without its last sign, or asked politely mean the same. Features are the distance of the vectors and two
marks of differences (`rust/cache/src/guard/confidence.rs`). The result must be monotone: less sure with each of them.
Pairs that differ count ten times, because most near questions are others. Lists of words are blind to some
differences, and then only the distance is left: so each pair that differs is there once more, with a small weight, as
if no list had told it apart.

Takes seconds and prints the constants. Same input, same output: nothing is drawn at random.
"""

import csv
import json
import math
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

PAIRS = Path(__file__).parents[1] / "tests/cache/pairs.csv"
DIFFERENT = 10.0
"""So many times a pair counts that means different things."""
BLIND = 0.004
"""The share of differences that lists are taken to miss."""
RIDGE = 1e-5
STEPS = 30
ENDINGS = "?!."
SAYS_NOTHING = {"bitte", "exactly", "explain", "please", "there"}

Pair = tuple[str, str]
Row = tuple[list[float], bool, float]
"""Values, whether they mean the same, and how much it counts."""


def main() -> None:
    """Prints the constants."""
    (program,) = sys.argv[1:]
    with PAIRS.open(encoding="utf-8", newline="") as file:
        tuning = [row for row in csv.DictReader(file) if row["split"] == "tune"]
    labelled = [((row["text_a"], row["text_b"]), row["same"] == "1") for row in tuning]
    texts = list(dict.fromkeys(text for pair, _ in labelled for text in pair))
    labelled += [(pair, True) for text in texts for pair in reworded(text)]
    labelled += [(pair, False) for text in texts for pair in shortened(text)]
    rows = features(program, labelled)
    weights = fit(rows)
    print(f"// {len(rows)} pairs, {sum(same for _, same, _ in rows)} of them the same")
    print(f"const BIAS: f32 = {weights[0]:.2f};")
    print(f"const DISTANCE: f32 = {weights[1]:.2f};")
    print(f"const WEIGHTS: [f32; FEATURES] = [{', '.join(f'{each:.2f}' for each in weights[2:])}];")


def reworded(text: str) -> list[Pair]:
    """The same in capitals, without its last sign, and asked politely."""
    made = [text.upper(), text.rstrip(ENDINGS), f"Hello, {text}", f"{text.rstrip(ENDINGS)}, please"]
    return [(text, each) for each in made if each != text]


def shortened(text: str) -> list[Pair]:
    """Without one of the words in the middle, for each that is long enough to be content."""
    words = text.split()
    places = [at for at in range(1, len(words) - 1) if is_content(words[at])]
    return [(text, " ".join([*words[:at], *words[at + 1 :]])) for at in places]


def is_content(word: str) -> bool:
    """Whether a text without this word means something else."""
    return len(word) > 4 and word.isalpha() and word.lower() not in SAYS_NOTHING


def features(program: str, labelled: Sequence[tuple[Pair, bool]]) -> list[Row]:
    """What the cache sees of each pair, with a one for the bias."""
    lines = "\n".join(json.dumps(pair) for pair, _ in labelled)
    ran = subprocess.run([program], input=lines, capture_output=True, text=True, check=True)
    rows: list[Row] = []
    for line, (_, same) in zip(ran.stdout.splitlines(), labelled, strict=True):
        seen = json.loads(line)
        # What is not compared at all is never served.
        if seen["features"] is not None:
            values = [1.0, math.sqrt(max(2 - 2 * seen["cosine"], 0.0)), *seen["features"]]
            rows.append((values, same, 1.0 if same else DIFFERENT))
            if not same:
                rows.append(([*values[:2], *(0.0 for _ in values[2:])], same, DIFFERENT * BLIND))
    return rows


def fit(rows: list[Row]) -> list[float]:
    """Logistic regression by Newton's method, with a ridge."""
    size = len(rows[0][0])
    total = sum(count for _, _, count in rows)
    weights = [0.0] * size
    for _ in range(STEPS):
        slope = [0.0, *(RIDGE * each for each in weights[1:])]
        curve = [[RIDGE * (row == column > 0) for column in range(size)] for row in range(size)]
        for values, same, count in rows:
            score = sum(each * value for each, value in zip(weights, values, strict=True))
            sure = 1 / (1 + math.exp(-score))
            count = count / total
            for row, value in enumerate(values):
                slope[row] += count * (sure - same) * value
                for column, other in enumerate(values):
                    curve[row][column] += count * sure * (1 - sure) * value * other
        weights = [each - step for each, step in zip(weights, solve(curve, slope), strict=True)]
    if max(weights[1:]) > 0:
        sys.exit(f"not monotone: {weights}")
    return weights


def solve(matrix: list[list[float]], right: list[float]) -> list[float]:
    """Of linear equations, by elimination; the matrix is positive definite."""
    rows = [[*row, value] for row, value in zip(matrix, right, strict=True)]
    for pivot in range(len(rows)):
        rows[pivot] = [each / rows[pivot][pivot] for each in rows[pivot]]
        for other in range(len(rows)):
            if other != pivot:
                factor = rows[other][pivot]
                rows[other] = [each - factor * up for each, up in zip(rows[other], rows[pivot], strict=True)]
    return [row[-1] for row in rows]


if __name__ == "__main__":
    main()
