"""The server object: one application with an ASGI and an RSGI face."""

import asyncio
import logging
import os
from collections.abc import Awaitable, Callable, MutableMapping
from functools import partial
from typing import TYPE_CHECKING, Any

from granian.rsgi import ProtocolClosed  # pyright: ignore[reportPrivateImportUsage] (as documented)

from edgeroute._native import DirectFuture, Ticket
from edgeroute.gateway import OVERLOADED, CreateFuture, last_event, own_answer, perform
from edgeroute.unread import Pace
from edgeroute.worker import Worker

if TYPE_CHECKING:
    from granian._granian import RSGIHTTPStreamTransport as HTTPStreamTransport
    from granian.rsgi import HTTPProtocol  # pyright: ignore[reportPrivateImportUsage]
    from granian.rsgi import Scope as RSGIScope  # pyright: ignore[reportPrivateImportUsage]

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

_log = logging.getLogger("edgeroute")

_AT_ONCE = 64 << 10
"""A larger body is not read before the head has been found acceptable."""
_OVERLOADED_HEADERS = [("content-type", "application/json"), ("retry-after", "1")]
_OVERLOADED_HEADERS_ASGI = [(name.encode(), value.encode()) for name, value in _OVERLOADED_HEADERS]


class App:
    """Answers requests on both faces. ASGI has back-pressure; RSGI is faster, and finds out what clients read."""

    def __init__(self, open_worker: Callable[[asyncio.AbstractEventLoop], Worker]) -> None:
        """`open_worker` is called when the server starts; its OSError or ValueError ends the server's process."""
        self._open_worker = open_worker
        self._started: Worker | None = None
        self._create_future: CreateFuture | None = None

    # ASGI 3.0 (asgi.readthedocs.io)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The ASGI face."""
        if scope["type"] != "http":
            await self._serve_no_request(scope, receive, send)
            return
        worker, create_future = self._running()
        if worker.in_flight >= worker.max_in_flight:
            answer = OVERLOADED[worker.turn_away(_path(scope), scope["headers"])]
            await send({"type": "http.response.start", "status": 503, "headers": _OVERLOADED_HEADERS_ASGI})
            await send({"type": "http.response.body", "body": answer, "more_body": False})
            return
        worker.in_flight += 1
        ticket = None
        try:
            body = await _asgi_body(scope, receive, worker)
            if body is None:
                return
            if isinstance(body, bytes):
                query = scope["query_string"].decode("latin-1")
                ticket = worker.native.decide(
                    scope["method"], _path(scope), query, scope["headers"], _peer(scope), body
                )
            else:
                ticket = body
            del body  # a stream may last for minutes, and the ticket knows when the body is no longer needed
            step = await perform(ticket, create_future, receive)
            if step == Ticket.RELAY:
                status, fields, whole = ticket.response(True)
                await send({"type": "http.response.start", "status": status, "headers": fields})
                if whole is not None:
                    await send({"type": "http.response.body", "body": whole, "more_body": False})
                    return
                read = ticket.read
                while True:
                    events = read(create_future)
                    if events.__class__ is not bytes:
                        events = await events
                    if not events:
                        break
                    await send({"type": "http.response.body", "body": events, "more_body": True})
                if ticket.step == Ticket.RELAY:  # nobody closed the ticket: the client is there
                    await send({"type": "http.response.body", "body": last_event(ticket), "more_body": False})
            elif step != Ticket.CLOSED:
                status, answer = own_answer(ticket, step)
                fields = ticket.own_headers(True)
                await send({"type": "http.response.start", "status": status, "headers": fields})
                await send({"type": "http.response.body", "body": answer, "more_body": False})
        finally:
            worker.in_flight -= 1
            if ticket is not None:
                ticket.close()

    async def _serve_no_request(self, scope: Scope, receive: Receive, send: Send) -> None:
        match scope["type"]:
            case "lifespan":
                await self._lifespan(receive, send)
            case "websocket":
                await _refuse_websocket(scope, receive, send)
            case other:
                raise ValueError(f"edgeroute serves HTTP, not the ASGI scope {other!r}")

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        await receive()
        try:
            self._start(asyncio.get_running_loop())
        except SystemExit:  # which a task of the loop must not raise; the server ends the worker
            await send({"type": "lifespan.startup.failed"})
            return
        await send({"type": "lifespan.startup.complete"})
        await receive()
        self._stop()
        await send({"type": "lifespan.shutdown.complete"})

    # RSGI 1.6 (granian's specification)

    def __rsgi_init__(self, loop: asyncio.AbstractEventLoop) -> None:
        """Called by granian before it serves."""
        self._start(loop)

    def __rsgi_del__(self, _: asyncio.AbstractEventLoop) -> None:
        """Called by granian when it has served."""
        self._stop()

    async def __rsgi__(self, scope: "RSGIScope", protocol: "HTTPProtocol") -> None:
        """The RSGI face."""
        if scope.proto == "ws":
            websocket: Any = protocol  # the types of granian do not tell
            websocket.close(404)
            return
        worker, create_future = self._running()
        headers = scope.headers
        if worker.in_flight >= worker.max_in_flight:
            answer = OVERLOADED[worker.turn_away(scope.path, headers.items())]
            protocol.response_bytes(503, _OVERLOADED_HEADERS, answer)
            return
        worker.in_flight += 1
        ticket = None
        try:
            body = await _rsgi_body(scope, headers.get("content-length"), protocol, worker)
            if body is None:
                return
            if isinstance(body, bytes):
                query, peer = scope.query_string, scope.client
                ticket = worker.native.decide(scope.method, scope.path, query, headers.items(), peer, body)
            else:
                ticket = body
            del body
            step = await perform(ticket, create_future, protocol)
            if step == Ticket.RELAY:
                status, fields, whole = ticket.response(False)
                if whole is not None:
                    protocol.response_bytes(status, fields, whole)
                    return
                pace = Pace(worker.queues, scope.client, ticket.max_stream)
                await _rsgi_stream(protocol.response_stream(status, fields), ticket, pace, create_future)
            elif step != Ticket.CLOSED:
                status, answer = own_answer(ticket, step)
                protocol.response_bytes(status, ticket.own_headers(False), answer)
        except ProtocolClosed:  # the client left while its body or events were on their way
            pass
        finally:
            worker.in_flight -= 1
            if ticket is not None:
                ticket.close()

    def end_requests(self) -> None:
        """End the requests that are still open; for a server that has waited long enough."""
        if self._started is not None:
            self._started.end_requests()

    def _start(self, loop: asyncio.AbstractEventLoop) -> None:
        try:
            self._started = self._open_worker(loop)
        except (OSError, ValueError) as error:
            # One clear line instead of a traceback; granian sees a worker that failed.
            _log.critical("worker %d cannot start: %s", os.getpid(), error)
            raise SystemExit(1) from error
        self._create_future = partial(DirectFuture, loop)

    def _stop(self) -> None:
        # The connections to providers close with the last reference to the worker.
        worker, self._started = self._started, None
        if worker is not None:
            worker.stop()

    def _running(self) -> tuple[Worker, CreateFuture]:
        if self._started is None or self._create_future is None:
            raise RuntimeError("the application is not started (by ASGI lifespan or RSGI init), or has been stopped")
        return self._started, self._create_future


def _path(scope: Scope) -> str:
    """The path below the one where the application is mounted, which servers put before it, and some do not."""
    path: str = scope["path"]
    root: str = scope.get("root_path", "")
    return path.removeprefix(root) if root and path.startswith(root + "/") else path


def _peer(scope: Scope) -> str:
    client = scope.get("client")
    return client[0] if client else ""


async def _refuse_websocket(scope: Scope, receive: Receive, send: Send) -> None:
    """Before it is accepted: with 404 where the server can, otherwise it answers 403."""
    await receive()
    if "websocket.http.response" not in (scope.get("extensions") or {}):
        await send({"type": "websocket.close", "code": 1000, "reason": "edgeroute serves HTTP"})
        return
    await send({"type": "websocket.http.response.start", "status": 404, "headers": []})
    await send({"type": "websocket.http.response.body", "body": b""})


# Reading a body. What is awaited is in `worker.reading` meanwhile, and the worker cancels it when the body is late:
# that costs a request no timer. The largest body is asked of the worker after the last wait, so that Rust, which
# refuses a larger one, goes by the same configuration.


async def _asgi_body(scope: Scope, receive: Receive, worker: Worker) -> bytes | Ticket | None:
    """The whole body, or the first bytes of one that is too large; a ticket that refuses the request without reading
    on; None if the client left.
    """
    declared = _declared_size(scope["headers"])
    if declared is None or declared > _AT_ONCE:
        refused = worker.native.refuse_unread(*_asked(scope), late=False)
        if refused is not None:
            return refused
    reading = worker.reading
    pending = receive()
    reading[pending] = None
    try:
        message = await pending
        deadline = reading.pop(pending)
        body: bytes = message.get("body", b"")
        if not message.get("more_body"):
            return None if message["type"] == "http.disconnect" else body
        size = len(body)
        # NOTE: that this was all, granian tells with another message: a hand-off between threads, of about 10 µs.
        if size == declared:
            return body
        parts = [body]
        while size != declared and message.get("more_body") and size <= worker.max_body:
            pending = receive()
            reading[pending] = deadline
            message = await pending
            deadline = reading.pop(pending)
            if message["type"] == "http.disconnect":
                return None
            parts.append(message.get("body", b""))
            size += len(parts[-1])
        return b"".join(parts)
    except BaseException as error:
        is_late, pending = _is_late(worker, pending, error), None  # see `_rsgi_body`
        if not is_late:
            raise
        return worker.native.refuse_unread(*_asked(scope), late=True)


async def _rsgi_body(
    scope: "RSGIScope", declared: str | None, protocol: "HTTPProtocol", worker: Worker
) -> bytes | Ticket | None:
    """As `_asgi_body`, but raises ProtocolClosed if the client left."""
    size = int(declared) if declared is not None and declared.isdigit() else None
    if size is None or size > _AT_ONCE:
        refused = worker.native.refuse_unread(*_asked_on_rsgi(scope), late=False)
        if refused is not None:
            return refused
    reading = worker.reading
    pending = None
    parts: list[bytes] = []
    try:
        if size is not None:
            pending = protocol()
            reading[pending] = None
            body = await pending
            del reading[pending]
            return body
        size, deadline, rest = 0, None, aiter(protocol)
        while size <= worker.max_body:
            pending = anext(rest)
            reading[pending] = deadline
            part = await pending
            deadline = reading.pop(pending)
            parts.append(part)
            size += len(part)
    except StopAsyncIteration:
        reading.pop(pending, None)
        pending = None
    except BaseException as error:
        # What was awaited holds its exception, whose traceback holds this frame: granian's objects are not known to
        # Python's garbage collector, so this cycle would stay for ever, with all of the request.
        is_late, pending = _is_late(worker, pending, error), None
        if not is_late:
            raise
        return worker.native.refuse_unread(*_asked_on_rsgi(scope), late=True)
    return b"".join(parts)


def _is_late(worker: Worker, pending: object, error: BaseException) -> bool:
    """Whether it was the worker that has cancelled what was awaited; it is awaited no more."""
    return worker.reading.pop(pending, worker) is worker and isinstance(error, asyncio.CancelledError)


def _declared_size(headers: list[tuple[bytes, bytes]]) -> int | None:
    for name, value in headers:
        if name == b"content-length":
            return int(value) if value.isdigit() else None
    return None


def _asked(scope: Scope) -> tuple[str, str, str, list[tuple[bytes, bytes]], str]:
    """What a request asks for, but for its body: method, path, query, headers and peer."""
    return scope["method"], _path(scope), scope["query_string"].decode("latin-1"), scope["headers"], _peer(scope)


def _asked_on_rsgi(scope: "RSGIScope") -> tuple[str, str, str, list[tuple[str, str]], str]:
    return scope.method, scope.path, scope.query_string, scope.headers.items(), scope.client


async def _rsgi_stream(
    transport: "HTTPStreamTransport", ticket: Ticket, pace: Pace, create_future: CreateFuture
) -> None:
    """Relay a stream. RSGI takes all at once, so how much of it the client has not taken is kept small here."""
    send, read = transport.send_bytes, ticket.read
    left = pace.first
    try:
        while True:
            events = read(create_future)
            if events.__class__ is not bytes:
                events = await events
            if not events:
                break
            left -= len(events)
            if left < 0:
                left = await pace.go_on(left)
                if left < 0:
                    ticket.cap()
                    break
            await send(events)
        event = last_event(ticket)
        if event:
            await send(event)
    finally:
        pace.close()
