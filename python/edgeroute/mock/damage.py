"""Faults in what a reply says: bodies and events that are padded or broken, under intact HTTP."""

from collections.abc import Iterable, Iterator, Sequence

from edgeroute.mock.faults import Faults

_MEBIBYTE = 1 << 20
_DATA = b"data: "
_ERROR = b'{"error":{"message":"made up for a test","type":"server_error","param":null,"code":null}}'
_ANTHROPIC_ERROR = b'{"type":"error","error":{"type":"overloaded_error","message":"made up for a test"}}'
_RESPONSE_ERROR = (
    b'{"type":"error","code":"server_error","message":"made up for a test","param":null,"sequence_number":%d}'
)


def damaged_body(body: bytes, faults: Faults) -> bytes:
    """A plain body as ``huge`` and ``bad-json`` leave it."""
    if faults.huge:
        body = _padded(body, faults.huge)
    return body[: len(body) // 2] if faults.bad_json is not None else body


def damaged_events(beats: Iterable[Sequence[bytes]], faults: Faults) -> Iterator[Sequence[bytes]]:
    """The events of a stream as the faults in what it says leave them; events count from 1."""
    number = 0
    for beat in beats:
        damaged: list[bytes] = []
        for event in beat:
            number += 1
            if number == faults.error_event:
                yield [*damaged, _error_instead_of(event, number)]
                return
            if number == 1 and faults.huge:
                event = _padded(event, faults.huge)
            if number == faults.bad_json:
                event = _halved(event)
            if number == faults.bad_framing:
                event = event.removesuffix(b"\n")
            damaged.append(event)
        yield damaged


def _error_instead_of(event: bytes, number: int) -> bytes:
    """An error event in the dialect that the event is of."""
    if event.startswith(b"event: response."):
        return b"event: error\n" + _DATA + _RESPONSE_ERROR % (number - 1) + b"\n\n"
    if event.startswith(b"event: "):
        return b"event: error\n" + _DATA + _ANTHROPIC_ERROR + b"\n\n"
    return _DATA + _ERROR + b"\n\n"


def _padded(text: bytes, mebibytes: int) -> bytes:
    """Text that ends with a JSON object, with a long field more in that object; any other is made longer."""
    before, brace, after = text.rpartition(b"}")
    padding = b"x" * (mebibytes * _MEBIBYTE)
    return before + b',"padding":"' + padding + b'"}' + after if brace else text + padding


def _halved(event: bytes) -> bytes:
    """An event with the first half of its data: half an object is never JSON."""
    start = event.index(_DATA) + len(_DATA)
    data = event[start:].rstrip(b"\n")
    return event[:start] + data[: len(data) // 2] + b"\n\n"
