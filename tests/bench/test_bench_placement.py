"""The simulation of placement: its engine, its loads, and a small comparison from end to end."""

import json
from functools import partial
from pathlib import Path
from random import Random

import pytest
from placement import main
from simulation.loads import Load, Request, agents, tenants, threads, trace
from simulation.parameters import H100X2, H100X2_DRAM, Agents, Tenants, Threads
from simulation.policies import AFFINITY, Policy, makers
from simulation.replica import Job, Replica
from simulation.run import simulate

from edgeroute.placement import Prompt

BLOCK = 512


def request(tokens: int, output: int, blocks: tuple[int, ...] = (), pause: float = 0.0) -> Request:
    prompt = Prompt.from_blocks(blocks, tokens=tokens, tokens_per_block=BLOCK)
    return Request(pause, tokens, output, blocks, (), prompt, {"first": str(blocks[:1])})


def serve(replica: Replica, arrivals: list[tuple[float, Request]], ends: dict[int, float] | None = None) -> list[Job]:
    """Jobs that have been served, in the order of their arrival; `ends` takes when each ended, by its `id`."""
    jobs = [Job(each, at, 0) for at, each in arrivals]
    coming = list(jobs)
    wake: float | None = None
    while coming or (wake is not None and wake < float("inf")):
        if coming and (wake is None or coming[0].arrival < wake):
            job = coming.pop(0)
            wake = replica.arrive(job, job.arrival) or wake
            continue
        assert wake is not None
        now = wake
        first, done, wake = replica.wake(now)
        for job in first:
            job.first = now
        if ends is not None:
            ends.update((id(job), now) for job in done)
        wake = None if wake == float("inf") else wake
    return jobs


def test_a_prompt_alone_takes_what_reading_it_takes() -> None:
    (job,) = serve(Replica(H100X2, BLOCK), [(0.0, request(8192, 1))])
    reading = H100X2.base + 8192 * H100X2.per_prompt_token + 8192 * 4096 * H100X2.per_attended_token
    assert job.first == pytest.approx(reading)


def test_a_prefix_that_was_read_is_not_read_again() -> None:
    blocks = tuple(range(16))
    first, second = serve(Replica(H100X2, BLOCK), [(0.0, request(8192, 1, blocks)), (9.0, request(8192, 1, blocks))])
    assert (first.cached, second.cached) == (0, 8191)
    assert second.first - 9.0 < (first.first - 0.0) / 10


def test_the_longest_unused_prefix_is_forgotten_and_kept_in_main_memory() -> None:
    full = H100X2.kv_tokens // BLOCK
    fills = [
        (10.0 * number, request(BLOCK * full // 2, 1, tuple(range(1000 * number, 1000 * number + full // 2))))
        for number in range(4)
    ]
    again = (100.0, request(BLOCK * full // 2, 1, fills[0][1].blocks))
    for engine, hits in ((H100X2, False), (H100X2_DRAM, True)):
        *_, last = serve(Replica(engine, BLOCK), [*fills, again])
        assert (last.cached > 0) == hits


def test_a_context_that_does_not_fit_waits_until_another_ends() -> None:
    large = H100X2.kv_tokens * 3 // 4
    first, second = serve(Replica(H100X2, BLOCK), [(0.0, request(large, 100)), (0.1, request(large, 2))])
    assert second.first > first.first + 99 * H100X2.base
    with pytest.raises(ValueError, match="does not fit into a replica"):
        Replica(H100X2, BLOCK).arrive(Job(request(H100X2.kv_tokens, BLOCK), 0.0, 0), 0.0)


def test_steps_of_many_iterations_take_what_they_take_one_by_one() -> None:
    """A naive twin counts iterations; a short request that comes meanwhile is read in the next one."""
    arrival, tokens, output = 20.0, 2000, 3000
    ends: dict[int, float] = {}
    long, short = serve(Replica(H100X2, BLOCK), [(0.0, request(tokens, output)), (arrival, request(10, 1))], ends)
    now, is_read = long.first, False
    for decoded in range(1, output):
        reads = now >= arrival and not is_read
        now += H100X2.base + H100X2.per_sequence + (tokens + decoded) * H100X2.per_context_token
        if reads:
            is_read = True
            now += 10 * H100X2.per_prompt_token + 50 * H100X2.per_attended_token
            assert short.first == pytest.approx(now)
    assert ends[id(long)] == pytest.approx(now)


def same(policy: Policy, names: object, random: object) -> Policy:
    return policy


def small_loads(path: Path, seed: int) -> list[Load]:
    return [
        trace(path, "trace", H100X2, 1.0, seed),
        tenants(seed, Tenants(requests=60)),
        agents(seed, Agents(sessions_at_once=3, sessions=5, mean_turns=4.0)),
        threads(seed, Threads(threads_at_once=10, threads=15)),
    ]


@pytest.fixture
def mooncake(tmp_path: Path) -> Path:
    """A trace of two conversations in turn, in Mooncake's format."""
    lines = [
        {
            "timestamp": 1000 * number,
            "input_length": 1024 + 512 * number,
            "output_length": 20,
            "hash_ids": [0, *range(100 * (number % 2) + 1, 100 * (number % 2) + number + 2)],
        }
        for number in range(30)
    ]
    path = tmp_path / "mooncake_small.jsonl"
    path.write_text("\n".join(map(json.dumps, lines)) + "\n")
    return path


def test_every_policy_serves_every_request_of_every_load(mooncake: Path) -> None:
    for load in small_loads(mooncake, 1):
        expected = sum(len(client) for client in load.clients)
        for policy, make in makers(load).items():
            for routers in (1, 3):
                figures = simulate(load, make, 1, routers=routers)
                assert figures.requests == expected, (load.name, policy)
                assert 0 < figures.p50 <= figures.p95 <= figures.p99 < 100, (load.name, policy)
                assert 0 <= figures.hit_rate < 1


def test_the_same_seed_gives_the_same_figures(mooncake: Path) -> None:
    for ours, theirs, others in zip(*(small_loads(mooncake, seed) for seed in (1, 1, 2)), strict=True):
        for policy in (AFFINITY, "random", "power of two"):
            figures = simulate(ours, makers(ours)[policy], 1)
            assert figures == simulate(theirs, makers(theirs)[policy], 1)
            assert figures != simulate(others, makers(others)[policy], 2)


def test_a_router_forgets_what_has_ended(mooncake: Path) -> None:
    for load in small_loads(mooncake, 1):
        for make in makers(load).values():
            policy = make([f"gpu-{number}" for number in range(8)], Random(1))
            simulate(load, partial(same, policy), 1)
            assert [policy.requests, policy.waiting, policy.uncached, policy.context] == [[0] * 8] * 4


def test_a_comparison_from_end_to_end(mooncake: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    main(
        [
            str(mooncake),
            "--loads",
            "--seeds",
            "2",
            "--only",
            "affinity",
            "CHWBL",
            "random",
            "--goodput",
            "1",
            "--routers",
            "1,4",
            "--plots",
            "--output",
            str(out),
        ]
    )
    printed = capsys.readouterr().out
    assert "## small x1.6, HBM" in printed
    assert "4 routers, sharing what they know" in printed
    assert "| small | speed-up |" in printed
    assert "small: goodput " in printed
    assert sorted(path.suffix for path in out.iterdir()) == [".json", ".md", ".svg"]
    raw = json.loads(next(out.glob("*.json")).read_text())
    assert {run["policy"] for run in raw["runs"]} >= {"affinity", "random", "CHWBL by first 512 tokens"}
