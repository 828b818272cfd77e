"""Events of a stream cost Python by the arrival, not by the event; the first one waits for nobody."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from app_in_process import DONE, END, STREAM, USAGE, Client, Face, Running, chunk, completion, event, run, wait_for

EVENTS = 100
ALL = b"".join(event(str(number)) for number in range(EVENTS))
BURST = b"".join(chunk(event(str(number))) for number in range(EVENTS))
LAST = chunk(USAGE + DONE)


def streaming() -> Client:
    return Client(body=completion("one/small", stream=True))


def count_wakes(running: Running) -> list[Any]:
    """The futures that are made from now on: a request waits for nothing else."""
    made: list[Any] = []
    create: Callable[[], Any] = asyncio.get_running_loop().create_future

    def create_future() -> Any:
        made.append(create())
        return made[-1]

    running.app._create_future = create_future  # pyright: ignore[reportPrivateUsage]
    return made


@pytest.mark.parametrize("face", ["asgi", "rsgi"])
def test_what_arrives_together_wakes_python_once(tmp_path: Path, face: Face) -> None:
    async def scenario(running: Running) -> None:
        running.provider.scripts = [[STREAM + BURST + LAST + END]]
        wakes = count_wakes(running)
        client = await running.ask(streaming())
        assert client.chunks == [ALL + DONE], "in one piece; the usage that the client did not ask for is left out"
        assert len(wakes) == 1

    run(tmp_path, face, scenario)


@pytest.mark.parametrize("face", ["asgi", "rsgi"])
def test_the_first_event_waits_for_nobody(tmp_path: Path, face: Face) -> None:
    async def scenario(running: Running) -> None:
        rest = asyncio.Event()
        running.provider.scripts = [[STREAM + chunk(event("first")), rest, BURST + LAST + END]]
        wakes = count_wakes(running)
        client = streaming()
        task = running.serve(client)
        await wait_for(lambda: client.chunks)
        assert client.chunks == [event("first")], "nothing more has been sent by the provider"
        rest.set()
        await task
        assert client.chunks == [event("first"), ALL + DONE]
        assert len(wakes) == 2, "the head with the first event, and the rest"

    run(tmp_path, face, scenario)


def test_what_arrives_while_a_client_is_slow_is_sent_at_once(tmp_path: Path) -> None:
    async def scenario(running: Running) -> None:
        second, third = asyncio.Event(), asyncio.Event()
        each = [chunk(event(str(number))) for number in range(EVENTS)]
        first = STREAM + chunk(event("first"))
        running.provider.scripts = [[first, second, chunk(event("second")), third, *each, LAST + END]]
        wakes = count_wakes(running)
        client = streaming()
        task = running.serve(client)
        await wait_for(lambda: client.chunks)
        client.reads.clear()
        second.set()
        await wait_for(lambda: client.waits)
        third.set()
        await wait_for(lambda: sum(running.sums("edgeroute_attempts_total").values()))
        client.reads.set()
        await task
        assert client.chunks == [event("first"), event("second"), ALL + DONE]
        assert len(wakes) == 2, "it waited for the first and for the second; the rest was there already"

    run(tmp_path, "asgi", scenario)
