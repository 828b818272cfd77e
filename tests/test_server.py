"""What granian's worker processes set up besides the application."""

import asyncio
import gc
from collections.abc import Generator

import pytest

from edgeroute import server


@pytest.fixture
def collector() -> Generator[None]:
    """The garbage collector of this process, afterwards as it was."""
    before = gc.get_threshold()
    yield
    gc.unfreeze()
    gc.set_threshold(*before)


class Node:
    """Garbage of this class is cyclic."""

    alive = 0

    def __init__(self) -> None:
        self.own = self
        Node.alive += 1

    def __del__(self) -> None:
        Node.alive -= 1


async def turn() -> None:
    """Let the loop do what is due."""
    await asyncio.sleep(0)


@pytest.mark.usefixtures("collector")
def test_what_lives_long_is_searched_for_garbage_at_set_times_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "_COLLECT_SECONDS", 0)
    collections: list[int] = []

    def seen(phase: str, info: dict[str, int]) -> None:
        if phase == "start":
            collections.append(info["generation"])

    async def scenario() -> None:
        server.collect_seldom(asyncio.get_running_loop())
        gc.callbacks.append(seen)
        kept = [[number] for number in range(200_000)]
        assert 1 in collections, "what is young is searched"
        assert 2 not in collections
        Node()
        while Node.alive:  # for ever, if it is never found
            await turn()
        assert 2 in collections
        assert len(kept) == 200_000

    try:
        asyncio.run(scenario())
    finally:
        gc.callbacks.remove(seen)
