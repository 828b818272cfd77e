"""CPU beside nginx's under the loads of `measure.py`, TLS beside none, and latency on one connection."""

from collections.abc import Sequence

from asked import Case, Line, Setup, at_most
from legs import NGINX, ROUTERS, WITH_POLICY, WITH_TLS, Way, running
from measure import ALONE, BODY, BURST, SATURATED, SPACED, Load, Round, interleaved
from report import BUSY_GENERATOR, cpu, median, over, raw, section, spread

ASGI, RSGI = WITH_POLICY
EVENTS = 100
Rounds = dict[str, list[Round]]


def plain(setup: Setup) -> Case:
    """Requests of 1 kB on 32 connections, and what policy adds."""
    rounds, case = _beside_nginx(setup, SATURATED, (NGINX, *ROUTERS), {RSGI: 4.0, ASGI: 5.5})
    for way in WITH_POLICY:
        off = rounds[way._replace(policy="off").key]
        costs = difference(rounds[way.key], off)
        case.lines.append(at_most(f"policy, {way.name}", costs, 8, "µs"))
    return case


def burst(setup: Setup) -> Case:
    """Streams of 100 events that arrive at once."""
    return _beside_nginx(setup, BURST, (NGINX, *WITH_POLICY), {RSGI: 2.5, ASGI: 3.0})[1]


def spaced(setup: Setup) -> Case:
    """Streams of 100 events, 1 ms apart."""
    return _beside_nginx(setup, SPACED, (NGINX, *WITH_POLICY), {RSGI: 2.0, ASGI: 2.0})[1]


def body(setup: Setup) -> Case:
    """Requests of 200 kB on 32 connections."""
    return _beside_nginx(setup, BODY, (NGINX, *WITH_POLICY), {RSGI: 6.0, ASGI: 6.0})[1]


def tls(setup: Setup) -> Case:
    """Requests of 1 kB, the provider over TLS and without."""
    rounds, case = _beside_nginx(setup, SATURATED, (NGINX, *WITH_POLICY, *WITH_TLS), {})
    for way in WITH_POLICY:
        mine, others = rounds[way._replace(tls=True).key], rounds[way.key]
        case.lines.append(_times(f"{way.name} over TLS, CPU over the same without", mine, others, 1.3))
    return case


def alone(setup: Setup) -> Case:
    """Requests one after the other."""
    rounds, case = _beside_nginx(setup, ALONE, (NGINX, *WITH_POLICY), {})
    nginx = rounds.get(NGINX.key)
    for way, most in ((RSGI, 2.6), (ASGI, 3.7)) if nginx else ():
        mine = [each.generated.latency_us for each in rounds[way.key]]
        theirs = [each.generated.latency_us for each in nginx or ()]
        ratio = min(each.p50 for each in mine) / min(each.p50 for each in theirs)
        tail = min(each.p99 for each in mine) / min(each.p99 for each in theirs)
        line = at_most(f"{way.name}, p50 over nginx", ratio, most, "times")
        case.lines.append(Line(line.asked, f"{line.measured} (p99: {tail:.2f})", line.met))
    return case


def _beside_nginx(setup: Setup, load: Load, ways: Sequence[Way], asked: dict[Way, float]) -> tuple[Rounds, Case]:
    """The rounds by leg, and a case with what is asked of CPU over nginx's."""
    with running(setup.directory, ways) as legs:
        taken, disturbed = interleaved(legs, [load], setup.rounds, setup.seconds)
    rounds = {leg: by_load[load.name] for leg, by_load in taken.items()}
    nginx = rounds.get(NGINX.key, [])
    lines = [
        _times(f"{way.name}, CPU over nginx", rounds[way.key], nginx, most) for way, most in asked.items() if nginx
    ]
    table = section(f"{load.name}, {setup.rounds} rounds of {setup.seconds} s", HEAD, _rows(rounds, load))
    return rounds, Case(_title(load), lines, [table], {"rounds": rounds, "disturbed": disturbed})


def _title(load: Load) -> str:
    what = f"streams of {EVENTS} events" if load.stream else "requests"
    return f"{load.name}: {what}, {load.connections} connections"


def _times(name: str, mine: Sequence[Round], others: Sequence[Round], most: float) -> Line:
    """Judged by the least of each, as was asked; the ratio round by round is beside it."""
    line = at_most(name, least(mine) / least(others), most, "times")
    return Line(line.asked, f"{line.measured} (round by round: {over(mine, others):.2f})", line.met)


def least(rounds: Sequence[Round]) -> float:
    """The least CPU per request of any round, in µs."""
    return min(each.cpu_us for each in rounds)


def difference(mine: Sequence[Round], others: Sequence[Round]) -> float:
    """What CPU per request a leg has more than another, in µs at nominal speed."""
    return cpu(mine) - cpu(others)


HEAD = [
    "leg", "CPU µs, least", "mean", "at nominal speed", "spread", "over nginx, least", "round by round", "per event",
    "p50 µs", "p99 µs", "requests/s", "generator cores",
]  # fmt: skip


def _rows(rounds: Rounds, load: Load) -> list[list[str]]:
    nginx = rounds.get(NGINX.key)
    return [
        [
            leg, f"{least(each):.1f}", f"{raw(each):.1f}", f"{cpu(each):.1f}", f"{spread(each):.0f} %",
            f"{least(each) / least(nginx):.2f}" if nginx else "", f"{over(each, nginx):.2f}" if nginx else "",
            f"{least(each) / EVENTS:.2f}" if load.stream else "",
            f"{median(each, lambda one: one.generated.latency_us.p50):.0f}",
            f"{median(each, lambda one: one.generated.latency_us.p99):.0f}",
            f"{median(each, lambda one: one.generated.completed / one.generated.seconds):,.0f}", generator(each),
        ]
        for leg, each in rounds.items()
    ]  # fmt: skip


def generator(rounds: Sequence[Round]) -> str:
    """The generator's cores, marked where it is the bottleneck."""
    cores = median(rounds, lambda one: one.generator_cores)
    return f"{cores:.2f}" + (" (the bottleneck)" if cores > BUSY_GENERATOR else "")
