"""Faults: how they are named, and what they do to the bytes on the wire."""

import json
import re
from itertools import chain, repeat
from typing import Any

import pytest
from mock_client import Mock

from edgeroute.mock.delivery import End, steps
from edgeroute.mock.faults import FAULTS, FaultError, Faults, describe, of_request
from edgeroute.mock.reply import Plain, Reply, Stream

MESSAGES = [{"role": "user", "content": "hi"}]


def sent(
    model: str,
    *,
    stream: bool,
    header: str = "",
    metadata: str = "",
    version: str = "1.1",
    close: bool = False,
) -> bytes:
    """The bytes of a chat request."""
    fields: dict[str, Any] = {"model": model, "messages": MESSAGES, "stream": stream}
    if metadata:
        fields["metadata"] = {"mock": metadata}
    body = json.dumps(fields).encode()
    extra = f"x-mock: {header}\r\n" if header else ""
    extra += "connection: close\r\n" if close else ""
    head = f"POST /v1/chat/completions HTTP/{version}\r\nhost: x\r\n{extra}content-length: {len(body)}\r\n\r\n"
    return head.encode() + body


def dechunk(reply: bytes) -> tuple[list[bytes], bytes]:
    """The chunks of a chunked reply, and what comes after the last whole one."""
    rest = reply.partition(b"\r\n\r\n")[2]
    chunks: list[bytes] = []
    while match := re.match(rb"([0-9a-f]+)\r\n", rest):
        end = match.end() + int(match[1], 16)
        chunks.append(rest[match.end() : end])
        rest = rest[end + 2 :]
    return chunks, rest


@pytest.mark.parametrize(
    ("model", "metadata", "header", "expected"),
    [
        ("gpt-5-mini", "", "", Faults()),
        ("mock-status-429", "", "", Faults(status=429)),
        ("mock-tokens-200+cut-5", "", "", Faults(tokens=200, cut=5)),
        ("mock-html", "", "", Faults(html=502)),
        ("mock-html-503", "", "", Faults(html=503)),
        ("mock-wrong-length+bad-chunking", "", "", Faults(wrong_length=16, bad_chunking=True)),
        ("mock-cut-reset-3+short-length", "", "", Faults(cut_reset=3, short_length=16)),
        ("mock-status-503+retry-after-20", "", "", Faults(status=503, retry_after=20)),
        ("m", "", "status=429, delay=200", Faults(status=429, delay=200)),
        ("m", "reset", "garbage", Faults(reset=True, garbage=True)),
        ("mock-status-400", "status-401", "status=402", Faults(status=402)),
        ("mock-status-400", "status-401", "", Faults(status=401)),
    ],
)
def test_naming(model: str, metadata: str, header: str, expected: Faults) -> None:
    assert of_request(model, metadata, header) == expected


@pytest.mark.parametrize(
    ("header", "told"),
    [
        ("stauts=429", "unknown fault 'stauts=429'; known: tokens-N"),
        ("status", "'status' needs a number from 400 to 599"),
        ("status=200", "'status' needs a number from 400 to 599"),
        ("cut=1000000000000", "unknown fault"),
        ("reset-3", "'reset' takes no number"),
        ("cut=3,,stall=2", "unknown fault ''"),
    ],
)
def test_wrong_names_are_told(mock: Mock, header: str, told: str) -> None:
    with pytest.raises(FaultError, match=re.escape(told)):
        of_request("m", "", header)
    status, _, body = mock.call("GET", "/v1/models", headers={"x-mock": header})
    assert (status, told in json.loads(body)["error"]["message"]) == (400, True)


def test_the_table_names_every_fault() -> None:
    fields = {name.replace("_", "-") for name in Faults.__struct_fields__}
    assert fields == set(FAULTS)
    assert all(name in describe() for name in FAULTS)


@pytest.mark.parametrize("where", ["model", "metadata", "header"])
def test_cut_stream_ends_after_so_many_events(mock: Mock, where: str) -> None:
    if where == "model":
        request = sent("mock-cut-3", stream=True)
    elif where == "metadata":
        request = sent("m", stream=True, metadata="cut-3")
    else:
        request = sent("m", stream=True, header="cut=3")
    chunks, rest = dechunk(mock.raw(request))
    assert (len(chunks), rest) == (3, b"")
    assert all(chunk.startswith(b"data: {") and chunk.endswith(b"}\n\n") for chunk in chunks)
    (record,) = mock.requests()
    assert (record["ended"], record["disconnected"]) == (True, False)


def test_cut_plain_body_is_half(mock: Mock) -> None:
    head, _, body = mock.raw(sent("mock-cut-3", stream=False)).partition(b"\r\n\r\n")
    declared = re.search(rb"content-length: (\d+)", head)
    assert declared is not None
    assert len(body) == int(declared[1]) // 2


def test_reset(mock: Mock) -> None:
    with pytest.raises(ConnectionResetError):
        mock.raw(sent("mock-reset", stream=True))


@pytest.mark.parametrize("stream", [False, True])
def test_stall_stays_open_until_the_client_leaves(mock: Mock, stream: bool) -> None:
    with mock.connect() as connection:
        connection.sendall(sent("mock-stall-3", stream=stream))
        received = b""
        while received.count(b"\n\n") < 3 if stream else (b"\r\n\r\n" not in received):
            received += connection.recv(65536)
        assert mock.stats()["open"] == 1
    stats = mock.until(lambda stats: stats["open"] == 0)
    assert stats["disconnects"] == 1
    assert [record["disconnected"] for record in mock.requests()] == [True]


def test_garbage(mock: Mock) -> None:
    reply = mock.raw(sent("mock-garbage", stream=False))
    assert reply
    assert not reply.startswith(b"HTTP/")


def test_html_page(mock: Mock) -> None:
    fields = {"model": "mock-html-502", "messages": MESSAGES}
    status, headers, body = mock.call("POST", "/v1/chat/completions", json.dumps(fields).encode())
    assert (status, headers["content-type"]) == (502, "text/html")
    assert body.startswith(b"<!DOCTYPE html>")


@pytest.mark.parametrize("stream", [False, True])
def test_wrong_length_declares_more_than_comes(mock: Mock, stream: bool) -> None:
    head, _, body = mock.raw(sent("mock-wrong-length", stream=stream)).partition(b"\r\n\r\n")
    declared = re.search(rb"content-length: (\d+)", head)
    assert declared is not None
    assert int(declared[1]) == len(body) + 16
    assert b"transfer-encoding" not in head


@pytest.mark.parametrize("stream", [False, True])
def test_bad_chunking(mock: Mock, stream: bool) -> None:
    reply = mock.raw(sent("mock-bad-chunking", stream=stream))
    assert b"transfer-encoding: chunked\r\n" in reply
    chunks, rest = dechunk(reply)
    assert len(chunks) == (1 if stream else 0)
    assert rest.startswith(b"not-a-size\r\n")


def test_tokens(mock: Mock) -> None:
    fields = {"model": "mock-tokens-500", "messages": MESSAGES}
    reply = json.loads(mock.call("POST", "/v1/chat/completions", json.dumps(fields).encode())[2])
    assert len(reply["choices"][0]["message"]["content"].split(" ")) == 500
    assert reply["usage"]["completion_tokens"] == 500


@pytest.mark.parametrize(
    ("reply", "faults", "waits"),
    [
        (Stream([[b"a", b"b"], [b"c"], [b"d"]]), Faults(delay=1500), [1.5, 2.0, 0.25, 0.25]),
        (Plain(200, b"{}", generated=4), Faults(), [0.0, 2.75]),
        (Plain(200, b"{}", generated=0), Faults(), [0.0, 2.0]),
        (Plain(400, b"{}"), Faults(), [0.0]),
        (Plain(400, b"{}"), Faults(delay=10, reset=True), [0.01]),
    ],
)
def test_pace(reply: Reply, faults: Faults, waits: list[float]) -> None:
    pace = chain([2.0], repeat(0.25))
    taken = steps(reply, faults, pace, request=1, keep_alive=True, chunked=True)
    assert [step for step in taken if isinstance(step, float)] == waits


@pytest.mark.parametrize(
    ("faults", "events", "end"),
    [
        (Faults(), 4, None),
        (Faults(cut=0), 0, End.CLOSE),
        (Faults(cut=4), 4, End.CLOSE),
        (Faults(cut=5), 4, None),
        (Faults(stall=2), 2, End.STALL),
        (Faults(stall=2, cut=1), 1, End.CLOSE),
        (Faults(cut_reset=2, stall=2), 2, End.RESET),
        (Faults(reset=True, garbage=True), 0, End.RESET),
    ],
)
def test_where_a_stream_ends(faults: Faults, events: int, end: End | None) -> None:
    reply = Stream([[b"event"] * 3, [b"event"]])
    taken = list(steps(reply, faults, repeat(0.0), request=1, keep_alive=True, chunked=True))
    assert sum(step.count(b"event\r\n") for step in taken if isinstance(step, bytes)) == events
    assert [step for step in taken if isinstance(step, End)] == ([end] if end else [])


def test_http_1_0_streams_end_by_closing(mock: Mock) -> None:
    head, _, body = mock.raw(sent("m", stream=True, version="1.0")).partition(b"\r\n\r\n")
    assert b"chunked" not in head
    assert b"connection: close" in head
    assert body.startswith(b"data: {")
    assert body.endswith(b"data: [DONE]\n\n")


def test_connection_close_is_honoured(mock: Mock) -> None:
    chunks, rest = dechunk(mock.raw(sent("m", stream=True, close=True)))
    assert (chunks[-2:], rest) == ([b"data: [DONE]\n\n", b""], b"")
