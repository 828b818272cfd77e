"""More than a worker can take, and what it does afterwards."""

from typing import NamedTuple

from asked import Case, Line, Setup, at_least, at_most
from legs import WITH_POLICY, Leg, running
from measure import Generated, Load, generate
from report import section

BEYOND = 1.5
"""Times the peak."""
OVERLOAD_SECONDS = 10
CONNECTIONS = 4000
MAX_IN_FLIGHT = 32
"""With so many a worker reaches its peak where the provider answers at once; what is open beyond is refused.
docs/performance.md tells what others lead to."""
WINDOW_SECONDS = 0.5
WINDOWS = 40
"""How long recovery is watched for."""
CALM = 0.5
"""Times the peak: the load before and after."""
REFUSAL_MS = 100
RECOVERY_SECONDS = 5


class Course(NamedTuple):
    """What one leg did."""

    peak: float
    """Requests per second in a closed loop, at its best."""
    calm_p99_ms: float
    over: Generated
    throughput: float
    """Good answers per second under overload."""
    recovered_seconds: float
    """From the end of the overload until a window is as before; infinite if none was."""


def overload(setup: Setup) -> Case:
    """150 % of the knee for ten seconds, and half of it afterwards."""
    with running(setup.directory, WITH_POLICY, max_in_flight=MAX_IN_FLIGHT) as legs:
        seen = {leg.key: _drive(leg, setup) for leg in legs}
    lines: list[Line] = []
    for leg, course in seen.items():
        refused = course.over.refused_us
        others = {name: count for name, count in course.over.errors.items() if name != "status 503"}
        waited = course.over.latency_us.p99 / 1000
        said = f"{refused.count:,} refused, p99 {refused.p99 / 1000:.1f} ms; served p99 {waited:.0f} ms"
        said += f"; other errors: {others or 'none'}"
        quick = refused.count > 0 and refused.p99 <= REFUSAL_MS * 1000 and not others
        lines += [
            at_least(f"{leg}, throughput of the peak", 100 * course.throughput / course.peak, 90, "%"),
            Line(f"{leg}, the excess refused within {REFUSAL_MS} ms", said, quick),
            at_most(f"{leg}, recovered after", course.recovered_seconds, RECOVERY_SECONDS, "s"),
        ]
    rows = [
        [
            leg, f"{course.peak:,.0f}", f"{BEYOND * course.peak:,.0f}", f"{course.throughput:,.0f}",
            f"{course.over.latency_us.p50 / 1000:.1f}", f"{course.over.latency_us.p99 / 1000:.1f}",
            f"{course.over.refused_us.count:,}", f"{course.over.refused_us.p50 / 1000:.1f}",
            f"{course.over.refused_us.p99 / 1000:.1f}", f"{course.over.unsent:,}", f"{course.calm_p99_ms:.1f}",
            f"{course.over.cpu_seconds / course.over.seconds:.2f}",
        ]
        for leg, course in seen.items()
    ]  # fmt: skip
    head = [
        "leg", "peak/s", "offered/s", "served/s", "served p50 ms", "p99", "refused", "p50 ms", "p99", "unsent",
        "calm p99 ms", "generator cores",
    ]  # fmt: skip
    return Case("overload: 150 % of the knee", lines, [section("Overload", head, rows)], seen)


def _drive(leg: Leg, setup: Setup) -> Course:
    loads = [Load("peak", rate=None, connections=count) for count in (16, 32, 64, 128)]
    peak = max(_served(generate(leg, load, setup.seconds)) for load in loads for _ in range(2))
    calm = Load("calm", rate=round(CALM * peak))
    before = generate(leg, calm, 4 * WINDOW_SECONDS).latency_us.p99
    seconds = OVERLOAD_SECONDS * min(setup.scale, 1)
    over = generate(leg, Load("over", rate=round(BEYOND * peak), connections=CONNECTIONS), seconds)
    recovered = float("inf")
    for window in range(WINDOWS):
        seen = generate(leg, calm, WINDOW_SECONDS)
        if not seen.errors and seen.latency_us.p99 <= 2 * before:
            recovered = window * WINDOW_SECONDS
            break
    return Course(peak, before / 1000, over, _served(over), recovered)


def _served(generated: Generated) -> float:
    """Good answers per second while requests were sent: what is answered later is no throughput under load."""
    return generated.completed_meanwhile / generated.sending_seconds
