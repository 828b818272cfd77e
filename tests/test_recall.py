"""Answers from the cache and answers kept, on both faces, with a provider that says exactly what a test wants."""

import asyncio
import gc
import json
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest
from app_in_process import (
    CLOSE,
    CONFIG,
    DONE,
    END,
    PATIENCE,
    STREAM,
    USAGE,
    Client,
    Face,
    Running,
    chunk,
    completion,
    event,
    run,
    wait_for,
    whole,
)

from edgeroute._native import Store
from edgeroute.supervisor.caches import By

FACES: list[Face] = ["asgi", "rsgi"]
CACHED = (
    CONFIG.replace("[one/small, two/small]}}", "[one/small, two/small], cache: {{mode: exact, replay: REPLAY}}}}")
    + "cache: {{path: DIRECTORY, memory: 64KiB, size: 8MiB}}\n"
)
LAST = b'data: {"object":"chat.completion.chunk","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\n'
EVENTS = [*(event(str(number)) for number in range(20)), LAST]
TEXT = b"".join(EVENTS)
STREAMED: list[bytes | asyncio.Event | str] = [STREAM, *map(chunk, EVENTS), chunk(USAGE + DONE) + END]


def answer(text: str = "Yes.", reason: str | None = "stop") -> bytes:
    message = {"role": "assistant", "content": text}
    choice = {"index": 0, "message": message, "finish_reason": reason}
    usage = {"prompt_tokens": 7, "completion_tokens": 3}
    return json.dumps({"object": "chat.completion", "choices": [choice], "usage": usage}).encode()


def play(
    tmp_path: Path,
    face: Face,
    scenario: Callable[[Running], Coroutine[Any, Any, None]],
    replay: str = "at-once",
    size: str = "8MiB",
) -> Running:
    config = CACHED.replace("DIRECTORY", str(tmp_path / "cache")).replace("REPLAY", replay).replace("8MiB", size)
    running = run(tmp_path, face, scenario, "1MiB", config=config)
    assert running.mishaps == []
    assert running.in_flight() == 0
    assert set(running.sums("edgeroute_dropped_total").values()) == {0}
    return running


async def ask(running: Running, **fields: object) -> Client:
    return await running.ask(Client(body=completion(**fields)))  # pyright: ignore[reportArgumentType]


def cache(client: Client) -> str:
    return client.fields["x-edgeroute-cache"].partition(";")[0]


@pytest.mark.parametrize("face", FACES)
@pytest.mark.parametrize("size", [10, 100_000], ids=["in memory", "from the store"])
def test_whole_answers(tmp_path: Path, face: Face, size: int) -> None:
    async def scenario(running: Running) -> None:
        said = answer("x" * size)
        running.provider.scripts = [
            [whole(said, extra=b"x-said: once\r\n", content_type="application/json; charset=utf-8")]
        ]
        first = await ask(running)
        assert (cache(first), first.text) == ("miss", said)
        for _ in range(3):
            again = await ask(running)
            assert (again.status, again.text, cache(again)) == (200, said, "hit")
            assert again.fields["content-type"] == "application/json; charset=utf-8"
            assert "x-said" not in again.fields, "what a provider says of one response is not true of another"
            assert again.fields["x-edgeroute-attempts"] == "0"
        assert len(running.provider.requests) == 1

    running = play(tmp_path, face, scenario)
    assert [line["cache"] for line in running.log()] == ["miss", "hit", "hit", "hit"]
    assert {line["outcome"] for line in running.log()} == {"ok"}


@pytest.mark.parametrize("face", FACES)
@pytest.mark.parametrize("replay", ["at-once", "paced"])
def test_streams(tmp_path: Path, face: Face, replay: str) -> None:
    async def scenario(running: Running) -> None:
        running.provider.scripts = [STREAMED] * 2
        for options, expected in (
            ({}, TEXT + DONE),
            ({"stream_options": {"include_usage": True}}, TEXT + USAGE + DONE),
        ):
            for result in ("miss", "hit", "hit"):
                client = await ask(running, stream=True, **options)
                assert (client.status, client.text, cache(client)) == (200, expected, result)
                assert client.fields["content-type"] == "text/event-stream"
                assert client.whole == (face == "asgi" or client.whole)
        assert len(running.provider.requests) == 2

    assert {line["outcome"] for line in play(tmp_path, face, scenario, replay).log()} == {"ok"}


@pytest.mark.parametrize("face", FACES)
@pytest.mark.parametrize("leaves", [False, True])
def test_a_paced_stream_keeps_its_pauses(tmp_path: Path, face: Face, leaves: bool) -> None:
    """What came together comes together, and what came later comes later."""

    async def scenario(running: Running) -> None:
        later = asyncio.Event()
        first = chunk(b"".join(EVENTS[:10]))
        running.provider.scripts = [[STREAM, first, later, chunk(b"".join(EVENTS[10:]) + DONE) + END]]
        client = Client(body=completion(stream=True))
        task = running.serve(client)
        await wait_for(lambda: client.chunks)
        await asyncio.sleep(0.5)
        later.set()
        await task
        replayed = Client(body=completion(stream=True))
        task = running.serve(replayed)
        await wait_for(lambda: replayed.chunks)
        assert replayed.text == b"".join(EVENTS[:10]), "the rest is for later"
        if leaves:
            replayed.left.set()
        await asyncio.wait_for(task, 60)
        assert (replayed.text == client.text) != leaves

    running = play(tmp_path, face, scenario, "paced")
    assert [line["outcome"] for line in running.log()] == ["ok", "disconnected" if leaves else "ok"]


@pytest.mark.parametrize("face", FACES)
@pytest.mark.parametrize("size", [1, 90_000], ids=["in memory", "from the store"])
def test_a_paced_stream_ends_with_the_process(tmp_path: Path, face: Face, size: int) -> None:
    large = event("x" * size)

    async def scenario(running: Running) -> None:
        later = asyncio.Event()
        running.provider.scripts = [[STREAM, chunk(large), later, *STREAMED[1:]]]
        first = Client(body=completion(stream=True))
        task = running.serve(first)
        await wait_for(lambda: first.chunks)
        await asyncio.sleep(1)
        later.set()
        await task
        replayed = Client(body=completion(stream=True))
        task = running.serve(replayed)
        await wait_for(lambda: replayed.chunks)
        running.app.end_requests()
        await task
        assert replayed.text.startswith(large + b"data: ")
        assert json.loads(replayed.text[len(large) :].removeprefix(b"data: "))["error"]["code"] == "stream_stopping"

    running = play(tmp_path, face, scenario, "paced")
    assert [line["outcome"] for line in running.log()] == ["ok", "cut"]


@pytest.mark.parametrize("face", FACES)
@pytest.mark.parametrize(
    "script",
    [
        [whole(answer(reason="length"))],
        [whole(answer(reason="content_filter"))],
        [whole(answer(reason=None))],
        [whole(answer(), status=201)],
        [whole(b'{"error":{"message":"no"}}', status=400)],
        [whole(answer("x" * (1 << 20)))],
        [STREAM, *map(chunk, EVENTS[:10]), CLOSE],
        [STREAM, *map(chunk, EVENTS[:10]), chunk(DONE) + END],
        [STREAM, *map(chunk, EVENTS), END],
        [STREAM, *map(chunk, EVENTS), chunk(b'data: {"error":{"message":"no"}}\n\n' + DONE) + END],
        [STREAM, *[chunk(event("x" * 60_000))] * 20, *map(chunk, EVENTS), chunk(DONE) + END],
    ],
    ids=["cut", "filtered", "unknown", "201", "refused", "large", "broken", "unfinished", "endless", "error", "long"],
)
def test_what_is_not_kept(tmp_path: Path, face: Face, script: list[Any]) -> None:
    async def scenario(running: Running) -> None:
        for _ in range(2):
            running.provider.scripts = [script]
            client = await ask(running, stream=script[0] == STREAM)
            assert cache(client) == "miss"
        assert len(running.provider.requests) == 2

    play(tmp_path, face, scenario)


@pytest.mark.parametrize("face", FACES)
def test_a_stream_that_its_client_leaves_is_not_kept(tmp_path: Path, face: Face) -> None:
    async def scenario(running: Running) -> None:
        later = asyncio.Event()
        running.provider.scripts = [[STREAM, chunk(EVENTS[0]), later, *STREAMED[1:]], STREAMED]
        client = Client(body=completion(stream=True))
        task = running.serve(client)
        await wait_for(lambda: client.chunks)
        client.left.set()
        await task
        later.set()
        assert cache(await ask(running, stream=True)) == "miss"

    play(tmp_path, face, scenario)


@pytest.mark.parametrize("face", FACES)
def test_a_store_that_loses_everything(tmp_path: Path, face: Face) -> None:
    """What was known and is gone when it is fetched is asked for again."""

    async def scenario(running: Running) -> None:
        said = answer("x" * 100_000)
        running.provider.scripts = [[whole(said)]]
        assert cache(await ask(running)) == "miss"
        assert cache(await ask(running)) == "hit"
        (tmp_path / "another").mkdir()
        caches = running.config["cache"] | {"path": str(tmp_path / "another")}
        running.publish(2, cache=caches)
        running.provider.scripts = [[whole(said)]] * 1000
        asked = len(running.provider.requests)
        await wait_for(lambda: running.app._started.native.published == 2)  # pyright: ignore
        async with asyncio.timeout(PATIENCE):
            while len(running.provider.requests) == asked:
                assert (await ask(running)).text == said
        assert len(running.provider.requests) == asked + 1, "another store knows nothing"
        running.provider.scripts = []
        assert cache(await ask(running)) == "hit"

    play(tmp_path, face, scenario)


@pytest.mark.parametrize("face", FACES)
def test_a_purge_reaches_what_is_in_memory_alone(tmp_path: Path, face: Face) -> None:
    """An answer that is too large for its file is given again by the worker that has it, until it is purged."""

    async def scenario(running: Running) -> None:
        said = answer("x" * 40_000)
        running.provider.scripts = [[whole(said)]]
        assert [cache(await ask(running)) for _ in range(3)] == ["miss", "hit", "hit"]
        store = Store(str(tmp_path / "cache"), 1 << 20, 100)
        await wait_for(lambda: store.statistics().available)
        assert store.statistics().entries == 0
        model = json.loads(completion())["model"]
        asked = len(running.provider.requests)
        purges: list[tuple[By, str]] = [("model", model), ("older_than", "")]
        for by, name in purges:
            running.provider.scripts = [[whole(said)]]
            store.purge(by, name, time.time_ns() // 1_000_000 + 60_000)
            asked += 1
            async with asyncio.timeout(PATIENCE):
                while len(running.provider.requests) < asked:
                    assert (await ask(running)).text == said

    play(tmp_path, face, scenario, size="1MiB")


def resident() -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) << 10 for line in lines if line.startswith("VmRSS:"))


@pytest.mark.parametrize("face", FACES)
@pytest.mark.parametrize("replay", ["at-once", "paced"])
def test_memory_does_not_grow(tmp_path: Path, face: Face, replay: str) -> None:
    """Neither with hits, from memory or from the store, nor with answers that are kept."""

    async def scenario(running: Running) -> None:
        async def rounds(count: int) -> None:
            for number in range(count):
                running.provider.scripts = [[whole(answer("x" * 100_000))], STREAMED]
                await ask(running, seed=number % 50)
                await ask(running, seed=number % 50, stream=True)

        await rounds(300)
        gc.collect()
        before = resident()
        await rounds(1500)
        gc.collect()
        # An answer is 100 kB.
        assert resident() - before < 16 << 20

    play(tmp_path, face, scenario, replay)
