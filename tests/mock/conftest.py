"""A mock provider without pauses, in a thread of its own."""

import asyncio
import threading
from collections.abc import Iterator

import pytest
import uvloop
from mock_client import HANG, Mock

from edgeroute.mock import Distribution, MockSettings, start

NO_TIME = Distribution.parse("0ms")


@pytest.fixture(scope="session")
def server() -> Iterator[Mock]:
    """The mock provider of the whole test session."""
    port: list[int] = []
    ready = threading.Event()
    loop = uvloop.new_event_loop()
    stop = asyncio.Event()

    async def run() -> None:
        mock = await start(MockSettings(listen="127.0.0.1:0", first_token=NO_TIME, token_interval=NO_TIME))
        port.append(mock.port)
        ready.set()
        await stop.wait()
        await mock.close()

    thread = threading.Thread(target=lambda: loop.run_until_complete(run()), daemon=True)
    thread.start()
    assert ready.wait(HANG)
    yield Mock(port[0])
    loop.call_soon_threadsafe(stop.set)
    thread.join(HANG)
    assert not thread.is_alive()
    loop.close()


@pytest.fixture
def mock(server: Mock) -> Mock:
    """The mock provider with nothing in its journal."""
    server.until(lambda stats: stats["open"] == 0)
    server.call("POST", "/mock/reset")
    return server
