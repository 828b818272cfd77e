"""More than a worker can take, and what it does afterwards; beside it, what a refusal costs whom."""

import contextlib
import urllib.request
from typing import NamedTuple

import msgspec
from asked import Case, Line, Setup, at_least, at_most
from legs import FLOORS, NGINX, START_SECONDS, WITH_POLICY, BenchError, Leg, example, running
from measure import Generated, Load, cpu_ns, generate, in_turn
from report import section

BEYOND = 1.5
"""Times the peak."""
OVERLOAD_SECONDS = 10
COURSES = 5
"""How often that is done with each leg; the one in the middle counts, by what is served."""
CONNECTIONS = 4000
"""Of the generator, open before the overload begins: to accept one costs more than to refuse a request."""
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
REFUSED = Load("refused", rate=None, connections=64)
ENDLESS = {"events": 60_000, "first_ms": 0, "gap_ms": 1_000}
"""A stream of the mock that is open for as long as one waits."""


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

    @property
    def share(self) -> float:
        """What is served under overload, of the peak."""
        return self.throughput / self.peak


def overload(setup: Setup) -> Case:
    """150 % of the knee for ten seconds, and half of it afterwards."""
    with running(setup.directory, WITH_POLICY, max_in_flight=MAX_IN_FLIGHT) as legs:
        driven = [{leg.key: _drive(leg, setup) for leg in in_turn(legs, number)} for number in range(COURSES)]
        seen = {leg.key: sorted((each[leg.key] for each in driven), key=lambda course: course.share) for leg in legs}
    middle = {leg: courses[COURSES // 2] for leg, courses in seen.items()}
    costs = _refusals(setup)
    lines: list[Line] = []
    for leg, course in middle.items():
        refused = course.over.refused_us
        others = {name: count for name, count in course.over.errors.items() if name != "status 503"}
        waited = course.over.latency_us.p99 / 1000
        said = f"{refused.count:,} refused, p99 {refused.p99 / 1000:.1f} ms; served p99 {waited:.0f} ms"
        said += f"; other errors: {others or 'none'}"
        quick = refused.count > 0 and refused.p99 <= REFUSAL_MS * 1000 and not others
        lines += [
            at_least(f"{leg}, throughput of the peak", 100 * course.share, 90, "%"),
            Line(f"{leg}, the excess refused within {REFUSAL_MS} ms", said, quick),
            at_most(f"{leg}, recovered after", course.recovered_seconds, RECOVERY_SECONDS, "s"),
        ]
    rows = [
        [
            leg, f"{course.peak:,.0f}", f"{BEYOND * course.peak:,.0f}", f"{course.throughput:,.0f}",
            f"{100 * course.share:.0f} %",
            f"{course.over.latency_us.p50 / 1000:.1f}", f"{course.over.latency_us.p99 / 1000:.1f}",
            f"{course.over.refused_us.count:,}", f"{course.over.refused_us.p50 / 1000:.1f}",
            f"{course.over.refused_us.p99 / 1000:.1f}", f"{course.over.unsent:,}", f"{course.calm_p99_ms:.1f}",
            f"{course.over.cpu_seconds / course.over.seconds:.2f}",
        ]
        for leg, courses in seen.items()
        for course in courses
    ]  # fmt: skip
    head = [
        "leg", "peak/s", "offered/s", "served/s", "of the peak", "served p50 ms", "p99", "refused", "p50 ms", "p99",
        "unsent", "calm p99 ms", "generator cores",
    ]  # fmt: skip
    costly = [
        [leg, f"{cost:.1f}", *(f"{100 * _room(cost, course.peak):.0f} %" for course in middle.values())]
        for leg, cost in costs.items()
    ]
    tables = [
        section("Overload", head, rows),
        section("What a refusal costs", ["who refuses", "CPU µs", *(f"leaves {leg}" for leg in middle)], costly),
    ]
    return Case("overload: 150 % of the knee", lines, tables, [seen, costs])


def _drive(leg: Leg, setup: Setup) -> Course:
    loads = [Load("peak", rate=None, connections=count) for count in (16, 32, 64, 128)]
    peak = max(_served(generate(leg, load, setup.seconds)) for load in loads for _ in range(2))
    calm = Load("calm", rate=round(CALM * peak))
    before = generate(leg, calm, 4 * WINDOW_SECONDS).latency_us.p99
    seconds = OVERLOAD_SECONDS * min(setup.scale, 1)
    over = generate(leg, Load("over", rate=round(BEYOND * peak), connections=CONNECTIONS, connected=True), seconds)
    recovered = float("inf")
    for window in range(WINDOWS):
        seen = generate(leg, calm, WINDOW_SECONDS)
        if not seen.errors and seen.latency_us.p99 <= 2 * before:
            recovered = window * WINDOW_SECONDS
            break
    return Course(peak, before / 1000, over, _served(over), recovered)


def _refusals(setup: Setup) -> dict[str, float]:
    """CPU time of a refusal, in microseconds, by leg: edgeroute with one request open, of which it takes one;
    applications under granian, and nginx, that do nothing else.
    """
    ways = (*WITH_POLICY, *FLOORS, NGINX)
    with running(setup.directory, ways, max_in_flight=1) as legs, contextlib.ExitStack() as stack:
        for leg in legs:
            if leg.way in WITH_POLICY:
                opened = urllib.request.urlopen(example(leg, stream=True, mock=ENDLESS), timeout=START_SECONDS)
                stack.enter_context(opened).readline()
        rounds = [
            {leg.key: _refusal(leg, setup.seconds) for leg in in_turn(legs, number)} for number in range(setup.rounds)
        ]
    return {leg.key: min(each[leg.key] for each in rounds) for leg in legs}


def _refusal(leg: Leg, seconds: float) -> float:
    load = REFUSED if leg.way in WITH_POLICY else msgspec.structs.replace(REFUSED, path="/refuse")
    before = cpu_ns(leg.process.pid)
    generated = generate(leg, load, seconds)
    took = cpu_ns(leg.process.pid) - before
    if generated.errors.keys() != {"status 503"} or generated.completed:
        raise BenchError(f"{leg.key} does not refuse all: {generated.errors}, {generated.completed} served")
    return took / generated.errors["status 503"] / 1000


def _room(refusal_us: float, peak: float) -> float:
    """What is left of the peak for good answers, if one core has all the work and everything beyond is refused."""
    cost = refusal_us * peak / 1e6
    return max(1 - BEYOND * cost, 0) / (1 - cost)


def _served(generated: Generated) -> float:
    """Good answers per second while requests were sent: what is answered later is no throughput under load."""
    return generated.completed_meanwhile / generated.sending_seconds
