"""What an answer from the cache costs: beside the model's answer, and beside a server that only answers.

Each router has the same model under several names: without a cache, with an exact one, with a semantic one that always
serves. Before a round is measured, all requests have been asked once, so that each of them is a hit; of the semantic
cache the same questions are asked in other words, none of which it has seen.
"""

from collections.abc import Sequence

from asked import Case, Line, Setup, at_most
from legs import FLOORS, WITH_CACHE, BenchError, Leg, counters, running
from measure import Load, Round, generate, interleaved
from ratios import generator, least
from report import median, raw, section, spread

MISS = Load("without a cache", rate=None, connections=32, prompts="questions")
EXACT = Load("exact hit", rate=None, connections=32, prompts="questions", model="cached")
SEMANTIC = Load("semantic hit", rate=None, connections=32, prompts="reworded", model="understood")
LOADS = (MISS, EXACT, SEMANTIC)
VARIETY = 1024
"""Different requests that the generator has."""


def hits(setup: Setup) -> Case:
    """Requests whose answers are known, on 32 connections."""
    with running(setup.directory, (*FLOORS, *WITH_CACHE)) as legs:
        routers = [leg for leg in legs if leg.way in WITH_CACHE]
        for leg in routers:
            for model in (EXACT.model, SEMANTIC.model):
                fill = Load("fill", rate=None, connections=32, prompts="questions", model=model)
                generate(leg, fill, 60, "--count", str(VARIETY))
        before = {leg.key: _answered(leg) for leg in routers}
        floors, others = interleaved([leg for leg in legs if leg.way in FLOORS], [MISS], setup.rounds, setup.seconds)
        taken, disturbed = interleaved(routers, LOADS, setup.rounds, setup.seconds)
        for leg in routers:
            _check(leg, before[leg.key])
    lines: list[Line] = []
    rows: list[list[str]] = []
    for way in WITH_CACHE:
        floor = floors[f"granian {way.name.split()[-1]}"][MISS.name]
        rows.append(_row(f"granian {way.name.split()[-1]} alone", "", floor, floor))
        for load in LOADS:
            rounds = taken[way.key][load.name]
            rows.append(_row(way.key, load.name, rounds, floor))
            if load is not MISS:
                ratio = least(rounds) / least(floor)
                lines.append(at_most(f"{way.name}, {load.name}, CPU over granian alone", ratio, 1.5, "times"))
    table = section(f"hits, {setup.rounds} rounds of {setup.seconds} s", HEAD, rows)
    return Case("hits: answers from the cache, 32 connections", lines, [table], [floors, taken, others, disturbed])


def _answered(leg: Leg) -> dict[str, float]:
    """How many requests were answered, by what."""
    seen = counters(leg)
    results = ("hit", "semantic", "miss", "bypass")
    return {result: sum(_of(seen, result)) for result in results}


def _of(seen: dict[str, float], result: str) -> list[float]:
    name = "edgeroute_cache_requests_total"
    return [value for key, value in seen.items() if key.startswith(name) and f'result="{result}"' in key]


def _check(leg: Leg, before: dict[str, float]) -> None:
    """A figure of hits in which the model answered is none."""
    after = _answered(leg)
    more = {result: after[result] - before[result] for result in after}
    if more["miss"] or more["bypass"] or not (more["hit"] and more["semantic"]):
        raise BenchError(f"{leg.key}: not all were hits: {more}")


HEAD = ["leg", "answer", "CPU µs, least", "mean", "spread", "over granian alone", "requests/s", "generator cores"]


def _row(leg: str, answer: str, rounds: Sequence[Round], floor: Sequence[Round]) -> list[str]:
    return [
        leg, answer, f"{least(rounds):.1f}", f"{raw(rounds):.1f}", f"{spread(rounds):.0f} %",
        f"{least(rounds) / least(floor):.2f}",
        f"{median(rounds, lambda one: one.generated.completed / one.generated.seconds):,.0f}", generator(rounds),
    ]  # fmt: skip
