"""Connections: h11 reads requests, one task per request performs the steps of its reply.

A client is gone when it closes or half-closes its connection; there are no idle timeouts.
"""

import asyncio
import contextlib
import logging
import os
import signal
import socket
import struct
import sys
from collections.abc import Iterator
from typing import cast

import h11
import msgspec
import uvloop

from edgeroute.errors import StartError
from edgeroute.mock import openai
from edgeroute.mock.delivery import End, Step, steps
from edgeroute.mock.faults import Faults
from edgeroute.mock.journal import Journal, Record
from edgeroute.mock.pace import waits
from edgeroute.mock.reply import Plain
from edgeroute.mock.routes import respond
from edgeroute.mock.settings import MockSettings

_logger = logging.getLogger("edgeroute.mock")
_MOST_HEAD = 64 * 1024
_MOST_BODY = 64 * 1024 * 1024
_MOST_PIPELINED = 1024 * 1024
_BACKLOG = 1024
_PARENT_CHECK = 0.2
"""Seconds between looks whether the parent lives. Its pid is watched rather than a pipe, because forked
siblings would hold the pipe open, and rather than ``PR_SET_PDEATHSIG``, which fires when a *thread* ends."""


class MockServer:
    """A listening mock provider, made by :func:`start`."""

    def __init__(self, settings: MockSettings) -> None:
        self.settings = settings
        self.journal = Journal()
        self.connections: set[_Connection] = set()
        self.port = 0
        """The port it listens on, also when a free one was asked for."""
        self._listener: asyncio.Server | None = None

    @property
    def url(self) -> str:
        """``http://host:port``; append ``/v1`` for the OpenAI SDK."""
        host, _ = self.settings.address()
        return f"http://[{host}]:{self.port}" if ":" in host else f"http://{host}:{self.port}"

    async def listen(self) -> None:
        """Open the listening socket; :class:`StartError` when that fails."""
        host, port = self.settings.address()
        try:
            self._listener = await asyncio.get_running_loop().create_server(
                lambda: _Connection(self), host, port, backlog=_BACKLOG
            )
        except OSError as error:
            number = error.errno or 0  # negative for a host name that cannot be resolved
            reason = os.strerror(number) if number > 0 else error.strerror
            raise StartError(
                f"the mock provider cannot listen on {self.settings.listen}: {reason}; "
                "stop what listens there or choose another address"
            ) from error
        self.port = self._listener.sockets[0].getsockname()[1]

    async def close(self) -> None:
        """Stop listening and drop every connection."""
        if self._listener is not None:
            self._listener.close()
        for connection in tuple(self.connections):
            connection.abort()
            await connection.closed.wait()


async def start(settings: MockSettings) -> MockServer:
    """Listen in the running event loop; :class:`StartError` when the address cannot be had."""
    server = MockServer(settings)
    await server.listen()
    return server


def serve(settings: MockSettings) -> None:
    """Serve until SIGTERM, SIGINT or the parent's death; print one line with the URL when ready."""
    uvloop.run(_serve(settings))


async def _serve(settings: MockSettings) -> None:
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    if settings.parent is None:
        loop.add_signal_handler(signal.SIGINT, stop.set)
    else:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    server = await start(settings)
    sys.stdout.write(f"mock provider listening on {server.url}\n")
    sys.stdout.flush()
    if settings.parent is None:
        await stop.wait()
    else:
        await _stopped_or_orphaned(stop, settings.parent)
    await server.close()


async def _stopped_or_orphaned(stop: asyncio.Event, parent: int) -> None:
    while os.getppid() == parent:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), _PARENT_CHECK)
            return
    _logger.warning("the parent process %d is gone; the mock provider ends", parent)


class _Connection(asyncio.Protocol):
    """One client connection: reads a request, answers it, then reads the next."""

    _transport: asyncio.Transport

    def __init__(self, server: MockServer) -> None:
        self._server = server
        self._journal = server.journal
        self.closed = asyncio.Event()
        self._number = 0
        self._parser = h11.Connection(h11.SERVER, max_incomplete_event_size=_MOST_HEAD)
        self._method, self._target, self._http_1_1 = "", "", True
        self._record: Record | None = None
        self._body = bytearray()
        self._task: asyncio.Task[None] | None = None
        self._pipelined = 0
        self._writable = asyncio.Event()
        self._writable.set()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's are no subclass of it
        self._number = self._journal.connect()
        self._server.connections.add(self)

    def data_received(self, data: bytes) -> None:
        if self._task is not None:
            self._pipelined += len(data)
            if self._pipelined > _MOST_PIPELINED:
                self.abort()
                return
        self._parser.receive_data(data)
        if self._task is None:
            self._read()

    def eof_received(self) -> None:
        if self._task is not None:
            self.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        del exc  # a reset and a close mean the same: the client is gone
        self._end(disconnected=True)
        if self._task is not None:
            self._task.cancel()
        self._server.connections.discard(self)
        self._journal.disconnect()
        self.closed.set()

    def pause_writing(self) -> None:
        self._writable.clear()

    def resume_writing(self) -> None:
        self._writable.set()

    def abort(self) -> None:
        """Drop the connection and what is still to be written."""
        self._transport.abort()

    def _read(self) -> None:
        """Take events from the parser until the request is complete, then start to answer it."""
        try:
            while True:
                event = self._parser.next_event()
                if isinstance(event, h11.Request):
                    self._begin(event)
                elif isinstance(event, h11.Data):
                    self._body += event.data
                    if len(self._body) > _MOST_BODY:
                        self._refuse(413, f"the body is larger than {_MOST_BODY} bytes")
                        return
                elif isinstance(event, h11.EndOfMessage):
                    self._task = asyncio.get_running_loop().create_task(self._answer())
                    self._task.add_done_callback(self._answered)
                    return
                else:
                    if self._parser.they_are_waiting_for_100_continue:
                        self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
                        self._parser.send(h11.InformationalResponse(status_code=100, headers=[]))
                    return
        except h11.RemoteProtocolError as error:
            self._refuse(error.error_status_hint, f"not a request: {error}")

    def _begin(self, head: h11.Request) -> None:
        self._http_1_1 = head.http_version >= b"1.1"
        self._method, self._target = head.method.decode("latin-1"), head.target.decode("latin-1")
        headers = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in head.headers]
        if not self._target.startswith("/mock/"):
            self._record = self._journal.begin(self._number, self._method, self._target, headers)

    def _refuse(self, status: int, message: str) -> None:
        """Answer what is no request, in the shape most clients read, and close."""
        reply = openai.error(status, message)
        if self._record is not None:
            self._record.status = status
        for step in steps(reply, Faults(), iter(()), request=0, keep_alive=False, chunked=False):
            if isinstance(step, bytes):
                self._transport.write(step)
        self._end(disconnected=False)
        self._transport.close()

    async def _answer(self) -> None:
        record = self._record
        if record is None:
            reply, faults, number = self._control(), Faults(), 0
        else:
            record.body, record.complete = bytes(self._body), True
            reply, faults = respond(record, self._server.settings)
            record.status, number = reply.status if isinstance(reply, Plain) else 200, record.number
        keep_alive = self._http_1_1 and self._parser.their_state is not h11.MUST_CLOSE
        pace = waits(self._server.settings, bytes(self._body))
        end = await self._perform(
            steps(reply, faults, pace, request=number, keep_alive=keep_alive, chunked=self._http_1_1)
        )
        if end is End.STALL:
            await asyncio.get_running_loop().create_future()  # connection_lost cancels it
        self._end(disconnected=False)
        if end is End.RESET:
            linger: socket.socket = self._transport.get_extra_info("socket")
            linger.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.abort()
        elif end is End.CLOSE:
            self._transport.close()
        else:
            self._next()

    def _answered(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            _logger.error("the mock provider failed to answer a request", exc_info=error)
            self.abort()

    async def _perform(self, reply: Iterator[Step]) -> End | None:
        """Write and wait as told. Waits count from the complete request: a late wake is made up for."""
        loop = asyncio.get_running_loop()
        due = loop.time()
        for step in reply:
            if isinstance(step, End):
                return step
            if isinstance(step, bytes):
                if not self._writable.is_set():
                    await self._writable.wait()
                self._transport.write(step)
                if self._record is not None:
                    self._record.bytes_sent += len(step)
            else:
                due += step
                await asyncio.sleep(max(0.0, due - loop.time()))
        return None

    def _next(self) -> None:
        """Make ready for the next request, which may have arrived already."""
        waiting, _ = self._parser.trailing_data
        self._parser = h11.Connection(h11.SERVER, max_incomplete_event_size=_MOST_HEAD)
        self._task, self._body, self._pipelined = None, bytearray(), 0
        if waiting:
            self._parser.receive_data(waiting)
            self._read()

    def _end(self, *, disconnected: bool) -> None:
        if self._record is not None:
            self._record.body = bytes(self._body)
            self._journal.end(self._record, disconnected=disconnected)
            self._record = None

    def _control(self) -> Plain:
        """The ``/mock/`` endpoints, which leave no record themselves."""
        match self._method, self._target.partition("?")[0]:
            case "GET", "/mock/requests":
                return Plain(200, self._journal.requests())
            case "GET", "/mock/stats":
                return Plain(200, msgspec.json.encode(self._journal.stats))
            case "POST", "/mock/reset":
                self._journal.reset()
                return Plain(200, b"{}")
            case _:
                known = "GET /mock/requests, GET /mock/stats, POST /mock/reset"
                return openai.error(404, f"unknown mock endpoint; known: {known}")
