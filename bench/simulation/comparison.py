"""All policies on all loads, with several seeds, on as many processes as asked."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import TypeVar

import msgspec

from simulation.loads import Load, agents, tenants, threads, trace
from simulation.parameters import (
    H100X2,
    H100X2_DRAM,
    SLO_P95_TTFT,
    TRACE_SPEED_DRAM,
    TRACE_SPEED_HBM,
    Agents,
    Engine,
    Tenants,
    Threads,
)
from simulation.policies import AFFINITY, makers
from simulation.run import Figures, simulate

_T = TypeVar("_T")

GENERATED = ("tenants", "agents", "threads")

SPEEDS = range(5, 41)
"""What goodput is looked for among, in tenths."""


class Run(msgspec.Struct, frozen=True):
    """One load through one policy."""

    load: str
    policy: str
    routers: int
    shared: bool
    """Whether the routers know what the others do."""
    seed: int
    figures: Figures


class Goodput(msgspec.Struct, frozen=True):
    """The highest speed-up of a trace at which the 95th percentile of the wait keeps to the objective."""

    load: str
    policy: str
    seed: int
    speed: float


@dataclass(frozen=True)
class Case:
    """A load by its name, made anew for each seed."""

    name: str
    make: Callable[[int], Load]


def cases(traces: Sequence[Path], generated: Iterable[str], most: int | None = None) -> list[Case]:
    """The loads of a comparison: traces with at most so many requests, and generated ones by their names.

    A name may say how much of it there is: `tenants:11` are 11 requests a second, `agents:32` so many sessions at once,
    `threads:600` so many threads.
    """
    found: list[Case] = []
    for path in traces:
        name = path.stem.removeprefix("mooncake_")
        for suffix, engine, speed in (("HBM", H100X2, TRACE_SPEED_HBM), ("HBM+DRAM", H100X2_DRAM, TRACE_SPEED_DRAM)):
            title = f"{name} x{speed}, {suffix}"
            found.append(Case(title, partial(_trace, path, title, engine, speed, most)))
    return [*found, *(Case(name, partial(_generated, *name.partition(":")[::2])) for name in generated)]


def compare(
    cases: Sequence[Case], seeds: Sequence[int], routers: Sequence[int], only: Sequence[str], processes: int
) -> list[Run]:
    """Every policy on every load; those whose name begins with one in `only`, if there are any."""
    jobs = [partial(_compare_one, case, seed, tuple(routers), tuple(only)) for case in cases for seed in seeds]
    return [run for runs in _spread(jobs, processes) for run in runs]


def goodputs(
    traces: Sequence[Path], policies: Sequence[str], seeds: Sequence[int], most: int | None, processes: int
) -> list[Goodput]:
    """The goodput of each policy on each trace, replicas with a DRAM tier, one router."""
    jobs = [partial(_goodput, path, policy, seed, most) for path in traces for policy in policies for seed in seeds]
    return _spread(jobs, processes)


def _compare_one(case: Case, seed: int, routers: Sequence[int], only: Sequence[str]) -> list[Run]:
    load = case.make(seed)
    runs: list[Run] = []
    for policy, make in makers(load).items():
        if only and not policy.startswith(tuple(only)):
            continue
        for count in routers:
            for shared in (False, True) if policy == AFFINITY and count > 1 else (False,):
                figures = simulate(load, make, seed, routers=count, shared=shared)
                runs.append(Run(case.name, policy, count, shared, seed, figures))
    return runs


def _goodput(path: Path, policy: str, seed: int, most: int | None) -> Goodput:
    low, high = SPEEDS.start - 1, SPEEDS.stop
    name = path.stem.removeprefix("mooncake_")
    while high - low > 1:
        middle = (low + high) // 2
        load = _trace(path, name, H100X2_DRAM, middle / 10, most, seed)
        if simulate(load, makers(load)[policy], seed).p95 <= SLO_P95_TTFT:
            low = middle
        else:
            high = middle
    return Goodput(name, policy, seed, low / 10)


def _generated(name: str, amount: str, seed: int) -> Load:
    match name:
        case "tenants":
            return tenants(seed, Tenants(per_second=float(amount)) if amount else Tenants())
        case "agents":
            shape = Agents()
            return agents(seed, replace(shape, sessions_at_once=int(amount)) if amount else shape)
        case "threads":
            return threads(seed, Threads(threads_at_once=int(amount)) if amount else Threads())
        case _:
            raise ValueError(f"there is no load {name!r}; there are {', '.join(GENERATED)}")


def _trace(path: Path, name: str, engine: Engine, speed: float, most: int | None, seed: int) -> Load:
    return trace(path, name, engine, speed, seed, most)


def _spread(jobs: Sequence[Callable[[], _T]], processes: int) -> list[_T]:
    if processes == 1:
        return [job() for job in jobs]
    with get_context("fork").Pool(processes) as pool:
        return pool.map(_call, jobs, chunksize=1)


def _call(job: Callable[[], _T]) -> _T:
    return job()
