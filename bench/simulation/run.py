"""One load through one policy: the events in order, and what they come to."""

from collections.abc import Sequence
from heapq import heapify, heappop, heappush
from math import inf
from random import Random

import msgspec

from simulation.loads import Load
from simulation.parameters import REPLICAS
from simulation.policies import Maker
from simulation.replica import Job, Replica


class Figures(msgspec.Struct, frozen=True):
    """What came of one run. Times to the first token in seconds."""

    mean: float
    p50: float
    p95: float
    p99: float
    hit_rate: float
    """The share of prompt tokens that a cache held."""
    throughput: float
    """Tokens a second, of prompts and replies, from the first arrival to the last end."""
    imbalance: float
    """What the busiest replica read, over the mean."""
    requests: int


def simulate(load: Load, make: Maker, seed: int, *, routers: int = 1, shared: bool = False) -> Figures:
    """Run a load to its end. Routers do not know of each other, unless their knowledge is `shared`."""
    random = Random(seed)
    names = [f"gpu-{seed}-{number}" for number in range(REPLICAS)]
    policies = [make(names, Random(seed * 1000 + number)) for number in range(1 if shared else routers)]
    replicas = [Replica(load.engine, load.block_tokens) for _ in names]
    clients = [iter(client) for client in load.clients]
    started = len(clients) if load.at_once is None else min(load.at_once, len(clients))
    # Arrivals and the ends of steps: (time, number, job or none, replica, its version).
    events: list[tuple[float, int, Job | None, int, int]] = []
    for owner in range(started):
        request = next(clients[owner], None)
        if request is not None:
            events.append((request.pause, owner, Job(request, request.pause, owner), 0, 0))
    heapify(events)
    number = len(clients)
    jobs: list[Job] = []
    last = 0.0
    while events:
        now, _, job, at, version = heappop(events)
        if job is not None:
            job.router = random.randrange(len(policies)) if len(policies) > 1 else 0
            at = policies[job.router].send(job, now)
            jobs.append(job)
            wake = replicas[at].arrive(job, now)
            if wake is None:
                continue
        else:
            replica = replicas[at]
            if version != replica.version:
                continue
            first, done, wake = replica.wake(now)
            for each in first:
                each.first = now
                policies[each.router].first_token(each, now)
            for each in done:
                policies[each.router].end(each, now)
                last = now
                request = next(clients[each.owner], None)
                while request is None and started < len(clients):
                    # The next client takes the place of one that is through.
                    each.owner = started
                    request = next(clients[started], None)
                    started += 1
                if request is not None:
                    due = now + request.pause
                    number += 1
                    heappush(events, (due, number, Job(request, due, each.owner), 0, 0))
        if wake < inf:
            number += 1
            heappush(events, (wake, number, None, at, replicas[at].version))
    return _figures(jobs, replicas, last)


def _figures(jobs: Sequence[Job], replicas: Sequence[Replica], last: float) -> Figures:
    waits = sorted(job.first - job.arrival for job in jobs)
    prompts = sum(job.request.tokens for job in jobs)
    replies = sum(job.request.output for job in jobs)
    computed = [replica.computed for replica in replicas]

    def percentile(percent: int) -> float:
        return waits[min(len(waits) - 1, len(waits) * percent // 100)]

    return Figures(
        mean=sum(waits) / len(waits),
        p50=percentile(50),
        p95=percentile(95),
        p99=percentile(99),
        hit_rate=sum(job.cached for job in jobs) / prompts,
        throughput=(prompts + replies) / (last - jobs[0].arrival),
        imbalance=max(computed) * len(computed) / sum(computed),
        requests=len(jobs),
    )
