"""Connections, the journal, determinism, and the mock provider as a process."""

import asyncio
import base64
import contextlib
import http.client
import json
import os
import re
import signal
import struct
import subprocess
import sys
from collections.abc import Generator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mock_client import HANG, Mock

from edgeroute.errors import StartError
from edgeroute.mock import MockSettings, start
from edgeroute.mock.faults import FAULTS, usage
from edgeroute.mock.journal import Journal, Record
from edgeroute.mock.reply import Plain, compose, vector
from edgeroute.mock.routes import ROUTES, respond

CHAT = "/v1/chat/completions"
quick = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def chat(model: str = "m", **fields: Any) -> bytes:
    return json.dumps({"model": model, "messages": [{"role": "user", "content": "hi"}], **fields}).encode()


def request(body: bytes, path: str = CHAT) -> bytes:
    return f"POST {path} HTTP/1.1\r\nhost: x\r\ncontent-length: {len(body)}\r\n\r\n".encode() + body


# --- what it received ---------------------------------------------------------------------------------------


@quick
@given(body=st.binary(max_size=300), chunked=st.booleans())
def test_the_body_is_kept_byte_for_byte(mock: Mock, body: bytes, chunked: bool) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", mock.port, timeout=HANG)
    connection.request("POST", CHAT, iter([body]) if chunked and body else body, encode_chunked=chunked)
    connection.getresponse().read()
    connection.close()
    assert base64.b64decode(mock.requests()[-1]["body"]) == body


def test_the_request_is_kept_as_sent(mock: Mock) -> None:
    with mock.connect() as connection:
        connection.sendall(
            b"POST /v1/nowhere?a=1&b HTTP/1.1\r\nHost: x\r\nX-Two: 1\r\nX-Two: 2\r\nContent-Length: 2\r\n\r\nhi"
        )
        assert connection.recv(65536).startswith(b"HTTP/1.1 404 ")
    (record,) = mock.requests()
    assert (record["method"], record["path"]) == ("POST", "/v1/nowhere?a=1&b")
    assert record["headers"] == [["host", "x"], ["x-two", "1"], ["x-two", "2"], ["content-length", "2"]]
    assert (record["complete"], record["status"], record["ended"]) == (True, 404, True)


def test_the_last_hundred_are_kept(mock: Mock) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", mock.port, timeout=HANG)
    for number in range(103):
        connection.request("GET", f"/{number}")
        connection.getresponse().read()
    connection.close()
    assert [record["path"] for record in mock.requests()] == [f"/{number}" for number in range(3, 103)]
    assert len({record["connection"] for record in mock.requests()}) == 1
    assert mock.stats()["total"] == 103
    mock.call("POST", "/mock/reset")
    assert (mock.requests(), mock.stats()["total"]) == ([], 0)


def test_an_open_request_is_kept_however_many_end_after_it(mock: Mock) -> None:
    with mock.connect() as connection:
        connection.sendall(request(chat("mock-stall-1", stream=True)))
        assert connection.recv(65536)
        for number in range(101):
            mock.call("POST", f"/{number}", b"x")
        assert [record["path"] for record in mock.requests()] == [CHAT, *(f"/{number}" for number in range(1, 101))]


def test_large_bodies_push_older_requests_out(mock: Mock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edgeroute.mock.journal._KEPT_BYTES", 1000)
    for size in (400, 500, 600, 1001):
        mock.call("POST", CHAT, b"x" * size)
        kept = [len(base64.b64decode(record["body"])) for record in mock.requests()]
        assert kept == {400: [400], 500: [400, 500], 600: [600], 1001: [1001]}[size]
    assert mock.stats()["total"] == 4


# --- connections --------------------------------------------------------------------------------------------


def test_a_disconnect_in_a_stream_is_seen(mock: Mock) -> None:
    with mock.connect() as connection:
        connection.sendall(request(chat("mock-tokens-100000", stream=True)))
        received = connection.recv(65536)
        assert received.startswith(b"HTTP/1.1 200 OK")
        assert mock.stats()["open"] == 1
    stats = mock.until(lambda stats: stats["open"] == 0)
    (record,) = mock.requests()
    assert (stats["disconnects"], record["disconnected"], record["ended"]) == (1, True, True)
    assert record["bytes_sent"] < 100_000 * 100


def test_a_disconnect_while_waiting_for_the_head_is_seen(mock: Mock) -> None:
    with mock.connect() as connection:
        connection.sendall(request(chat("mock-delay-3600000")))
        mock.until(lambda stats: stats["open"] == 1)
    assert mock.until(lambda stats: stats["open"] == 0)["disconnects"] == 1


def test_a_disconnect_within_the_body_is_seen(mock: Mock) -> None:
    with mock.connect() as connection:
        connection.sendall(request(chat())[:-5])
        mock.until(lambda stats: stats["open"] == 1)
    mock.until(lambda stats: stats["disconnects"] == 1)
    (record,) = mock.requests()
    assert (record["complete"], record["status"]) == (False, None)
    assert base64.b64decode(record["body"]) == chat()[:-5]


def test_a_client_that_reads_nothing_holds_the_stream_back(mock: Mock) -> None:
    with mock.connect() as connection:
        connection.sendall(request(chat("mock-tokens-100000", stream=True)))
        sent = -1
        while sent != (sent := mock.requests()[0]["bytes_sent"]) or sent == 0:
            pass
        assert sent < 20_000_000
        received = 0
        while data := connection.recv(1 << 20):
            received += len(data)
            if data.endswith(b"0\r\n\r\n"):
                break
    (record,) = mock.requests()
    assert (received, record["disconnected"]) == (record["bytes_sent"], False)


def test_pipelined_requests_are_answered_in_order(mock: Mock) -> None:
    last = request(chat("third")).replace(b"host: x", b"host: x\r\nconnection: close")
    reply = mock.raw(request(chat("first")) + request(chat("second", stream=True)) + last)
    assert re.findall(rb'"model":"(\w+)"', reply)[0] == b"first"
    assert re.findall(rb'"model":"(\w+)"', reply)[-1] == b"third"
    assert reply.count(b"HTTP/1.1 200 OK") == 3


def test_expect_continue(mock: Mock) -> None:
    with mock.connect() as connection:
        connection.sendall(request(chat())[: -len(chat())].replace(b"host: x", b"host: x\r\nexpect: 100-continue"))
        assert connection.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.sendall(chat())
        assert connection.recv(65536).startswith(b"HTTP/1.1 200 OK")


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: x\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n", 400),
        (b"GET / HTTP/1.1\r\nhost: x\r\nbig: " + b"x" * 70_000, 431),
        (b"POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: gzip\r\n\r\n", 501),
    ],
)
def test_what_is_no_request_is_refused(mock: Mock, sent: bytes, status: int) -> None:
    reply = mock.raw(sent)
    assert reply.startswith(f"HTTP/1.1 {status} ".encode())
    assert b'"error"' in reply
    assert mock.stats()["open"] == 0


def test_a_body_over_the_cap_is_refused(mock: Mock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edgeroute.mock.server._MOST_BODY", 1000)
    assert mock.raw(request(b"x" * 1001)).startswith(b"HTTP/1.1 413 ")
    (record,) = mock.requests()
    assert (record["complete"], record["status"], record["disconnected"]) == (False, 413, False)


def test_a_flood_behind_an_open_request_is_dropped(mock: Mock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edgeroute.mock.server._MOST_PIPELINED", 1000)
    with mock.connect() as connection:
        connection.sendall(request(chat("mock-stall-1")))
        assert connection.recv(65536).startswith(b"HTTP/1.1 200 OK")
        connection.sendall(b"x" * 1001)
        with contextlib.suppress(ConnectionResetError):
            while connection.recv(65536):
                pass
    assert mock.until(lambda stats: stats["open"] == 0)["disconnects"] == 1


@quick
@given(sent=st.binary(min_size=1, max_size=200))
def test_any_bytes_leave_it_alive(mock: Mock, sent: bytes) -> None:
    with mock.connect() as connection:
        connection.sendall(sent)
    assert mock.until(lambda stats: stats["open"] == 0)["open"] == 0


def test_two_hundred_streams_at_once(mock: Mock) -> None:
    async def stream() -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", mock.port, limit=1 << 20)
        writer.write(request(chat("mock-tokens-50", stream=True)))
        reply = await reader.readuntil(b"data: [DONE]\n\n\r\n0\r\n\r\n")
        writer.close()
        return reply.partition(b"\r\n\r\n")[2]

    async def run() -> list[bytes]:
        return await asyncio.wait_for(asyncio.gather(*(stream() for _ in range(200))), HANG)

    replies = asyncio.run(run())
    assert len(replies) == 200
    assert len(set(replies)) == 1
    assert (mock.stats()["total"], mock.stats()["disconnects"]) == (200, 0)


# --- replies ------------------------------------------------------------------------------------------------


def answer(model: str = "m", prompt: str = "hi", seed: int = 0) -> list[str]:
    return list(compose(model, [prompt], seed=seed, tool=None, limit=None, length=None).pieces)


def test_replies_are_deterministic() -> None:
    assert answer() == answer()
    assert answer(seed=1) != answer()
    assert answer(prompt="ho") != answer()
    assert answer(model="n")[4:] != answer()[4:]
    assert vector("m", "hi", seed=0, dimensions=4) == vector("m", "hi", seed=0, dimensions=4)
    assert vector("m", "hi", seed=1, dimensions=4) != vector("m", "hi", seed=0, dimensions=4)


def test_vectors_are_near_where_words_are_shared() -> None:
    def cosine(one: str, other: str) -> float:
        both = (struct.unpack("<512f", vector("m", text, seed=0, dimensions=512)) for text in (one, other))
        return sum(x * y for x, y in zip(*both, strict=True))

    assert cosine("How far is the moon?", "the moon: how far is it") > 0.8
    assert cosine("How far is the moon?", "HOW FAR is the moon") == pytest.approx(1)
    assert abs(cosine("How far is the moon?", "why do cats purr")) < 0.2
    assert cosine("?!", "?!") == pytest.approx(1)
    assert vector("m", "word " * 100_000, seed=0, dimensions=4) == vector("m", "word " * 64, seed=0, dimensions=4)


def test_equal_requests_get_equal_bytes(mock: Mock) -> None:
    for stream in (False, True):
        bodies = {mock.call("POST", CHAT, chat(stream=stream))[2] for _ in range(3)}
        assert len(bodies) == 1


@given(
    words=st.integers(1, 60),
    limit=st.none() | st.integers(1, 60),
    model=st.text(max_size=20),
)
def test_a_reply_is_as_long_as_wished_and_allowed(words: int, limit: int | None, model: str) -> None:
    made = compose(model, ["x"], seed=0, tool=None, limit=limit, length=words)
    assert len(made.pieces) == min(words, limit or words)
    assert made.truncated == (limit is not None and limit < words)


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3),
    max_leaves=6,
)
SOUND: dict[str, Any] = {
    "model": "m",
    "input": "x",
    "max_tokens": 9,
    "messages": [{"role": "user", "content": "a tool"}],
    "prompt": "x",
    "tools": [],
    "tool_choice": {"type": "any"},
    "metadata": {},
}


@given(path=st.sampled_from([*ROUTES]), changed=st.dictionaries(st.sampled_from([*SOUND]), values, max_size=2))
def test_any_json_gets_a_reply(path: str, changed: dict[str, Any]) -> None:
    record = Record(1, 1, "POST", path, [("anthropic-version", "1")], json.dumps(SOUND | changed).encode())
    reply, _ = respond(record, MockSettings())
    assert not isinstance(reply, Plain) or reply.status in (200, 400)


def test_a_request_is_counted_once() -> None:
    journal = Journal()
    first, second = (journal.begin(1, "GET", "/", []) for _ in range(2))
    journal.end(first, disconnected=True)
    journal.reset()
    journal.end(second, disconnected=False)
    assert (journal.stats.open, journal.stats.total, journal.stats.disconnects) == (0, 0, 0)


# --- settings and processes ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"listen": "4010"}, "listen must be host:port"),
        ({"listen": "127.0.0.1:x"}, "listen must be host:port"),
        ({"listen": "127.0.0.1:70000"}, "listen must be host:port"),
    ],
)
def test_settings_that_make_no_sense(fields: dict[str, Any], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        MockSettings(**fields)


@pytest.mark.parametrize(("listen", "expected"), [("127.0.0.1:0", ("127.0.0.1", 0)), ("[::1]:4010", ("::1", 4010))])
def test_address(listen: str, expected: tuple[str, int]) -> None:
    assert MockSettings(listen=listen).address() == expected


@pytest.mark.parametrize("host", ["127.0.0.1", "nowhere.invalid"])
def test_an_address_that_cannot_be_had(mock: Mock, host: str) -> None:
    with pytest.raises(StartError, match=f"cannot listen on {host}:{mock.port}: .+; stop what listens"):
        asyncio.run(start(MockSettings(listen=f"{host}:{mock.port}")))


def command(*options: str) -> list[str]:
    return [sys.executable, "-m", "edgeroute.mock", "--listen", "127.0.0.1:0", *options]


def port_in(line: str) -> int:
    match = re.fullmatch(r"mock provider listening on http://127\.0\.0\.1:(\d+)\n", line)
    assert match is not None, line
    return int(match[1])


@contextlib.contextmanager
def running(*arguments: str) -> Generator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate(timeout=HANG)


@pytest.mark.parametrize("sent", [signal.SIGTERM, signal.SIGINT])
def test_the_command_serves_until_it_is_told_to_stop(sent: signal.Signals) -> None:
    with running(*command("--first-token", "uniform(0ms, 1ms)", "--seed", "3")) as process:
        assert process.stdout is not None
        other = Mock(port_in(process.stdout.readline()))
        assert other.call("GET", "/v1/models")[0] == 200
        process.send_signal(sent)
        assert process.wait(HANG) == 0


def test_the_command_tells_of_a_wrong_time() -> None:
    done = subprocess.run(command("--token-interval", "soon"), capture_output=True, text=True, timeout=HANG)
    assert done.returncode == 1
    assert done.stderr.startswith("error: this is neither a time nor a distribution of times: write 20ms, uniform")


def test_the_command_tells_of_a_port_in_use(mock: Mock) -> None:
    listen = f"127.0.0.1:{mock.port}"
    done = subprocess.run([*command(), "--listen", listen], capture_output=True, text=True, timeout=HANG)
    assert done.returncode == 1
    assert done.stderr.startswith(f"error: the mock provider cannot listen on {listen}: Address already in use")


PARENT = """
import os, subprocess, sys
mock = subprocess.Popen([*sys.argv[1:], "--parent", str(os.getpid())], stdout=subprocess.PIPE, text=True)
print(mock.pid, mock.stdout.readline(), end="", flush=True)
sys.stdin.read()
"""


def test_it_ends_with_its_parent_but_not_by_ctrl_c() -> None:
    with running(sys.executable, "-c", PARENT, *command()) as parent:
        assert parent.stdout is not None
        assert parent.stderr is not None
        pid, _, line = parent.stdout.readline().partition(" ")
        with Mock(port_in(line)).connect() as connection:
            os.kill(int(pid), signal.SIGINT)
            connection.sendall(request(chat()))
            assert connection.recv(65536).startswith(b"HTTP/1.1 200 OK")
            parent.kill()
            try:
                assert connection.recv(1) == b""
            except TimeoutError:
                os.kill(int(pid), signal.SIGKILL)
                raise
        assert "is gone; the mock provider ends" in parent.stderr.read()


def test_the_command_line_lists_the_faults() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "edgeroute", "mock", "--faults"], capture_output=True, text=True, timeout=HANG
    )
    assert done.returncode == 0
    assert all(f"\n  {usage(name, fault)} " in done.stdout for name, fault in FAULTS.items())
