"""Byte-level faults that leave some of HTTP intact: heads, lengths, padding, broken events."""

import json
import re
from itertools import repeat
from typing import Any

import pytest
from mock_client import Mock
from test_mock_faults import dechunk, sent

from edgeroute.mock.delivery import steps
from edgeroute.mock.faults import Faults
from edgeroute.mock.reply import Plain, Reply, Stream

DIALECTS = ["/v1/chat/completions", "/v1/completions", "/v1/responses", "/v1/messages"]


def ask(path: str, fault: str, *, stream: bool) -> bytes:
    """A request of any dialect that closes the connection."""
    said = {"messages": [{"role": "user", "content": "hi"}], "input": "hi", "prompt": "hi"}
    fields: dict[str, Any] = {"model": f"mock-tokens-9+{fault}", "max_tokens": 99, "stream": stream} | said
    body = json.dumps(fields).encode()
    head = f"POST {path} HTTP/1.1\r\nhost: x\r\nanthropic-version: 1\r\nconnection: close\r\n"
    return f"{head}content-length: {len(body)}\r\n\r\n".encode() + body


def split(reply: bytes) -> tuple[bytes, bytes]:
    head, _, body = reply.partition(b"\r\n\r\n")
    return head, body


def declared(head: bytes) -> int:
    found = re.search(rb"content-length: (\d+)", head)
    assert found is not None
    return int(found[1])


def data(event: bytes) -> list[bytes]:
    """The data lines of an event."""
    return [line.removeprefix(b"data: ") for line in event.splitlines() if line.startswith(b"data: ")]


def is_json(text: bytes) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True


# --- events and bodies --------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", DIALECTS)
def test_bad_json_in_a_stream(mock: Mock, path: str) -> None:
    whole, _ = dechunk(mock.raw(ask(path, "cut-100", stream=True)))
    chunks, _ = dechunk(mock.raw(ask(path, "bad-json-3", stream=True)))
    assert len(chunks) == len(whole)
    assert [at for at, chunk in enumerate(chunks[:-2], 1) if not is_json(data(chunk)[0])] == [3]
    assert chunks[2].endswith(b"\n\n")
    assert [chunk.count(b"\n\n") for chunk in chunks if chunk] == [1] * (len(whole) - 1)


@pytest.mark.parametrize("path", DIALECTS)
def test_bad_framing(mock: Mock, path: str) -> None:
    chunks, _ = dechunk(mock.raw(ask(path, "bad-framing-3", stream=True)))
    events = b"".join(chunks).split(b"\n\n")
    assert [len(data(event)) for event in events[:5]] == [1, 1, 2, 1, 1]
    assert all(is_json(each) for each in data(events[2]))


@pytest.mark.parametrize("path", DIALECTS)
def test_bad_json_in_a_plain_body(mock: Mock, path: str) -> None:
    head, body = split(mock.raw(ask(path, "bad-json", stream=False)))
    assert declared(head) == len(body)
    assert body.startswith(b"{")
    assert not is_json(body)


@pytest.mark.parametrize("fault", ["huge", "huge-3", "huge+status-500", "huge+html"])
@pytest.mark.parametrize("stream", [False, True])
def test_huge(mock: Mock, fault: str, stream: bool) -> None:
    head, body = split(mock.raw(ask(DIALECTS[0], fault, stream=stream)))
    size = (3 if fault == "huge-3" else 1) << 20
    if stream and fault.startswith("huge") and "+" not in fault:
        first, *others = dechunk(head + b"\r\n\r\n" + body)[0]
        assert size < len(first) < size + 1000
        assert len(json.loads(data(first)[0])["padding"]) == size
        assert all(len(each) < 1000 for each in others)
    else:
        assert size < len(body) < size + 1000
        assert declared(head) == len(body)
        assert "html" in fault or is_json(body)


# --- heads --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fault", ["interim", "interim-5"])
@pytest.mark.parametrize("stream", [False, True])
def test_interim(mock: Mock, fault: str, stream: bool) -> None:
    reply = mock.raw(ask(DIALECTS[0], fault, stream=stream))
    heads = reply.split(b"\r\n\r\n")
    count = 5 if fault == "interim-5" else 1
    assert all(head.startswith(b"HTTP/1.1 103 Early Hints\r\n") for head in heads[:count])
    assert heads[count].startswith(b"HTTP/1.1 200 OK\r\n")


@pytest.mark.parametrize("reply", [Plain(200, b"{}"), Stream([[b"event"]])])
def test_slow_head(reply: Reply) -> None:
    taken = list(steps(reply, Faults(slow_head=20), repeat(0.0), request=1, keep_alive=True, chunked=True))
    singles = [step for step in taken if isinstance(step, bytes) and len(step) == 1]
    head = b"".join(singles)
    assert head.startswith(b"HTTP/1.1 200 OK\r\n")
    assert head.endswith(b"\r\n\r\n")
    assert taken.count(0.02) == len(singles)


def test_slow_head_on_the_wire(mock: Mock) -> None:
    with mock.connect() as connection:
        connection.sendall(ask(DIALECTS[0], "slow-head-1", stream=False))
        reply = b"".join(iter(lambda: connection.recv(65536), b""))
    head, body = split(reply)
    assert head.startswith(b"HTTP/1.1 200 OK\r\n")
    assert declared(head) == len(body)
    assert is_json(body)


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        ("status-429", b"1"),
        ("status-429+retry-after-30", b"30"),
        ("status-429+retry-after-0", b"0"),
        ("status-503+retry-after", b"1"),
        ("status-503", None),
        ("retry-after-3", None),
    ],
)
def test_retry_after(mock: Mock, fault: str, expected: bytes | None) -> None:
    head, _ = split(mock.raw(ask(DIALECTS[0], fault, stream=False)))
    found = re.search(rb"\r\nretry-after: (\d+)", head)
    assert (found[1] if found else None) == expected


# --- lengths and ends ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("fault", "missing"), [("wrong-length", 16), ("wrong-length-5", 5), ("short-length", -16), ("short-length-5", -5)]
)
def test_lengths(mock: Mock, fault: str, missing: int, stream: bool) -> None:
    head, body = split(mock.raw(ask(DIALECTS[0], fault, stream=stream)))
    assert declared(head) - len(body) == missing
    assert b"transfer-encoding" not in head
    assert body.endswith(b"data: [DONE]\n\n") if stream else is_json(body)


@pytest.mark.parametrize("stream", [False, True])
def test_a_connection_with_surplus_bytes_stays_open(mock: Mock, stream: bool) -> None:
    with mock.connect() as connection:
        connection.sendall(sent("mock-short-length", stream=stream))
        received = connection.recv(65536)
        while not received.endswith(b"data: [DONE]\n\n" if stream else b"}"):
            received += connection.recv(65536)
        connection.sendall(sent("m", stream=False))
        assert connection.recv(65536).startswith(b"HTTP/1.1 200 OK\r\n")


def test_cut_reset_in_a_stream(mock: Mock) -> None:
    chunks, rest = dechunk(until_reset(mock, ask(DIALECTS[0], "cut-reset-3", stream=True)))
    assert (len(chunks), rest) == (3, b"")


def test_cut_reset_in_a_plain_body(mock: Mock) -> None:
    head, body = split(until_reset(mock, ask(DIALECTS[0], "cut-reset-3", stream=False)))
    assert len(body) == declared(head) // 2


def until_reset(mock: Mock, request: bytes) -> bytes:
    """Everything that comes back before the connection is reset; a close is a failure."""
    received = b""
    with mock.connect() as connection:
        connection.sendall(request)
        try:
            while piece := connection.recv(65536):
                received += piece
        except ConnectionResetError:
            return received
    raise AssertionError("the connection was closed, not reset")
