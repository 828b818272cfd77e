"""Back-pressure where the server has none: the kernel knows what a client has not taken yet.

RSGI takes whatever it is given, and never says whether the client reads it. But while a client does not read, its
socket's send queue stays full, and Linux shows that in /proc/net/tcp (man 5 proc).
"""

import asyncio
import ipaddress
import re
import sys
import time
from collections.abc import Iterable
from pathlib import Path

_PORTION = 256 << 10
"""A stream asks after each portion whether the last one was taken: two of them may be unread."""
_IN_TRANSIT = 16 << 10
"""A send queue of less is on its way to a client that reads: no socket is full with so little."""
_SHARE = 20
"""Looking may take one part in so many of the time: with thousands of sockets it takes milliseconds."""
_TABLES = (Path("/proc/self/net/tcp"), Path("/proc/self/net/tcp6"))


class SendQueues:
    """Looks, for all streams at once and on a thread, whether clients have taken what they were sent."""

    def __init__(self, loop: asyncio.AbstractEventLoop, tables: Iterable[Path] = _TABLES) -> None:
        """`tables` are files in the form of /proc/net/tcp; where there are none, nothing is unread."""
        self._loop = loop
        self._tables = tuple(tables)
        self._waiting: dict[asyncio.Future[None], str] = {}
        self._looking = False
        self._not_before = 0.0

    def taken(self, peer: str) -> "asyncio.Future[None]":
        """Fulfilled when the client at this address and port (`10.0.0.1:4711`) has taken nearly all, or is gone."""
        future = self._loop.create_future()
        self._waiting[future] = peer
        self.look()
        return future

    def look(self) -> None:
        """Look if somebody waits; to be called again and again."""
        now = self._loop.time()
        if not self._waiting or self._looking or now < self._not_before:
            return
        self._looking = True
        self._loop.run_in_executor(None, _look, self._tables, set(self._waiting.values())).add_done_callback(
            self._looked
        )

    def close(self) -> None:
        """Let everybody go on who waits."""
        for future in self._waiting:
            if not future.done():
                future.set_result(None)
        self._waiting.clear()

    def _looked(self, looked: "asyncio.Future[tuple[dict[str, int], float]]") -> None:
        self._looking = False
        if looked.cancelled():
            return
        sizes, seconds = looked.result()
        self._not_before = self._loop.time() + _SHARE * seconds
        for future, peer in list(self._waiting.items()):
            if future.done() or sizes.get(peer, 0) < _IN_TRANSIT:
                del self._waiting[future]
                if not future.done():
                    future.set_result(None)


class Pace:
    """How far one stream may go. Whether a portion was taken is found out while the next one is sent."""

    def __init__(self, queues: SendQueues, peer: str, most: int) -> None:
        """The stream to `peer` may have `most` bytes."""
        self._queues = queues
        self._peer = peer
        self.first = min(_PORTION, most)
        """Bytes that may be sent at once."""
        self._rest = most - self.first
        self._asked: asyncio.Future[None] | None = None

    async def go_on(self, left: int) -> int:
        """What is left, which is less than nothing, after another portion; less than nothing again if the stream is too
        large. Waits until the portion before the last was taken.
        """
        if not self._rest:
            return left
        if self._asked is not None:
            await self._asked
        self._asked = self._queues.taken(self._peer)
        portions = min(self._rest, -(left // _PORTION) * _PORTION)
        self._rest -= portions
        return left + portions

    def close(self) -> None:
        """The stream has ended: nobody asks any more."""
        if self._asked is not None:
            self._asked.cancel()


def _look(tables: Iterable[Path], peers: Iterable[str]) -> tuple[dict[str, int], float]:
    """The queues, and the seconds of CPU that looking took."""
    began = time.thread_time()
    return queue_sizes(tables, peers), time.thread_time() - began


def queue_sizes(tables: Iterable[Path], peers: Iterable[str]) -> dict[str, int]:
    """Bytes that wait in the send queues of connections to these peers; those without a connection are left out."""
    text = "".join(table.read_text("ascii") for table in tables if table.exists())
    found: dict[str, int] = {}
    for peer in filter(_written, peers):
        # The remote address, state and send queue of a line.
        sizes = re.findall(rf" {_written(peer)} [0-9A-F]{{2}} ([0-9A-F]{{8}}):", text)
        if sizes:
            found[peer] = max(int(size, 16) for size in sizes)
    return found


def _written(peer: str) -> str:
    """An address and port as the tables have them: words of four bytes in the machine's order, in hexadecimal. Empty
    for what is none, as with a socket of Unix.
    """
    host, _, port = peer.rpartition(":")
    try:
        packed = ipaddress.ip_address(host.strip("[]").partition("%")[0]).packed
    except ValueError:
        return ""
    words = [int.from_bytes(packed[at : at + 4], sys.byteorder) for at in range(0, len(packed), 4)]
    return "".join(f"{word:08X}" for word in words) + f":{int(port):04X}"
