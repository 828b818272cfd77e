"""The admin listener over real sockets, with a supervisor made of fixed answers."""

import http.client
import json
import socket
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from edgeroute.admin import AdminListener
from edgeroute.admin.listener import Asked, refuse
from edgeroute.config import Secret
from edgeroute.replicas.changes import Command
from edgeroute.supervisor.caches import PurgeCommand, Purged
from edgeroute.telemetry import CONTENT_TYPE, Sample


class Outcome(msgspec.Struct, frozen=True):
    result: str
    generation: int
    message: str


class Fixed:
    def __init__(self) -> None:
        self.reason: str | None = None
        self.outcome = Outcome("applied", 2, "reloaded")
        self.commands: list[Command] = []
        self.purges: list[PurgeCommand] = []
        self.purged = Purged("applied", 3, "purged 3 entries")

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

    def replicas(self) -> dict[str, Any]:
        return {"replicas": []}

    def change_replica(self, command: Command) -> Outcome:
        self.commands.append(command)
        return self.outcome

    def cache(self) -> dict[str, Any]:
        return {"store": None}

    def purge_cache(self, command: PurgeCommand) -> Purged:
        self.purges.append(command)
        return self.purged


@pytest.fixture
def answers() -> Fixed:
    return Fixed()


def listening(answers: Fixed, admin_key: Secret | None) -> Iterator[int]:
    bound = socket.create_server(("127.0.0.1", 0))
    listener = AdminListener(bound, admin_key)
    listener.start(answers)
    yield bound.getsockname()[1]
    listener.close()


@pytest.fixture
def port(answers: Fixed) -> Iterator[int]:
    yield from listening(answers, None)


@pytest.fixture
def guarded_port(answers: Fixed) -> Iterator[int]:
    yield from listening(answers, Secret("letmein"))


def ask(
    port: int, method: str, path: str, body: bytes | None = None, **headers: str
) -> tuple[int, str, http.client.HTTPMessage]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    connection.request(method, path, body, headers)
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
    assert ask(port, "HEAD", "/healthz")[2]["content-length"] == "3"
    assert ask(port, "GET", "/healthz")[2]["server"] == "edgeroute"


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


CHANGE = b'{"action": "weight", "provider": "vllm", "replica": "http://gpu-0/v1", "weight": 3}'


def test_replicas_are_json(port: int):
    assert json.loads(ask(port, "GET", "/replicas")[1]) == {"replicas": []}


@pytest.mark.parametrize(("result", "status"), [("applied", 200), ("invalid", 422), ("unconfirmed", 503)])
def test_a_change_of_a_replica_tells_its_result(port: int, answers: Fixed, result: str, status: int):
    answers.outcome = Outcome(result, 3, "line 1")
    found, text, _ = ask(port, "POST", "/replicas", CHANGE)
    assert (found, json.loads(text)["result"]) == (status, result)
    assert answers.commands == [Command("weight", provider="vllm", replica="http://gpu-0/v1", weight=3)]


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b"", "Input data was truncated"),
        (b"[]", "Expected `object`, got `array`"),
        (b"{}", "missing required field `action`"),
        (CHANGE.replace(b"weight", b"delete", 1), "Invalid enum value 'delete' - at `$.action`"),
        (CHANGE.replace(b'"weight": 3', b'"weight": 0'), "Expected `int` >= 1 - at `$.weight`"),
        (CHANGE.replace(b'"weight": 3', b'"weight": 1e9'), "at `$.weight`"),
        (CHANGE.replace(b'"weight": 3', b'"wait": 3'), "unknown field `wait`"),
        (CHANGE.replace(b"vllm", b"\xff"), "invalid start byte"),
        (b" " * 65_537, "it is longer than 64 KiB"),
    ],
)
def test_what_is_no_change_says_what_one_is(port: int, answers: Fixed, body: bytes, expected: str):
    status, text, _ = ask(port, "POST", "/replicas", body)
    assert (status, answers.commands) == (400, [])
    assert text.startswith("this is no change of a replica: ")
    assert expected in text
    assert text.endswith(
        '; send JSON such as {"action": "drain", "provider": "vllm", "replica": "http://gpu-0:8000/v1"}\n'
    )


def test_a_change_without_a_length(port: int):
    text = ask(port, "POST", "/replicas", CHANGE, **{"transfer-encoding": "chunked"})[1]
    assert "it needs a content-length" in text


def test_the_cache_is_json(port: int):
    assert json.loads(ask(port, "GET", "/cache")[1]) == {"store": None}


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b'{"key": "0f"}', PurgeCommand(key="0f")),
        (b'{"team": "search"}', PurgeCommand(team="search")),
        (b'{"virtual_key": "me"}', PurgeCommand(virtual_key="me")),
        (b'{"everybody": true}', PurgeCommand(everybody=True)),
        (b'{"model": "faq", "all": false}', PurgeCommand(model="faq")),
        (b'{"older_than": "1h"}', PurgeCommand(older_than="1h")),
        (b'{"all": true}', PurgeCommand(all=True)),
    ],
)
def test_a_purge_tells_its_result(port: int, answers: Fixed, body: bytes, expected: PurgeCommand):
    status, text, _ = ask(port, "POST", "/cache/purge", body)
    assert (status, json.loads(text)) == (200, {"result": "applied", "entries": 3, "message": "purged 3 entries"})
    assert answers.purges == [expected]
    answers.purged = Purged("invalid", 0, "no")
    assert ask(port, "POST", "/cache/purge", body)[0] == 422


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b"", "Input data was truncated"),
        (b'{"modle": "faq"}', "unknown field `modle`"),
        (b'{"model": ""}', "Expected `str` of length >= 1 - at `$.model`"),
        (b'{"model": 1}', "at `$.model`"),
        (b'{"all": "yes"}', "Expected `bool`"),
        (b'{"model": "\xff"}', "invalid start byte"),
        (b" " * 65_537, "it is longer than 64 KiB"),
    ],
)
def test_what_is_no_purge_says_what_one_is(port: int, answers: Fixed, body: bytes, expected: str):
    status, text, _ = ask(port, "POST", "/cache/purge", body)
    assert (status, answers.purges) == (400, [])
    assert text.startswith("this says not what to purge: ")
    assert expected in text
    assert text.endswith('; send JSON such as {"model": "faq"}\n')


def test_wrong_paths_and_methods(port: int):
    paths = "/healthz, /readyz, /metrics, /status, /replicas, /cache, /cache/purge, /reload"
    check(port, "GET /", 404, f"no such path; there are {paths}\n")
    check(port, "POST /nothing", 404, f"no such path; there are {paths}\n")
    check(port, "GET /reload", 405, "use POST\n")
    check(port, "DELETE /metrics", 405, "use GET\n")
    check(port, "PUT /replicas", 405, "use GET or POST\n")
    assert ask(port, "PUT", "/replicas")[2]["allow"] == "GET, POST"
    assert ask(port, "GET", "/reload")[2]["allow"] == "POST"


# Who may ask


def test_the_key_guards_all_but_probes_and_metrics(guarded_port: int):
    for request in ("GET /status", "HEAD /status", "POST /reload", "GET /replicas", "POST /replicas",
                    "GET /cache", "POST /cache/purge"):  # fmt: skip
        method, path = request.split()
        status, text, headers = ask(guarded_port, method, path)
        assert (status, headers["www-authenticate"]) == (401, "Bearer")
        assert text == ("" if method == "HEAD" else UNAUTHORIZED)
        body = {"POST /replicas": CHANGE, "POST /cache/purge": b'{"all": true}'}.get(request)
        assert ask(guarded_port, method, path, body, authorization="Bearer letmein")[0] == 200
    for path in ("/healthz", "/readyz", "/metrics"):
        assert ask(guarded_port, "GET", path)[0] == 200


def test_without_a_key_this_machine_is_answered(port: int):
    assert ask(port, "GET", "/status")[0] == 200
    assert ask(port, "GET", "/status", host="evil.example:9400")[0] == 403


def test_browsers_are_refused(port: int, guarded_port: int):
    for method, path in (("GET", "/status"), ("POST", "/reload"), ("POST", "/replicas")):
        assert ask(port, method, path, origin="null")[0] == 403
        assert ask(guarded_port, method, path, origin="http://127.0.0.1", authorization="Bearer letmein")[0] == 403
    assert ask(port, "GET", "/metrics", origin="null")[0] == 200


UNAUTHORIZED = "this needs the header `authorization: Bearer` with the `admin_key` of the configuration\n"


@pytest.mark.parametrize(
    ("authorization", "status"),
    [
        ("Bearer letmein", None),
        ("bearer letmein", None),
        ("BEARER  letmein ", None),
        ("Bearer letmei", 401),
        ("Bearer letmeinn", 401),
        ("Bearer LETMEIN", 401),
        ("Bearer l\xe9tmein", 401),
        ("Basic letmein", 401),
        ("letmein", 401),
        ("Bearer", 401),
        ("", 401),
    ],
)
def test_a_wrong_key_is_refused_from_anywhere(authorization: str, status: int | None):
    for peer in ("127.0.0.1", "10.0.0.7"):
        found = refuse(Asked("GET", "/status", {"authorization": authorization}, peer, bytes), Secret("letmein"))
        assert (found and found[0][0]) == status
        assert "letmein" not in repr(found)


@pytest.mark.parametrize(
    ("peer", "host", "answered"),
    [
        ("127.0.0.1", "127.0.0.1:9400", True),
        ("127.0.0.1", "localhost:9400", True),
        ("127.8.9.1", "LOCALHOST", True),
        ("::1", "[::1]:9400", True),
        ("::ffff:127.0.0.1", "[::ffff:127.0.0.1]", True),
        ("10.0.0.7", "10.0.0.7:9400", False),
        ("10.0.0.7", "127.0.0.1:9400", False),
        ("::ffff:10.0.0.7", "localhost", False),
        ("fe80::1%eth0", "localhost", False),
        ("0.0.0.0", "localhost", False),
        ("127.0.0.1", "evil.example:9400", False),
        ("127.0.0.1", "localhost.evil.example", False),
        ("127.0.0.1", "127.0.0.1.evil.example", False),
        ("127.0.0.1", "[", False),
        ("127.0.0.1", "", False),
    ],
)
def test_without_a_key_only_loopback_is_answered(peer: str, host: str, answered: bool):
    found = refuse(Asked("GET", "/status", {"host": host}, peer, bytes), None)
    assert (found is None) == answered
    assert found is None or found[0][0] == 403


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
        assert b"<html" not in connection.recv(65536).lower()
    check(port, "GET /healthz", 200, "ok\n")
