"""A million requests of which a third go wrong: what grows, what leaks, and whether the others notice."""

import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from asked import Case, Line, Setup
from legs import WITH_POLICY, Leg, running
from measure import Load, generate, resident, tell, worker
from report import section

REQUESTS = 1_000_000
PARTS = 20
MIX = ("--malformed", "0.2", "--abandoned", "0.1", "--failing", "0.05", "--stream=0.1")
LOAD = Load("mixed", rate=None, connections=64, mock={"events": 20, "first_ms": 1, "gap_ms": 1})


class Part(NamedTuple):
    """After one twentieth of the requests."""

    rss_mib: float
    descriptors: int
    errors: dict[str, int]
    counts: dict[str, int]
    """Requests that went as they should, by kind."""
    seconds: float


def mixed(setup: Setup) -> Case:
    """A million requests: 20 % malformed, 10 % abandoned, 5 % failed by the provider, 10 % streams."""
    count = int(REQUESTS * setup.scale) // PARTS
    with running(setup.directory, WITH_POLICY) as legs:
        parts = {leg.key: [_part(leg, count, number) for number in range(PARTS)] for leg in legs}
    lines: list[Line] = []
    rows: list[list[str]] = []
    for leg, seen in parts.items():
        errors = sum((Counter(part.errors) for part in seen), Counter[str]())
        good = {name: number for name, number in errors.items() if ": " not in name}
        others = {name: number for name, number in errors.items() if ": " in name}
        counts = sum((Counter(part.counts) for part in seen), Counter[str]())
        late = seen[PARTS // 2 :]
        growth, error = slope([part.rss_mib for part in late])
        growth, error = (1000 * figure / count * 1000 for figure in (growth, error))
        more, doubt = slope([part.descriptors for part in late])
        lines += [
            Line(f"{leg}, no error on good requests", f"{good or 'none'}, of {counts['good']:,}", not good),
            Line(f"{leg}, the others answered as they should", f"{others or 'all'}", not others),
            Line(
                f"{leg}, RSS slope zero within noise",
                f"{growth:+.2f} ± {2 * error:.2f} MiB per 10⁶ requests, over the second half",
                growth <= 2 * error,
            ),
            Line(
                f"{leg}, no descriptor leaked",
                f"{more:+.2f} ± {2 * doubt:.2f} per {count:,} requests, over the second half",
                more <= 2 * doubt,
            ),
        ]
        rows.append([
            leg, *(f"{counts[kind]:,}" for kind in ("good", "malformed", "abandoned", "failing")),
            *(f"{seen[place].rss_mib:.1f}" for place in (0, PARTS // 2, -1)),
            *(str(seen[place].descriptors) for place in (0, PARTS // 2, -1)),
            f"{sum(part.seconds for part in seen):.0f}",
        ])  # fmt: skip
    head = [
        "leg", "good", "malformed", "abandoned", "failing", "RSS MiB first", "middle", "last",
        "descriptors first", "middle", "last", "seconds",
    ]  # fmt: skip
    return Case(f"mixed: {count * PARTS:,} requests", lines, [section("Mixed", head, rows)], parts)


def _part(leg: Leg, count: int, number: int) -> Part:
    tell(f"{leg.key}, part {number + 1} of {PARTS}")
    seen = generate(leg, LOAD, 600, "--count", str(count), *MIX)
    time.sleep(0.5)
    pid = worker(leg)
    descriptors = len(list(Path(f"/proc/{pid}/fd").iterdir()))
    counts = {"good": seen.completed, **seen.meant}
    return Part(resident(pid) / 2**20, descriptors, seen.errors, counts, seen.seconds)


def slope(figures: Sequence[float]) -> tuple[float, float]:
    """Of the line through evenly spaced figures (least squares), and its standard error."""
    count = len(figures)
    middle, mean = (count - 1) / 2, sum(figures) / count
    width = sum((place - middle) ** 2 for place in range(count))
    rise = sum((place - middle) * (figure - mean) for place, figure in enumerate(figures)) / width
    rest = sum((figure - mean - rise * (place - middle)) ** 2 for place, figure in enumerate(figures))
    return rise, (rest / (count - 2) / width) ** 0.5
