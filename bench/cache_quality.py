"""How often the semantic cache is right, on labelled pairs or on a stream of questions.

    bench/cache_quality.py tests/cache/pairs.csv                    pairs: two texts, and a label or a score from 0 to 5
    bench/cache_quality.py PAIRS --only split=held-out --json FILE  some rows; figures besides
    bench/cache_quality.py --replay QUESTIONS --bank 5000 --asked 5000 --seed 1

Pairs are any file with comma- or tab-separated values, with a header or without, or JSON (a list of objects, or one a
line). Columns are found by what is in them: the two longest texts, and the column of 0 and 1 or of scores; name or
number them (from 0) with --columns A,B,LABEL. With scores, a pair of `--same` (4) or more means the same.

A replay fills a bank and asks other questions; questions have a label each (CLINC150's JSON, or a file as above with
`--columns TEXT,LABEL`), and an answer is right if the label is the same. Questions that are never answered by meaning
(personal ones, time-bound ones and so on) are counted as asked, and are neither stored nor looked up.

Three ways of deciding: the threshold of the cosine alone; with vetoes; and what the cache does, which is the threshold
of its confidence, with vetoes. Same files and arguments, same figures.
"""

import argparse
import csv
import json
import random
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from edgeroute.cache import SemanticCache, compare

COSINES = (0.7, 0.75, 0.8, 0.85, 0.9, 0.925, 0.95, 0.97, 0.98, 0.99)
CONFIDENCES = (0.5, 0.8, 0.9, 0.95, 0.96, 0.97, 0.98, 0.99)
DEFAULT = 0.95
CONSIDERED = 8
"""Near questions that a lookup considers."""


class Pair(NamedTuple):
    asked: str
    stored: str
    same: bool


class Seen(NamedTuple):
    """A question that is near, or one of a pair."""

    same: bool
    cosine: float
    confidence: float
    refused: str | None
    """A veto, or why such a question is not looked up."""


class Point(msgspec.Struct):
    """What one threshold gives."""

    way: str
    threshold: float
    asked: int
    served: int
    right: int
    answerable: int

    @property
    def wrong(self) -> int:
        return self.served - self.right


class Quality(msgspec.Struct):
    """A file's figures."""

    file: str
    asked: int
    answerable: int
    points: list[Point]
    refused: dict[str, int]
    """Of what the threshold of the cosine alone would serve at 0.95: by whom it is refused, where it means the same
    (`right …`) and where not (`wrong …`)."""


def main(arguments: list[str] | None = None) -> None:
    options = parser().parse_args(arguments)
    if options.replay:
        quality = replay(options.file, options.columns, options.bank, options.asked, options.seed)
    else:
        quality = pairs(options.file, options.columns, options.only, options.same)
    print(render(quality))
    if options.json is not None:
        options.json.write_bytes(msgspec.json.format(msgspec.json.encode(quality), indent=2) + b"\n")


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("file", type=Path)
    made.add_argument("--columns", type=lambda text: text.split(","), help="names or numbers: A,B,LABEL or TEXT,LABEL")
    made.add_argument("--only", metavar="COLUMN=VALUE", help="rows that have this")
    made.add_argument("--same", type=float, default=4, help="the score from which pairs mean the same (4)")
    made.add_argument("--replay", action="store_true", help="the file has questions, not pairs")
    made.add_argument("--bank", type=int, default=5000, help="questions that are stored (5000)")
    made.add_argument("--asked", type=int, default=5000, help="other questions that are asked (5000)")
    made.add_argument("--seed", type=int, default=1, help="which are which (1)")
    made.add_argument("--json", type=Path, metavar="FILE", help="where to write the figures")
    return made


# Files


def table(file: Path) -> tuple[list[str], list[list[str]]]:
    """Names of columns and rows; numbers for names where there is no header."""
    text = file.read_text(encoding="utf-8-sig")
    if text.lstrip().startswith(("{", "[")):
        objects = (
            json.loads(text) if text.lstrip().startswith("[") else [json.loads(line) for line in text.splitlines()]
        )
        names = list(dict.fromkeys(name for each in objects for name in each))
        return names, [[str(each.get(name, "")) for name in names] for each in objects]
    lines = text.splitlines()
    tabs = bool(lines) and "\t" in lines[0]
    # Files with tabs do not quote, and have single quotation marks.
    read = csv.reader(lines, delimiter="\t", quoting=csv.QUOTE_NONE) if tabs else csv.reader(text.splitlines(True))
    rows = [row for row in read if row]
    if not rows:
        raise SystemExit(f"{file} is empty")
    width = Counter(len(row) for row in rows).most_common(1)[0][0]
    rows = [row for row in rows if len(row) == width]
    headed = any(is_number(below) and not is_number(above) for above, below in zip(rows[0], rows[-1], strict=True))
    names = rows[0] if headed else [str(at) for at in range(width)]
    return names, rows[1:] if headed else rows


def is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def column(names: Sequence[str], wanted: str) -> int:
    if wanted in names:
        return names.index(wanted)
    if wanted.isdigit() and int(wanted) < len(names):
        return int(wanted)
    raise SystemExit(f"there is no column {wanted}: there are {', '.join(names)}")


def found(rows: Sequence[Sequence[str]], names: Sequence[str]) -> list[int]:
    """The two columns of texts and the one of labels or scores."""
    sample = rows[:1000]
    numeric = [at for at in range(len(names)) if all(is_number(row[at]) for row in sample)]
    labels = [at for at in numeric if all(0 <= float(row[at]) <= 5 for row in sample)]
    binary = [at for at in labels if {float(row[at]) for row in sample} <= {0.0, 1.0}]
    texts = sorted(
        (at for at in range(len(names)) if at not in numeric), key=lambda at: -sum(len(row[at]) for row in sample)
    )[:2]
    if len(texts) < 2 or not labels:
        raise SystemExit("no two columns of texts and one of labels: say which with --columns A,B,LABEL")
    return [*sorted(texts), (binary or labels)[-1]]


def read_pairs(file: Path, columns: Sequence[str] | None, only: str | None, same: float) -> list[Pair]:
    names, rows = table(file)
    if only is not None:
        name, _, value = only.partition("=")
        rows = [row for row in rows if row[column(names, name)] == value]
    if not rows:
        raise SystemExit(f"no rows in {file}" + (f" with {only}" if only else ""))
    a, b, label = [column(names, each) for each in columns] if columns else found(rows, names)
    scores = [float(row[label]) for row in rows]
    least = same if max(scores) > 1 else 1.0
    return [Pair(row[a], row[b], score >= least) for row, score in zip(rows, scores, strict=True)]


def read_questions(file: Path, columns: Sequence[str] | None) -> list[tuple[str, str]]:
    """Questions with their labels."""
    if columns is None:
        try:
            document: dict[str, list[tuple[str, str]]] = json.loads(file.read_text(encoding="utf-8"))
            return [(text, label) for split in ("train", "val", "test") for text, label in document[split]]
        except (ValueError, KeyError, TypeError):
            raise SystemExit(f"{file} is not CLINC150: say where questions are with --columns TEXT,LABEL") from None
    names, rows = table(file)
    text, label = (column(names, each) for each in columns)
    return [(row[text], row[label]) for row in rows]


# Figures


def pairs(file: Path, columns: Sequence[str] | None = None, only: str | None = None, same: float = 4) -> Quality:
    read = read_pairs(file, columns, only, same)
    seen: list[list[Seen]] = []
    for pair in read:
        similarity, confidence, refused = compare(pair.asked, pair.stored, threshold=0)
        seen.append([Seen(pair.same, similarity, confidence, refused)])
    answerable = sum(pair.same for pair in read)
    return Quality(file.name, len(read), answerable, curves(seen, answerable), refusals(seen))


def replay(file: Path, columns: Sequence[str] | None, bank: int, asked: int, seed: int) -> Quality:
    questions = read_questions(file, columns)
    random.Random(seed).shuffle(questions)
    if len(questions) < bank + asked:
        raise SystemExit(f"{file} has {len(questions)} questions, less than {bank} and {asked}")
    cache = SemanticCache(capacity=bank)
    for text, label in questions[:bank]:
        cache.add(text, label)
    labels = {label for _, label in questions[:bank]}
    seen: list[list[Seen]] = []
    for text, label in questions[bank : bank + asked]:
        explanation = cache.explain(text, most=CONSIDERED, threshold=0)
        near = explanation.nearest if explanation.bypass is None else []
        seen.append([Seen(each.answer == label, each.similarity, each.confidence, each.refused) for each in near])
    answerable = sum(label in labels for _, label in questions[bank : bank + asked])
    return Quality(file.name, asked, answerable, curves(seen, answerable), refusals(seen))


def curves(seen: Sequence[Sequence[Seen]], answerable: int) -> list[Point]:
    def alone(each: Seen, threshold: float) -> bool:
        return each.cosine >= threshold

    def guarded(each: Seen, threshold: float) -> bool:
        return each.cosine >= threshold and each.refused is None

    def confident(each: Seen, threshold: float) -> bool:
        return each.confidence >= threshold and each.refused is None

    ways: list[tuple[str, Callable[[Seen, float], bool], Sequence[float]]] = [
        ("cosine alone", alone, COSINES),
        ("cosine and vetoes", guarded, COSINES),
        ("confidence and vetoes", confident, CONFIDENCES),
    ]
    points: list[Point] = []
    for way, decide, thresholds in ways:
        for threshold in thresholds:
            served = [
                first
                for near in seen
                if (first := next((each for each in near if decide(each, threshold)), None)) is not None
            ]
            right = sum(each.same for each in served)
            points.append(Point(way, threshold, len(seen), len(served), right, answerable))
    return points


def refusals(seen: Iterable[Sequence[Seen]]) -> dict[str, int]:
    counts: Counter[str] = Counter()
    for near in seen:
        first = next(iter(near), None)
        if first is not None and first.cosine >= DEFAULT and first.refused is not None:
            counts[f"{'right' if first.same else 'wrong'} {first.refused}"] += 1
    return dict(counts.most_common())


def render(quality: Quality) -> str:
    different = quality.asked - quality.answerable
    lines = [
        f"{quality.file}: {quality.asked} asked, {quality.answerable} of them can be answered",
        "",
        "| decided by | threshold | served | precision | recall | wrong, of all | wrong, of different |",
        "|---|--:|--:|--:|--:|--:|--:|",
    ]
    for each in quality.points:
        default = each.way.startswith("confidence") and each.threshold == DEFAULT
        cells: list[Any] = [
            f"**{each.way}**" if default else each.way,
            each.threshold,
            share(each.served, each.asked),
            share(each.right, each.served),
            share(each.right, each.answerable),
            share(each.wrong, each.asked),
            share(each.wrong, different),
        ]
        lines.append(f"| {' | '.join(str(cell) for cell in cells)} |")
    if quality.refused:
        told = ", ".join(f"{name} {count}" for name, count in quality.refused.items())
        lines += ["", f"Refused although the cosine is {DEFAULT} or more: {told}"]
    return "\n".join(lines)


def share(part: int, whole: int) -> str:
    return f"{part / whole:.2%}" if whole else "-"


if __name__ == "__main__":
    main()
