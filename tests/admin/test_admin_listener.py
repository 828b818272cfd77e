"""The admin listener over real sockets, with a supervisor made of fixed answers."""

import http.client
import json
import socket
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from edgeroute.admin import AdminListener
from edgeroute.telemetry import CONTENT_TYPE, Sample


class Outcome(msgspec.Struct, frozen=True):
    result: str
    generation: int
    message: str


class Fixed:
    def __init__(self) -> None:
        self.reason: str | None = None
        self.outcome = Outcome("applied", 2, "reloaded")

    def unready(self) -> str | None:
        return self.reason

    def samples(self) -> list[Sample]:
        return [("edgeroute_workers", 2)]

    def request_reload(self) -> Outcome:
        if self.outcome.result == "never":
            raise TimeoutError
        return self.outcome

    def status(self) -> dict[str, Any]:
        return {"generation": 2, "workers": []}


@pytest.fixture
def answers() -> Fixed:
    return Fixed()


@pytest.fixture
def port(answers: Fixed) -> Iterator[int]:
    bound = socket.create_server(("127.0.0.1", 0))
    listener = AdminListener(bound)
    listener.start(answers)
    yield bound.getsockname()[1]
    listener.close()


def ask(port: int, method: str, path: str, body: bytes | None = None) -> tuple[int, str, http.client.HTTPMessage]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    connection.request(method, path, body)
    answer = connection.getresponse()
    text = answer.read().decode()
    connection.close()
    return answer.status, text, answer.headers


def check(port: int, request: str, status: int, text: str, body: bytes | None = None) -> None:
    method, path = request.split()
    found_status, found_text, _ = ask(port, method, path, body)
    assert (found_status, found_text) == (status, text), request


def test_probes(port: int, answers: Fixed):
    check(port, "GET /healthz", 200, "ok\n")
    check(port, "GET /readyz", 200, "ready\n")
    check(port, "GET /readyz?verbose", 200, "ready\n")
    answers.reason = "stopping"
    check(port, "GET /readyz", 503, "stopping\n")
    check(port, "GET /healthz", 200, "ok\n")
    check(port, "HEAD /healthz", 200, "")


def test_metrics_say_their_format(port: int):
    status, text, headers = ask(port, "GET", "/metrics")
    assert status == 200
    assert headers["content-type"] == CONTENT_TYPE
    assert "edgeroute_workers 2\n" in text


def test_status_is_json(port: int):
    assert json.loads(ask(port, "GET", "/status")[1]) == {"generation": 2, "workers": []}


@pytest.mark.parametrize(
    ("result", "status"), [("applied", 200), ("unchanged", 200), ("invalid", 422), ("unconfirmed", 503)]
)
def test_reload_tells_its_result(port: int, answers: Fixed, result: str, status: int):
    answers.outcome = Outcome(result, 3, "line 1\nline 2")
    found, text, _ = ask(port, "POST", "/reload")
    assert found == status
    assert json.loads(text) == {"result": result, "generation": 3, "message": "line 1\nline 2"}


def test_a_reload_that_takes_for_ever_is_an_answer_too(port: int, answers: Fixed):
    answers.outcome = Outcome("never", 0, "")
    check(port, "POST /reload", 503, "the supervisor is busy; try again\n")


def test_wrong_paths_and_methods(port: int):
    paths = "/healthz, /readyz, /metrics, /status, /reload"
    check(port, "GET /", 404, f"no such path; there are {paths}\n")
    check(port, "POST /nothing", 404, f"no such path; there are {paths}\n")
    check(port, "GET /reload", 405, "use POST\n")
    check(port, "DELETE /metrics", 405, "use GET\n")
    assert ask(port, "GET", "/reload")[2]["allow"] == "POST"


def test_a_body_does_not_become_the_next_request(port: int):
    smuggled = b"GET /metrics HTTP/1.1\r\nhost: x\r\n\r\n"
    with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
        head = f"POST /reload HTTP/1.1\r\nhost: x\r\ncontent-length: {len(smuggled)}\r\n\r\n"
        connection.sendall(head.encode() + smuggled)
        received = b"".join(iter(lambda: connection.recv(65536), b""))
    assert received.count(b"HTTP/1.1 ") == 1


def test_bytes_that_are_not_http_do_no_harm(port: int):
    with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
        connection.sendall(b"\x16\x03\x01\x00\xff\r\n\r\n")
        connection.recv(65536)
    check(port, "GET /healthz", 200, "ok\n")
