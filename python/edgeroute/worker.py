"""What a worker process does besides answering: watches its sockets, follows the configuration, writes its log."""

import asyncio
import logging
import os
import queue
import secrets
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

from edgeroute import _native
from edgeroute.gateway import close_when_left
from edgeroute.supervisor.handover import cells_file, generation_file
from edgeroute.unread import SendQueues

_TICK_SECONDS = 0.05
"""How often deadlines, the published generation and the log are looked at."""
_TICKS_PER_SECOND = 20
"""A heartbeat comes every second, and so does another attempt at a configuration that cannot be taken up."""
_LOG_BYTES = 8 << 20
"""Log lines that may wait for a slow reader of the log before lines are dropped."""
_LOG_PATIENCE_SECONDS = 5.0
"""How long the end of a worker waits for whoever reads the log."""

_log = logging.getLogger("edgeroute")


class Worker:
    """One process of the server, from the start of its event loop to its end."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        cells: _native.Cells,
        normalised: Callable[[int], bytes],
        *,
        json_log: bool,
    ) -> None:
        """Follows the generation that the cells name; `normalised` gives the configuration of one.

        Raises OSError or ValueError if the cells or the published configuration cannot be used.
        """
        self.native = _native.Worker(cells, secrets.randbits(64), json_log)
        self.max_body = 0
        self.max_in_flight = 0
        self.in_flight = 0
        """Requests that have not ended; the application counts them."""
        self.reading: dict[Any, int | None] = {}
        """What is awaited of bodies, with the tick at which it is cancelled, once that is known."""
        self.queues = SendQueues(loop)
        self._ticks_for_body = 0
        self._turned_away = 0
        self._loop = loop
        self._normalised = normalised
        self._generation = 0
        self._adopt(self._compile(self.native.published))
        self._adopting: asyncio.Future[_native.Snapshot] | None = None
        self._adopt_at_tick = 0
        self._log = LogWriter(sys.stdout.fileno() if sys.stdout else None)
        self._ticks = 0
        self._again: asyncio.Handle | None = None
        self._stopped = False
        loop.add_reader(self.native.fileno(), self._serve)
        self._timer = loop.call_later(_TICK_SECONDS, self._tick)

    @classmethod
    def supervised(cls, loop: asyncio.AbstractEventLoop, run_directory: Path, *, json_log: bool) -> Self:
        """A worker of `edgeroute run`: it follows what the supervisor publishes in the run directory."""
        cells = _native.Cells.open(str(cells_file(run_directory)))
        return cls(loop, cells, lambda number: generation_file(run_directory, number).read_bytes(), json_log=json_log)

    def turn_away(self, path: str, headers: list[tuple[bytes, bytes]] | list[tuple[str, str]]) -> str:
        """Count a request that finds `max_in_flight` others open; returns the caller's dialect."""
        self._turned_away += 1
        return self.native.turn_away(path, headers)

    def end_requests(self) -> None:
        """End the requests that are still open, with an error that says so."""
        ended = self.native.stop()
        self.queues.close()
        if ended:
            _log.warning("worker %d: %d requests were open longer than `drain` and are ended", os.getpid(), ended)

    def stop(self) -> None:
        """End what is under way and write what is left of the log. May be called again."""
        if self._stopped:
            return
        self._stopped = True
        self._timer.cancel()
        if self._again is not None:
            self._again.cancel()
        self._loop.remove_reader(self.native.fileno())
        self.native.close()
        self.queues.close()
        self._log.write(self.native.take_log())
        self._log.close()

    def _serve(self) -> None:
        if self.native.serve():
            self._again = self._loop.call_soon(self._serve)

    def _tick(self) -> None:
        # First of all: whatever fails below is reported by the loop, and the next tick comes.
        self._timer = self._loop.call_later(_TICK_SECONDS, self._tick)
        self._ticks += 1
        if self._ticks % _TICKS_PER_SECOND == 0:
            self.native.heartbeat()
            self._report_overload()
        self._serve()
        for ticket, client in self.native.lasting():
            ticket.watch(self._loop.create_task(close_when_left(client, ticket)))
        self._cancel_late_bodies()
        self.queues.look()
        self._log.write(self.native.take_log())
        for warning in self.native.take_warnings():
            _log.warning("worker %d: %s", os.getpid(), warning)
        published = self.native.published
        if published != self._generation and self._adopting is None and self._ticks >= self._adopt_at_tick:
            self._adopting = self._loop.run_in_executor(None, self._compile, published)
            self._adopting.add_done_callback(self._adopted)

    def _cancel_late_bodies(self) -> None:
        late: list[Any] = []
        for pending, deadline in self.reading.items():
            if deadline is None:
                self.reading[pending] = self._ticks + self._ticks_for_body
            elif self._ticks >= deadline and asyncio.isfuture(pending):  # as with granian
                late.append(pending)
        for pending in late:
            if pending.cancel():  # else it has come at the last moment, and its request goes on
                del self.reading[pending]

    def _report_overload(self) -> None:
        if self._turned_away:
            _log.warning(
                "worker %d: %d requests were refused, because `max_in_flight` (%d) were open",
                os.getpid(), self._turned_away, self.max_in_flight,
            )  # fmt: skip
            self._turned_away = 0

    def _compile(self, generation: int) -> _native.Snapshot:
        return self.native.compile(self._normalised(generation), generation)

    def _adopted(self, compiled: "asyncio.Future[_native.Snapshot]") -> None:
        self._adopting = None
        if self._stopped or compiled.cancelled():
            return
        try:
            self._adopt(compiled.result())
        except Exception:  # noqa: BLE001 (whatever it is, the worker goes on with the configuration it has)
            # The supervisor has compiled the same bytes: what fails here may pass.
            self._adopt_at_tick = self._ticks + _TICKS_PER_SECOND
            _log.exception("worker %d cannot take up the new configuration and tries again", os.getpid())

    def _adopt(self, snapshot: _native.Snapshot) -> None:
        self.native.configure(snapshot)
        self._generation = snapshot.generation
        self.max_body = snapshot.max_body
        self.max_in_flight = snapshot.max_in_flight
        self._ticks_for_body = snapshot.body_ms * _TICKS_PER_SECOND // 1000


class LogWriter:
    """Writes batches of lines to a descriptor on a thread, so that a slow reader never stops the loop.

    Lines are dropped, and their number is reported, while more than `most` bytes wait or writing fails. Without a
    descriptor (standard output is closed) all lines are.
    """

    def __init__(self, descriptor: int | None, most: int = _LOG_BYTES) -> None:
        self._descriptor = descriptor
        self._most = most
        self._batches: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        # Each of the two is written by one thread only.
        self._accepted = 0
        self._finished = 0
        self._dropped = 0
        self._thread = threading.Thread(target=self._run, name="log", daemon=True)
        self._thread.start()
        if descriptor is None:
            _log.warning("standard output is closed: there is no request log")

    def write(self, lines: bytes) -> None:
        """Take lines; never waits."""
        if not lines:
            return
        if self._accepted - self._finished + len(lines) > self._most:
            self._dropped += lines.count(b"\n")
            return
        if self._dropped:
            _log.error("%d log lines were dropped: whoever reads the log is too slow", self._dropped)
            self._dropped = 0
        self._accepted += len(lines)
        self._batches.put(lines)

    def close(self, patience: float = _LOG_PATIENCE_SECONDS) -> None:
        """Wait, but not for ever, until everything is written."""
        self._batches.put(None)
        self._thread.join(patience)
        left = self._accepted - self._finished
        if self._dropped or left:
            _log.error("at the end %d log lines were dropped and %d bytes not written", self._dropped, left)

    def _run(self) -> None:
        failed = 0
        while (lines := self._batches.get()) is not None:
            try:
                if self._descriptor is not None:
                    _write_all(self._descriptor, lines)
            except OSError as error:
                if not failed:
                    _log.error("cannot write the log, lines are lost: %s", error)
                failed += lines.count(b"\n")
            else:
                if failed:
                    _log.error("the log can be written again; %d lines were lost", failed)
                failed = 0
            self._finished += len(lines)


def _write_all(descriptor: int, lines: bytes) -> None:
    rest = memoryview(lines)
    while rest:
        rest = rest[os.write(descriptor, rest) :]
