"""Limits that all workers keep together, and that no death of a worker can leak."""

import http.client
import json
import os
import random
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any

import pytest
from e2e_config import basic_config
from e2e_router import Answer, Config, Router, hashed, in_one_minute
from waiting import wait_for

START = Callable[[Config], Router]
Connections = list[http.client.HTTPConnection]
TOKENS = 10_000
REQUESTS = 50
PLACES = 5
PROMPT = 9
"""Estimated tokens of `Hello` as the only message: 3, 4 per message, and its 5 bytes divided by 4, rounded up."""


@pytest.fixture(scope="module")
def limited(start: START, face: str) -> Router:
    """Four workers, and each kind of limit on two keys: tests that meet the end of a minute use the second."""
    config = basic_config(workers=4, interface=face)
    config["mock"] = {"first_token": "0ms", "token_interval": "0ms"}
    config["rules"] = [
        {
            "name": f"over-{percent}",
            "when": f"virtual_key_name.startsWith('sequence') && tokens_used > {percent}",
            "model": "one/mock-tokens-30",
        }
        for percent in range(90, 0, -10)
    ]
    limits = {
        "tokens": {"tokens_per_minute": TOKENS},
        "sequence": {"tokens_per_minute": TOKENS},
        "requests": {"requests_per_minute": REQUESTS},
        "places": {"concurrency": PLACES},
    }
    config["virtual_keys"] |= {
        f"{name}-{turn}": {"hash": hashed(f"{name}-{turn}"), "limits": limit}
        for turn in (0, 1)
        for name, limit in limits.items()
    }
    return start(config)


@pytest.fixture
def connections(limited: Router) -> Iterator[Connections]:
    """A connection to each of the four workers."""
    with limited.connection_to_each_worker() as found:
        yield list(found.values())


def usage(answer: Answer) -> int:
    """Tokens of a reply, as the client was told; a stream tells it in the last chunk before its end marker."""
    assert answer.status == 200, answer
    reply = json.loads(answer.data[-2]) if b"data: " in answer.body else answer.json
    return reply["usage"]["total_tokens"]


def fits(router: Router, key: str, tokens: int, connection: http.client.HTTPConnection) -> bool:
    """Whether a worker would reserve so many tokens; the provider refuses the request, so none are used."""
    answer = router.chat("one/mock-status-400", key=key, max_tokens=tokens - PROMPT, connection=connection)
    assert (answer.status, answer.json["error"]["code"]) in ((400, None), (429, "rate_limit_exceeded")), answer
    return answer.status == 400


def test_what_all_workers_count_is_what_clients_were_told(limited: Router, connections: Connections) -> None:
    """Requests in parallel, whole, streamed and failing: then each worker has the same count, to the token."""
    draws = random.Random(3)

    def one(draw: tuple[int, str, str]) -> int:
        most, kind, key = draw
        if kind == "failing":
            assert limited.chat("one/mock-status-404", key=key, max_tokens=most).status == 404
            return 0
        streamed: dict[str, Any] = {"stream": True, "stream_options": {"include_usage": True}}
        return usage(
            limited.chat("one/gpt-5-mini", key=key, max_tokens=most, **(streamed if kind == "streamed" else {}))
        )

    def run(turn: int) -> list[tuple[bool, bool]]:
        key, naive = f"tokens-{turn}", 0
        seen: list[tuple[bool, bool]] = []
        with ThreadPoolExecutor(8) as pool:
            for _ in range(3):
                kinds = draws.choices(["whole", "streamed", "failing"], k=60)
                naive += sum(pool.map(one, [(draws.randint(1, 60), kind, key) for kind in kinds]))
                left = TOKENS - naive
                seen += [(fits(limited, key, left, each), fits(limited, key, left + 1, each)) for each in connections]
        return seen

    assert in_one_minute(run) == [(True, False)] * 12


def test_tokens_used_is_exact_on_every_worker(limited: Router, connections: Connections) -> None:
    """Which rule matches, and whether there is room, is what a naive count says; request by request, on any worker."""
    draws = random.Random(4)

    def run(turn: int) -> list[tuple[tuple[int, str], tuple[int, str]]]:
        naive = 0
        compared: list[tuple[tuple[int, str], tuple[int, str]]] = []
        while naive < 0.97 * TOKENS:
            most = draws.randint(1, 400)
            answer = limited.chat(
                f"one/mock-tokens-{draws.randint(1, 300)}",
                key=f"sequence-{turn}",
                max_tokens=most,
                connection=draws.choice(connections),
            )
            over = next((percent for percent in range(90, 0, -10) if 100 * naive / TOKENS > percent), None)
            rule = "" if over is None else f"over-{over}"
            has_room = naive + PROMPT + most <= TOKENS
            compared.append(((answer.status, answer.chosen()[2]), (200 if has_room else 429, rule)))
            naive += usage(answer) if answer.status == 200 else 0
        return compared

    compared = in_one_minute(run)
    assert [seen for seen, _ in compared] == [expected for _, expected in compared]
    assert {rule for _, (_, rule) in compared} == {"", *(f"over-{percent}" for percent in range(10, 100, 10))}


def test_requests_per_minute_is_exact_over_all_workers(limited: Router) -> None:
    def run(turn: int) -> list[int]:
        with ThreadPoolExecutor(8) as pool:
            asked = [
                pool.submit(limited.chat, "fast", key=f"requests-{turn}", max_tokens=1) for _ in range(2 * REQUESTS)
            ]
            return sorted(each.result().status for each in asked)

    assert in_one_minute(run) == [200] * REQUESTS + [429] * REQUESTS


def test_concurrency_is_never_exceeded(limited: Router, connections: Connections) -> None:
    before = limited.mock.stats()["open"]
    with ExitStack() as open_streams:

        def try_one() -> int:
            stream = limited.held("places-0")
            response = stream.__enter__()
            if response.status == 200:
                open_streams.push(stream)
            else:
                stream.__exit__(None, None, None)
            return response.status

        with ThreadPoolExecutor(8) as pool:
            statuses = [each.result() for each in [pool.submit(try_one) for _ in range(40)]]
        # Those who compete for the last place may all step back; then it is free for the next.
        while statuses.count(200) < PLACES:
            statuses.append(try_one())
        assert statuses.count(200) == PLACES
        assert set(statuses) == {200, 429}
        assert limited.mock.stats()["open"] - before == PLACES
        for each in connections:
            refused = limited.chat("fast", key="places-0", connection=each)
            assert (refused.status, refused.headers["retry-after"]) == (429, "1")
        assert limited.chat("fast", key="places-1").status == 200, "another key has places of its own"
    for each in connections:
        wait_for(lambda each=each: limited.chat("fast", key="places-0", connection=each).status == 200)


def test_concurrency_under_load(limited: Router) -> None:
    """Many short requests at once: the provider never sees more of them than there are places."""
    limited.idle()
    with ThreadPoolExecutor(16) as pool:
        loads = [pool.submit(limited.chat, "one/mock-delay-10", key="places-1", max_tokens=1) for _ in range(200)]
        open_at_once = [limited.mock.stats()["open"]]
        while not all(load.done() for load in loads):
            open_at_once.append(limited.mock.stats()["open"])
    statuses = [load.result().status for load in loads]
    assert set(statuses) <= {200, 429}
    assert 0 < max(open_at_once) <= PLACES


def test_a_killed_worker_leaks_nothing(start: START, face: str) -> None:
    """`kill -9` of a worker that holds streams: it is replaced, and what it held is free again."""
    config = basic_config(workers=2, interface=face)
    for turn in (0, 1):
        limits = {"tokens_per_minute": 100_000, "concurrency": 4}
        config["virtual_keys"][f"limited-{turn}"] = {"hash": hashed(f"limited-{turn}"), "limits": limits}
    router = start(config)
    fields = {"model": "one/mock-stall-3", "messages": [{"role": "user", "content": "Hello"}], "max_tokens": 9991}

    def run(turn: int) -> list[object]:
        key = f"limited-{turn}"
        with ExitStack() as stack:
            held = [stack.enter_context(router.connection_to_each_worker()) for _ in range(2)]
            victim, survivor = held[0]
            streams = [
                stack.enter_context(router.stream("/v1/chat/completions", fields, key=key, connection=each))
                for connections in held
                for each in connections.values()
            ]
            assert [stream.status for stream in streams] == [200] * 4
            assert [stream.read1().startswith(b"data: ") for stream in streams] == [True] * 4
            assert router.in_flight() == 4
            assert router.chat("fast", key=key).status == 429

            os.kill(victim, signal.SIGKILL)
            wait_for(lambda: victim not in router.workers() and len(router.workers()) == 2)
            assert survivor in router.workers()
            wait_for(lambda: router.in_flight() == 2 and router.mock.stats()["open"] == 2)

            connections = stack.enter_context(router.connection_to_each_worker())
            left = 100_000 - 2 * 10_000
            seen: list[object] = [
                (fits(router, key, left, each), fits(router, key, left + 1, each)) for each in connections.values()
            ]
            more = [stack.enter_context(router.held(key, max_tokens=1)) for _ in range(2)]
            seen.append([stream.status for stream in more])
            seen.append(router.chat("fast", key=key, max_tokens=1).status)
        router.idle()
        return seen

    assert in_one_minute(run) == [(True, False), (True, False), [200, 200], 429]
    wait_for(lambda: router.metrics()["edgeroute_worker_deaths_total"] >= 1)
    assert not any(value for name, value in router.metrics().items() if name.startswith("edgeroute_dropped_total"))
