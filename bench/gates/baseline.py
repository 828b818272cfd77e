"""What was counted, beside what is committed: the verdict, and in words what grew."""

from pathlib import Path

import msgspec

FILE = Path(__file__).with_name("baseline.json")
PARTS = 16
"""Of a count, the largest parts are kept."""
SHOWN = 5


class Count(msgspec.Struct, frozen=True, omit_defaults=True):
    """How much of something one request, or one event, takes."""

    count: float
    parts: dict[str, float] = {}
    """Where it comes from: functions, system calls, threads. Not all of it."""


class Baseline(msgspec.Struct, frozen=True):
    """What is committed."""

    compiler: str
    python: str
    counts: dict[str, Count]


class Tolerance(msgspec.Struct, frozen=True):
    """How much more than its baseline a count may be."""

    share: float
    absolute: float
    why: str

    def most(self, count: float) -> float:
        """The most that passes."""
        return count + max(count * self.share, self.absolute)


def read() -> Baseline:
    """The committed baseline."""
    return msgspec.json.decode(FILE.read_bytes(), type=Baseline)


def write(baseline: Baseline) -> None:
    """Commit to what was counted."""
    counts = {name: kept(count) for name, count in sorted(baseline.counts.items())}
    text = msgspec.json.encode(msgspec.structs.replace(baseline, counts=counts))
    FILE.write_bytes(msgspec.json.format(text, indent=1) + b"\n")


def kept(count: Count) -> Count:
    """A count as it is written: rounded, its largest parts first."""
    largest = sorted(count.parts.items(), key=lambda part: (-part[1], part[0]))[:PARTS]
    return Count(round(count.count, 2), {name: round(value, 2) for name, value in largest})


def judge(name: str, now: Count, before: Count | None, tolerance: Tolerance) -> str | None:
    """What is wrong with a count, if anything."""
    if before is None:
        return f"{name}: {now.count:,.2f}, and no baseline"
    if now.count <= tolerance.most(before.count):
        return None
    grown = now.count - before.count
    lines = [
        f"{name}: {before.count:,.2f} → {now.count:,.2f} ({_share(grown, before.count)})",
        f"    at most {tolerance.most(before.count):,.2f} passes: {tolerance.why}",
    ]
    # What is not kept of the baseline was no larger than the least that is.
    unknown = min(before.parts.values()) if len(before.parts) == PARTS else 0
    parts = {part: value - before.parts.get(part, unknown) for part, value in now.parts.items()}
    grew = sorted(((value, part) for part, value in parts.items() if value > grown / 50), reverse=True)
    lines += [f"    {value:+,.2f} {part}" for value, part in grew[:SHOWN]]
    return "\n".join(lines)


def _share(grown: float, before: float) -> str:
    return f"{grown / before:+.1%}" if before else f"{grown:+,.2f}"
