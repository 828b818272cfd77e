"""What a worker process does besides answering: watches its sockets, follows the configuration, writes its log."""

import asyncio
import logging
import os
import queue
import secrets
import sys
import threading
from pathlib import Path

from edgeroute import _native

_TICK_SECONDS = 0.05
"""How often deadlines, the published generation and the log are looked at."""
_HEARTBEAT_TICKS = 20
_LOG_BATCHES = 256
"""Batches of log lines that may wait for a slow reader of the log before lines are dropped."""

_log = logging.getLogger("edgeroute")


class Worker:
    """One process of the server, from the start of its event loop to its end."""

    def __init__(self, loop: asyncio.AbstractEventLoop, run_directory: Path, *, json_log: bool) -> None:
        self.native = _native.Worker(str(run_directory / "cells"), secrets.randbits(64), json_log)
        self.max_body = 0
        self.max_stream = 0
        self._loop = loop
        self._run_directory = run_directory
        self._generation = 0
        self._adopting: asyncio.Future[_native.Snapshot] | None = None
        self._log = _LogWriter()
        self._ticks = 0
        self._adopt(self._compile(self.native.published))
        loop.add_reader(self.native.fileno(), self._serve)
        self._timer = loop.call_later(_TICK_SECONDS, self._tick)

    def stop(self) -> None:
        """Write what is left of the log. The sockets go with the process."""
        self._timer.cancel()
        self._loop.remove_reader(self.native.fileno())
        self._log.write(self.native.take_log())
        self._log.close()

    def _serve(self) -> None:
        if self.native.serve():
            self._loop.call_soon(self._serve)

    def _tick(self) -> None:
        self._timer = self._loop.call_later(_TICK_SECONDS, self._tick)
        self._serve()
        self._log.write(self.native.take_log())
        self._ticks += 1
        if self._ticks % _HEARTBEAT_TICKS == 0:
            self.native.heartbeat()
        published = self.native.published
        if published != self._generation and self._adopting is None:
            self._adopting = self._loop.run_in_executor(None, self._compile, published)
            self._adopting.add_done_callback(self._adopted)

    def _compile(self, generation: int) -> _native.Snapshot:
        normalised = (self._run_directory / f"generation-{generation}.json").read_bytes()
        return self.native.compile(normalised, generation)

    def _adopted(self, compiled: "asyncio.Future[_native.Snapshot]") -> None:
        self._adopting = None
        try:
            self._adopt(compiled.result())
        except (OSError, ValueError):
            # The supervisor has compiled the same bytes; the next tick tries again.
            _log.exception("worker %d cannot take up the new configuration", os.getpid())

    def _adopt(self, snapshot: _native.Snapshot) -> None:
        self.native.configure(snapshot)
        self._generation = snapshot.generation
        self.max_body = snapshot.max_body
        self.max_stream = snapshot.max_stream


class _LogWriter:
    """Writes batches of lines to standard output on a thread, so that a slow reader never stops the loop."""

    def __init__(self) -> None:
        self._batches: queue.Queue[bytes | None] = queue.Queue(_LOG_BATCHES)
        self._dropped = 0
        self._thread = threading.Thread(target=self._run, name="log", daemon=True)
        self._thread.start()

    def write(self, lines: bytes) -> None:
        if not lines:
            return
        try:
            self._batches.put_nowait(lines)
        except queue.Full:
            self._dropped += lines.count(b"\n")
            return
        if self._dropped:
            _log.error("%d log lines were dropped: whoever reads the log is too slow", self._dropped)
            self._dropped = 0

    def close(self) -> None:
        """Wait, but not for ever, until everything is written."""
        self._batches.put(None)
        self._thread.join(5.0)

    def _run(self) -> None:
        while (lines := self._batches.get()) is not None:
            try:
                sys.stdout.buffer.write(lines)
                sys.stdout.buffer.flush()
            except OSError as error:
                _log.error("cannot write the log: %s", error)
                return
