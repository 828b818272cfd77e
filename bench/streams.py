"""Many streams at once, each with an event a second."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

from asked import Case, Line, Setup, at_most
from legs import DIRECT, WITH_POLICY, Leg, counters, most_connections, raise_limit, running
from measure import SATURATED, Generated, Load, generate, resident, worker
from report import section

STREAMS = 8000
EVENTS = 30
"""Of each stream, a second apart, the first after a second."""
RAMP_SECONDS = 10
"""In which the streams begin, so that all are open for 20 seconds."""
PROMPT_TOKENS = 120
"""What the mock says of every request; it has a token of output per event."""


class Held(NamedTuple):
    """What one leg did."""

    generated: Generated
    per_stream: float
    """Resident memory of the worker at its height, above what it was before, per stream that completed, in bytes."""
    settled: bool
    said: str
    """What the metrics said of tokens and open exchanges."""


def streams(setup: Setup) -> Case:
    """8,000 streams at once with an event a second, or as many as there are descriptors for."""
    descriptors = raise_limit()
    count = min(int(STREAMS * setup.scale), most_connections(descriptors))
    mock = {"events": EVENTS, "first_ms": 1000, "gap_ms": 1000}
    load = Load("streams", rate=max(count // RAMP_SECONDS, 1), connections=count, stream=True, mock=mock)
    with running(setup.directory, (DIRECT, *WITH_POLICY)) as legs:
        held = {leg.key: _hold(leg, load, count) for leg in legs}
    direct = held[DIRECT.key].generated.event_delay_us.p999
    lines: list[Line] = []
    for way in WITH_POLICY:
        seen = held[way.key]
        late = (seen.generated.event_delay_us.p999 - direct) / 1000
        completed = seen.generated.completed
        lines += [
            at_most(f"{way.name}, RSS per stream", seen.per_stream / 1000, 60, "kB"),
            at_most(f"{way.name}, p99.9 of event delay above direct", late, 50, "ms"),
            Line(f"{way.name}, all usage settled", seen.said, seen.settled),
            Line(
                f"{way.name}, {count:,} streams complete",
                f"{completed:,} {seen.generated.errors or ''}",
                completed == count,
            ),
        ]
    if count < STREAMS:
        lines.append(Line(f"{STREAMS:,} streams", f"{count:,}, with {descriptors:,} descriptors", met=False))
    rows = [
        [
            leg, f"{seen.generated.completed:,}", f"{seen.per_stream / 1000:.1f}",
            *(f"{figure / 1000:.1f}" for figure in (
                seen.generated.event_delay_us.p50, seen.generated.event_delay_us.p99,
                seen.generated.event_delay_us.p999, seen.generated.event_delay_us.max,
            )),
            f"{seen.generated.cpu_seconds / seen.generated.seconds:.2f}",
        ]
        for leg, seen in held.items()
    ]  # fmt: skip
    head = ["leg", "complete", "RSS kB/stream", "event delay p50 ms", "p99", "p99.9", "max", "generator cores"]
    return Case(f"streams: {count:,} at once", lines, [section("Streams", head, rows)], held)


def _hold(leg: Leg, load: Load, count: int) -> Held:
    if leg.way != DIRECT:
        generate(leg, SATURATED, 1)
    pid = worker(leg)
    before, counted = resident(pid), counters(leg) if leg.admin else {}
    with ThreadPoolExecutor(1) as background:
        running = background.submit(generate, leg, load, RAMP_SECONDS + 1, "--count", str(count), "--patience", "120")
        most = _height(lambda: resident(pid), running.done)
        generated = running.result()
    settled, said = _settled(leg, counted, count) if leg.admin else (True, "")
    return Held(generated, (most - before) / max(generated.completed, 1), settled, said)


def _height(look: Callable[[], int], ended: Callable[[], bool]) -> int:
    most = look()
    while not ended():
        most = max(most, look())
        time.sleep(0.2)
    return most


def _settled(leg: Leg, before: dict[str, float], count: int) -> tuple[bool, str]:
    """Whether every stream's usage was counted and nothing is open."""
    time.sleep(1)
    after = counters(leg)

    def total(name: str, part: str) -> float:
        return sum(
            value - before.get(line, 0) for line, value in after.items() if line.startswith(name) and part in line
        )

    found = (
        total("edgeroute_tokens_total", 'direction="input"'),
        total("edgeroute_tokens_total", 'direction="output"'),
        total("edgeroute_dropped_total", ""),
        sum(value for line, value in after.items() if line.startswith("edgeroute_in_flight")),
    )
    said = f"{found[0]:,.0f} + {found[1]:,.0f} tokens, {found[2]:.0f} dropped, {found[3]:.0f} in flight"
    return found == (count * PROMPT_TOKENS, count * EVENTS, 0, 0), said
