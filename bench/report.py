"""Results as tables and as raw data."""

import statistics
from collections.abc import Callable, Iterable, Sequence

import msgspec
from behaviour import Behaviour
from legs import EVENTS
from measure import DISTURBED, LOADS, PLAIN, SATURATED, STREAM, Load, Round

BUSY_GENERATOR = 0.9
"""Cores; beyond, the generator is the bottleneck where it should not be."""
BUSY_MACHINE = 0.1
"""Cores that others used in a round, from which on the report says so."""


class LegResults(msgspec.Struct):
    """Everything measured on one leg."""

    leg: str
    rounds: dict[str, list[Round]]
    """By load."""
    memory_mib: list[tuple[str, float]] = msgspec.field(default_factory=list[tuple[str, float]])
    """Resident memory of each process after the last round."""
    behaviour: Behaviour | None = None


class Results(msgspec.Struct):
    """A whole run, as the raw file has it."""

    facts: dict[str, str]
    """Date, machine, versions, command."""
    legs: list[LegResults]
    disturbed: list[Round] = []
    """Rounds that others disturbed and that were measured again. They are in no figure."""


def render(results: Results) -> str:
    """The report in Markdown."""
    parts = ["# Benchmark", "\n".join(f"- {name}: {value}" for name, value in results.facts.items())]
    parts += [_plain(results.legs), _saturated(results.legs), _streams(results.legs), _memory(results.legs)]
    if any(leg.behaviour for leg in results.legs):
        parts.append(_behaviour(results.legs))
    parts.append("\n".join(f"- {note}" for note in notes(results)))
    return "\n\n".join(part for part in parts if part) + "\n"


def notes(results: Results) -> list[str]:
    """What a reader must know before believing the figures."""
    legs = results.legs
    found: list[str] = []
    if not any(leg.leg == "nginx" for leg in legs):
        found.append("nginx is not installed (Debian: apt-get install nginx-light): there are no ratios in this run.")
    for load in LOADS:
        behind = {leg.leg: sum(each.generated.behind for each in rounds) for leg, rounds in measured(legs, load)}
        listed = ", ".join(f"{leg} {count}" for leg, count in behind.items() if count)
        if listed:
            found.append(
                f"{load.name}: in some rounds the generator did not keep to its schedule ({listed}): "
                "latencies of these legs hold waiting that they did not cause."
            )
        for leg, rounds in measured(legs, load):
            cores = median(rounds, _generator_cores)
            if cores > BUSY_GENERATOR:
                found.append(f"{load.name}, {leg.leg}: the generator used {cores:.2f} cores; it was the bottleneck.")
    if results.disturbed:
        found.append(f"{len(results.disturbed)} rounds with more than {DISTURBED} cores in others' use were repeated.")
    others = [each.other_cores for leg in legs for rounds in leg.rounds.values() for each in rounds]
    busy = sum(each > BUSY_MACHINE for each in others)
    if busy:
        found.append(
            f"In {busy} of {len(others)} rounds others used more than {BUSY_MACHINE} cores (at most {max(others):.2f})."
        )
    return found


def median(rounds: Sequence[Round], of: Callable[[Round], float]) -> float:
    """The middle round's figure: a disturbed round does not move it."""
    return statistics.median(of(each) for each in rounds)


def middle(figures: Iterable[float]) -> float:
    """The mean of all but the least and the greatest, which one bad round does not move.

    NOTE: rounds scatter to both sides alike, so a median wastes what they tell: of pairs of runs drawn from rounds of
    two, 56 to 67 % agree within 10 % in every leg with (trimmed) means of 20 rounds, 17 % with medians, a third as many
    with 10 rounds.
    """
    kept = sorted(figures)
    return statistics.fmean(kept[1:-1] if len(kept) > 2 else kept)


def raw(rounds: Sequence[Round]) -> float:
    """CPU per request as it was, in µs. Not the least: others can make it cheaper too, by keeping a core awake."""
    return middle(each.cpu_us for each in rounds)


def cpu(rounds: Sequence[Round]) -> float:
    """The same at the yardstick's nominal speed."""
    return middle(each.nominal_us for each in rounds)


def over(rounds: Sequence[Round], others: Sequence[Round]) -> float:
    """How many times the CPU of others a leg costs: the middle of what each round says, as it was in that round."""
    return middle(each.cpu_us / other.cpu_us for each, other in zip(rounds, others, strict=True))


def spread(rounds: Sequence[Round]) -> float:
    """How far CPU at nominal speed is apart between rounds: the interquartile range over the median, in percent."""
    figures = [each.nominal_us for each in rounds]
    low, middle, high = statistics.quantiles(figures, n=4, method="inclusive") if len(figures) > 1 else figures * 3
    return 100 * (high - low) / middle


def _generator_cores(each: Round) -> float:
    return each.generator_cores


def _plain(legs: Sequence[LegResults]) -> str:
    direct = find(legs, "direct", PLAIN)
    rows: list[list[str]] = []
    for leg, rounds in measured(legs, PLAIN):
        p50 = median(rounds, lambda each: each.generated.latency_us.p50)
        added = p50 - median(direct, lambda each: each.generated.latency_us.p50) if direct else 0
        rows.append([
            leg.leg,
            *_cpu_cells(legs, leg, rounds, PLAIN),
            f"{p50:.0f}",
            "" if leg.leg == "direct" else f"{added:+.0f}",
            f"{median(rounds, lambda each: each.generated.latency_us.p99):.0f}",
            f"{median(rounds, _generator_cores):.2f}",
        ])  # fmt: skip
    head = [
        "leg",
        "CPU µs/request",
        "at nominal speed",
        "spread",
        "over nginx",
        "p50 µs",
        "over direct",
        "p99 µs",
        "generator cores",
    ]
    return section(f"Plain requests, {PLAIN.rate:,} a second", head, rows)


def _saturated(legs: Sequence[LegResults]) -> str:
    rows = [
        [
            leg.leg,
            *_cpu_cells(legs, leg, rounds, SATURATED),
            f"{median(rounds, lambda each: each.generated.completed / each.generated.seconds):,.0f}",
            f"{median(rounds, _generator_cores):.2f}",
        ]
        for leg, rounds in measured(legs, SATURATED)
    ]
    head = ["leg", "CPU µs/request", "at nominal speed", "spread", "over nginx", "requests/s", "generator cores"]
    return section(f"Plain requests, as many as {SATURATED.connections} connections carry", head, rows)


def _streams(legs: Sequence[LegResults]) -> str:
    rows = [
        [
            leg.leg,
            *_cpu_cells(legs, leg, rounds, STREAM),
            f"{raw(rounds) / EVENTS:.1f}",
            f"{median(rounds, lambda each: each.generated.first_event_us.p50):.0f}",
            f"{median(rounds, lambda each: each.generated.first_event_us.p99):.0f}",
            f"{median(rounds, lambda each: each.generated.gap_us.p50):.0f}",
            f"{median(rounds, lambda each: each.generated.gap_us.p99):.0f}",
            f"{median(rounds, lambda each: each.generated.gap_us.max):.0f}",
            f"{median(rounds, _generator_cores):.2f}",
        ]
        for leg, rounds in measured(legs, STREAM)
    ]
    head = [
        "leg", "CPU µs/stream", "at nominal speed", "spread", "over nginx", "µs/event",
        "first event p50 µs", "p99", "gap p50 µs", "p99", "max", "generator cores",
    ]  # fmt: skip
    return section(f"Streams, {STREAM.rate} a second", head, rows)


def _memory(legs: Sequence[LegResults]) -> str:
    rows: list[list[str]] = []
    for leg in legs:
        each = ", ".join(f"{role} {size:.0f}" for role, size in leg.memory_mib)
        rows.append([leg.leg, f"{sum(size for _, size in leg.memory_mib):.0f}", each])
    return section("Resident memory, MiB", ["leg", "all", "each process"], rows)


def _behaviour(legs: Sequence[LegResults]) -> str:
    rows = [
        [leg.leg, f"{seen.requests:,}", f"{seen.requests / seen.seconds:,.0f}", str(seen.failures)]
        for leg in legs
        if (seen := leg.behaviour)
    ]
    return section("Mixed users, every answer checked (locust)", ["leg", "requests", "requests/s", "failures"], rows)


def _cpu_cells(legs: Sequence[LegResults], leg: LegResults, rounds: list[Round], load: Load) -> list[str]:
    """CPU per request, at nominal speed, the spread of that, and the ratio to nginx's."""
    nginx = find(legs, "nginx", load)
    ratio = f"{over(rounds, nginx):.2f}" if nginx and leg.leg != "direct" else ""
    return [f"{raw(rounds):.1f}", f"{cpu(rounds):.1f}", f"{spread(rounds):.0f} %", ratio]


def measured(legs: Sequence[LegResults], load: Load) -> list[tuple[LegResults, list[Round]]]:
    """The legs that were measured under a load, with their rounds."""
    return [(leg, leg.rounds[load.name]) for leg in legs if leg.rounds.get(load.name)]


def find(legs: Sequence[LegResults], name: str, load: Load) -> list[Round]:
    """The rounds of a leg under a load; none if it was not measured."""
    for leg, rounds in measured(legs, load):
        if leg.leg == name:
            return rounds
    return []


def section(title: str, head: list[str], rows: list[list[str]]) -> str:
    """A table; the first column is text, the others are figures."""
    if not rows:
        return ""
    rule = ["---", *("--:" for _ in head[1:])]
    return "\n".join([f"## {title}", "", *("| " + " | ".join(row) + " |" for row in [head, rule, *rows])])
