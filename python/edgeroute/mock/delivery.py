"""A reply and its faults as the steps that put it on the wire: bytes, waits, and how it ends."""

import enum
import http.client
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice

from edgeroute.mock.damage import damaged_body, damaged_events
from edgeroute.mock.faults import Faults
from edgeroute.mock.reply import Plain, Reply, Stream

_GARBAGE = b"\x16\x03\x03 this is not HTTP\r\n\r\n"
_BAD_CHUNK = b"not-a-size\r\n"
_LAST_CHUNK = b"0\r\n\r\n"
_INTERIM = b"HTTP/1.1 103 Early Hints\r\nlink: </style.css>; rel=preload\r\n\r\n"


class End(enum.Enum):
    """What happens to the connection after the last byte."""

    CLOSE = "close"
    RESET = "reset"
    STALL = "stall"


Step = bytes | float | End
"""Bytes to write, seconds to wait, or the end; steps that end without one leave the connection open."""
Headers = Sequence[tuple[str, str]]


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


def _plain(reply: Plain, faults: Faults, waits: Iterator[float], headers: Headers) -> Iterator[Step]:
    if reply.generated is not None:
        yield sum(islice(waits, max(1, reply.generated)))
    headers = [*headers, ("content-type", reply.content_type), *reply.headers]
    body = damaged_body(reply.body, faults)
    if faults.bad_chunking:
        yield from _begin(reply.status, [*headers, ("transfer-encoding", "chunked")], faults, _BAD_CHUNK + body)
        yield End.CLOSE
        return
    end = _end_inside(faults)
    sent = body if end is None else body[: len(body) // 2]
    yield from _begin(reply.status, [*headers, _length(len(body), faults)], faults, sent)
    if end is not None:
        yield end
    elif faults.wrong_length:
        yield End.CLOSE


def _stream(
    reply: Stream, faults: Faults, waits: Iterator[float], headers: Headers, *, chunked: bool
) -> Iterator[Step]:
    headers = [*headers, ("content-type", "text/event-stream; charset=utf-8"), ("cache-control", "no-cache")]
    beats: Iterable[Sequence[bytes]] = damaged_events(reply.beats, faults)
    has_length = bool(faults.wrong_length or faults.short_length)
    if has_length:
        beats = list(beats)
        headers.append(_length(sum(len(event) for beat in beats for event in beat), faults))
        chunked = False
    elif chunked:
        headers.append(("transfer-encoding", "chunked"))
    yield from _begin(200, headers, faults, b"")
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
    elif not faults.short_length:
        yield End.CLOSE


def _end_after(sent: int, faults: Faults) -> End | None:
    """How a stream ends after so many events, if it ends there."""
    if sent == faults.cut:
        return End.CLOSE
    if sent == faults.cut_reset:
        return End.RESET
    return End.STALL if sent == faults.stall else None


def _end_inside(faults: Faults) -> End | None:
    """How a plain body ends in its middle, if it does."""
    if faults.cut is not None:
        return End.CLOSE
    if faults.cut_reset is not None:
        return End.RESET
    return End.STALL if faults.stall is not None else None


def _length(size: int, faults: Faults) -> tuple[str, str]:
    return "content-length", str(max(0, size + faults.wrong_length - faults.short_length))


def _begin(status: int, headers: Headers, faults: Faults, body: bytes) -> Iterator[Step]:
    """The response head, and the body's beginning right behind it."""
    phrase = http.client.responses.get(status, "Unknown")
    lines = [f"HTTP/1.1 {status} {phrase}", *(f"{name}: {value}" for name, value in headers)]
    head = _INTERIM * faults.interim + "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n"
    if not faults.slow_head:
        yield head + body
        return
    for byte in head:
        yield bytes((byte,))
        yield faults.slow_head / 1000
    if body:
        yield body
