"""A reply and its faults as the steps that put it on the wire: bytes, waits, and how it ends."""

import enum
import http.client
from collections.abc import Iterable, Iterator
from itertools import islice

from edgeroute.mock.faults import Faults
from edgeroute.mock.reply import Plain, Reply, Stream

_GARBAGE = b"\x16\x03\x03 this is not HTTP\r\n\r\n"
_BAD_CHUNK = b"not-a-size\r\n"
_LAST_CHUNK = b"0\r\n\r\n"
_MISSING = 16
"""Bytes that ``wrong-length`` declares and does not send."""


class End(enum.Enum):
    """What happens to the connection after the last byte."""

    CLOSE = "close"
    RESET = "reset"
    STALL = "stall"


Step = bytes | float | End
"""Bytes to write, seconds to wait, or the end; steps that end without one leave the connection open."""


def steps(
    reply: Reply, faults: Faults, waits: Iterator[float], *, request: int, keep_alive: bool, chunked: bool
) -> Iterator[Step]:
    """Deliver ``reply`` to request number ``request``; without ``chunked`` (HTTP/1.0) closing ends it.

    ``waits`` are the seconds before each of its tokens.
    """
    yield faults.delay / 1000
    if faults.reset:
        yield End.RESET
    elif faults.garbage:
        yield _GARBAGE
        yield End.CLOSE
    else:
        headers = [("server", "edgeroute-mock"), ("x-request-id", f"mock-{request:06}")]
        if not keep_alive:
            headers.append(("connection", "close"))
        if isinstance(reply, Plain):
            yield from _plain(reply, faults, waits, headers)
        else:
            yield from _stream(reply, faults, waits, headers, chunked=chunked)
        if not keep_alive:
            yield End.CLOSE


def _plain(reply: Plain, faults: Faults, waits: Iterator[float], headers: Iterable[tuple[str, str]]) -> Iterator[Step]:
    if reply.generated is not None:
        yield sum(islice(waits, max(1, reply.generated)))
    headers = [*headers, ("content-type", reply.content_type), *reply.headers]
    if faults.bad_chunking:
        yield _head(reply.status, [*headers, ("transfer-encoding", "chunked")]) + _BAD_CHUNK + reply.body
        yield End.CLOSE
        return
    extra = _MISSING if faults.wrong_length else 0
    head = _head(reply.status, [*headers, ("content-length", str(len(reply.body) + extra))])
    if faults.cut is not None or faults.stall is not None:
        yield head + reply.body[: len(reply.body) // 2]
        yield End.CLOSE if faults.cut is not None else End.STALL
        return
    yield head + reply.body
    if faults.wrong_length:
        yield End.CLOSE


def _stream(
    reply: Stream,
    faults: Faults,
    waits: Iterator[float],
    headers: Iterable[tuple[str, str]],
    *,
    chunked: bool,
) -> Iterator[Step]:
    headers = [*headers, ("content-type", "text/event-stream; charset=utf-8"), ("cache-control", "no-cache")]
    beats = reply.beats
    if faults.wrong_length:
        beats = list(beats)
        size = sum(len(event) for beat in beats for event in beat)
        headers.append(("content-length", str(size + _MISSING)))
        chunked = False
    elif chunked:
        headers.append(("transfer-encoding", "chunked"))
    yield _head(200, headers)
    sent = 0
    for beat in beats:
        yield next(waits)
        for event in beat:
            if end := _end_after(sent, faults):
                yield end
                return
            if faults.bad_chunking and sent == 1:
                yield _BAD_CHUNK + event
                yield End.CLOSE
                return
            yield b"%x\r\n%b\r\n" % (len(event), event) if chunked else event
            sent += 1
    if end := _end_after(sent, faults):
        yield end
    elif chunked:
        yield _LAST_CHUNK
    else:
        yield End.CLOSE


def _end_after(sent: int, faults: Faults) -> End | None:
    if sent == faults.cut:
        return End.CLOSE
    return End.STALL if sent == faults.stall else None


def _head(status: int, headers: Iterable[tuple[str, str]]) -> bytes:
    phrase = http.client.responses.get(status, "Unknown")
    lines = [f"HTTP/1.1 {status} {phrase}", *(f"{name}: {value}" for name, value in headers)]
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n"
