"""More than a worker takes: refused at once, unread, and told in the caller's dialect."""

import json
import socket
import struct
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from typing import Any

import pytest
from e2e_config import basic_config
from e2e_provider import Provider, whole
from e2e_router import KEY, Answer, Config, Router
from waiting import wait_for

START = Callable[[Config], Router]
DIALECTS = ["/v1/chat/completions", "/v1/responses", "/v1/messages"]
LARGE = 20 << 20


@pytest.fixture(scope="module")
def small(start: START, face: str) -> Router:
    """A router that takes two requests at a time, and no slow bodies."""
    config = basic_config(interface=face, max_in_flight=2, max_reply="1KiB")
    config["defaults"] = {"timeouts": {"body": "300ms"}}
    return start(config)


@pytest.fixture
def full(small: Router) -> Iterator[Router]:
    """It has two streams that last."""
    with ExitStack() as stack:
        for _ in range(2):
            assert stack.enter_context(small.held()).read1()
        yield small
    small.idle()


def head(path: str, framing: str, key: str = KEY) -> bytes:
    fields = ["host: router", f"authorization: Bearer {key}", "content-type: application/json", framing]
    return f"POST {path} HTTP/1.1\r\n".encode() + "".join(f"{each}\r\n" for each in fields).encode() + b"\r\n"


def answer_to(router: Router, sent: bytes, more: Callable[[socket.socket], None] | None = None) -> Answer:
    """What comes back when no more than this is sent; the body that is missing never comes."""
    with router.raw() as connection:
        connection.sendall(sent)
        if more is not None:
            more(connection)
        got = b""
        while b"\r\n\r\n" not in got:
            got += connection.recv(65536)
        start, _, body = got.partition(b"\r\n\r\n")
        status, *lines = start.decode().split("\r\n")
        fields = dict(line.lower().split(": ", 1) for line in lines)
        while len(body) < int(fields["content-length"]):
            body += connection.recv(65536)
        return Answer(int(status.split()[1]), fields, body)


def check(answer: Answer, path: str, status: int, code: str) -> dict[str, Any]:
    """An error in the dialect of the path."""
    assert answer.status == status, answer
    assert answer.json["error"]["code"] == code
    assert ("type" in answer.json) == path.endswith("/messages")
    return answer.json["error"]


@pytest.mark.parametrize("path", DIALECTS)
def test_what_is_too_much_is_refused_unread(full: Router, path: str) -> None:
    answer = answer_to(full, head(path, f"content-length: {LARGE}"))
    error = check(answer, path, 503, "overloaded")
    assert "try again" in error["message"]
    assert answer.headers["retry-after"] == "1"
    assert answer.headers["content-type"] == "application/json"


def test_refusals_are_counted_and_told_in_one_line(small: Router, full: Router) -> None:
    name = 'edgeroute_requests_total{model="",target="",status="503",outcome="overloaded"}'
    before = full.metrics().get(name, 0)
    for _ in range(50):
        assert answer_to(full, head(DIALECTS[0], "content-length: 2") + b"{}").status == 503
    assert full.metrics()[name] == before + 50
    assert full.admin.ask("GET", "/readyz").status == 200
    wait_for(lambda: "because `max_in_flight` (2) were open" in full.said())
    assert full.said().count('"outcome":"overloaded"') == 0


def test_there_is_room_again_when_requests_end(small: Router) -> None:
    with small.held() as one, small.held() as two:
        assert one.read1()
        assert two.read1()
        assert answer_to(small, head(DIALECTS[0], "content-length: 2") + b"{}").status == 503
    wait_for(lambda: small.chat("fast").status == 200)


@pytest.mark.parametrize("framing", [f"content-length: {LARGE}", "transfer-encoding: chunked"])
@pytest.mark.parametrize("path", DIALECTS)
def test_an_unknown_key_is_refused_before_the_body_comes(small: Router, path: str, framing: str) -> None:
    check(answer_to(small, head(path, framing, "wrong")), path, 401, "invalid_api_key")


def test_a_media_type_is_refused_before_the_body_comes(small: Router) -> None:
    sent = head(DIALECTS[0], f"content-length: {LARGE}").replace(b"application/json", b"text/plain")
    check(answer_to(small, sent), DIALECTS[0], 415, "unsupported_media_type")


def trickle(connection: socket.socket) -> None:
    """A byte now and then, until the router has had enough."""
    connection.settimeout(0.05)
    while True:
        try:
            connection.send(b"1\r\n \r\n")
            if connection.recv(1, socket.MSG_PEEK):
                break
        except TimeoutError:
            continue
    connection.settimeout(None)


@pytest.mark.parametrize("path", DIALECTS)
@pytest.mark.parametrize("framing", ["content-length: 1000", f"content-length: {LARGE}", "transfer-encoding: chunked"])
@pytest.mark.parametrize("more", [None, trickle])
def test_a_body_that_is_late_is_refused(
    small: Router, path: str, framing: str, more: Callable[[socket.socket], None] | None
) -> None:
    """Also one of which something comes again and again; and it frees its place."""
    if framing.startswith("content-length") and more is trickle:
        framing = framing.replace("1000", "100000")
    check(answer_to(small, head(path, framing), more), path, 408, "body_timeout")
    lines = [json.loads(line) for line in small.said().splitlines() if '"body_timeout"' in line]
    assert all((line["status"], line["outcome"], line["key"]) == (408, "refused", "everything") for line in lines)
    for _ in range(3):
        assert small.chat("fast").status == 200


def test_a_client_that_leaves_while_it_sends_frees_its_place(small: Router) -> None:
    for framing in (f"content-length: {LARGE}", "content-length: 1000", "transfer-encoding: chunked"):
        for _ in range(4):
            with small.raw() as connection:
                connection.sendall(head(DIALECTS[0], framing) + b"2\r\n{ \r\n")
                # Closing resets the connection.
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    wait_for(lambda: small.chat("fast").status == 200)


def test_a_reply_that_is_too_large(start: START, face: str) -> None:
    with closing(Provider(whole(b'{"object":"%b"}' % (b"x" * 2000))).listen()) as provider:
        config = basic_config(interface=face, max_reply="1KiB")
        config["providers"]["theirs"] = {"dialect": "openai-chat", "url": provider.url}
        config["models"]["theirs"] = "theirs/llama"
        router = start(config)
        error = check(router.chat("theirs"), DIALECTS[0], 502, "upstream_protocol_error")
        assert "too large" in error["message"]
        wait_for(lambda: "the response is too large: more than the 1024 bytes allowed" in router.said())
        router.configure(config | {"max_reply": "1MiB"})
        wait_for(lambda: router.chat("theirs").status == 200)
