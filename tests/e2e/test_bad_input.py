"""Whatever clients or providers send: status, error shape of the caller, stable code, no leak, no crash."""

import json
import socket
from collections.abc import Iterator
from typing import Any

import pytest
from e2e_router import KEY, Answer, Router
from waiting import wait_for

AUTHORIZED = {"authorization": f"Bearer {KEY}", "content-type": "application/json"}
DIALECTS = {"openai": ("/v1/chat/completions", "one"), "anthropic": ("/v1/messages", "claude")}
MOST = 64 << 10
"""`max_body` of these routers."""
SECRETS = [b"sk-", b"127.0.0.1", b"localhost", b"http://", b"Traceback", b".py", b".rs", b"_native", b"panicked"]


@pytest.fixture(scope="module", autouse=True)
def survives(router: Router) -> Iterator[None]:
    """All of this leaves the same workers behind, with nothing open."""
    before = router.workers()
    yield
    assert router.workers() == before
    assert router.admin.ask("GET", "/healthz").status == 200
    router.idle()
    assert not any(value for name, value in router.metrics().items() if name.startswith("edgeroute_dropped_total"))


@pytest.fixture(params=DIALECTS)
def dialect(request: pytest.FixtureRequest) -> str:
    return request.param


def check(answer: Answer, dialect: str, status: int, code: str | None) -> str:
    """An error in the shape of the dialect; gives its message. Without a code it is the provider's own."""
    assert answer.status == status, answer
    assert answer.headers["content-type"].startswith("application/json")
    assert answer.headers["x-request-id"]
    for secret in SECRETS:
        assert secret not in answer.body
    error: dict[str, Any] = answer.json["error"]
    if dialect == "openai":
        assert set(answer.json) == {"error"}
        assert set(error) == {"message", "type", "param", "code"}
    elif code is not None:
        assert set(answer.json) == {"type", "error", "request_id"}
        assert answer.json["type"] == "error"
        assert answer.json["request_id"] == answer.headers["x-request-id"]
        assert set(error) == {"message", "type", "code"}
    if code is not None:
        assert error["code"] == code
    assert isinstance(error["type"], str)
    return error["message"]


# Bodies


@pytest.mark.parametrize(
    ("body", "code", "says"),
    [
        (b"", "invalid_body", "empty"),
        (b" \r\n", "invalid_body", ""),
        (b'{"model":"fast",}', "invalid_body", ""),
        (b'{"model" "fast"}', "invalid_body", ""),
        (b"{'model':'fast'}", "invalid_body", ""),
        (b'{"model":"fast"', "invalid_body", ""),
        (b'{"model":"fast","messages":[{"role":"us', "invalid_body", ""),
        (b'{"model":"fast\\u00', "invalid_body", ""),
        (b'{"model":"fast"} {}', "invalid_body", ""),
        (b'{"model":"fast"}\x00', "invalid_body", ""),
        (b"[]", "invalid_body", "object"),
        (b'"fast"', "invalid_body", "object"),
        (b"null", "invalid_body", "object"),
        (b'{"model":"fast","messages":' + b"[" * 20_000 + b"]" * 20_000 + b"}", "invalid_body", "deep"),
        (b'{"model":"fast","messages":' + b"[" * 20_000, "invalid_body", "deep"),
        (b'{"model":"fast","messages":' + b'{"a":' * 10_000, "invalid_body", "deep"),
        (b'{"model":"fast","model":"smart"}', "invalid_body", "model"),
        (b'{"model":"fast","mod\\u0065l":"smart"}', "invalid_body", "model"),
        (b'{"model":"fast","x":"\xff"}', "invalid_body", "UTF-8"),
        (b'{"model":"fast","x":"\xed\xa0\x80"}', "invalid_body", "UTF-8"),
        (b'\xef\xbb\xbf{"model":"fast"}', "invalid_body", ""),
        (b'{"model":"fa\nst"}', "invalid_body", ""),
        (b'{"messages":[]}', "invalid_field", "model"),
        (b"{}", "invalid_field", "GET /v1/models"),
        (b'{"model":5}', "invalid_field", "model"),
        (b'{"model":null}', "invalid_field", "model"),
        (b'{"model":["fast"]}', "invalid_field", "model"),
        (b'{"model":"\\ud800"}', "invalid_field", "surrogate"),
        (b'{"model":"fast","stream":"yes"}', "invalid_field", "stream"),
        (b'{"model":"fast","stream":1}', "invalid_field", "stream"),
        (b'{"model":"fast","max_tokens":-1}', "invalid_field", "max_tokens"),
        (b'{"model":"fast","max_tokens":1.5}', "invalid_field", "max_tokens"),
        (b'{"model":"fast","max_tokens":"9"}', "invalid_field", "max_tokens"),
        (b'{"model":""}', "model_not_found", ""),
        (b'{"model":"fasst"}', "model_not_found", "`fast`"),
        (b'{"model":"' + b"x" * 60_000 + b'"}', "model_not_found", "GET /v1/models"),
        (b'{"model":"fast\\r\\nset-cookie: a=b"}', "model_not_found", ""),
    ],
    ids=lambda value: repr(value)[:40] if isinstance(value, bytes) else "",
)
def test_bodies(router: Router, dialect: str, body: bytes, code: str, says: str) -> None:
    answer = router.ask("POST", DIALECTS[dialect][0], body, AUTHORIZED)
    message = check(answer, dialect, 404 if code == "model_not_found" else 400, code)
    assert says in message
    assert len(message) < 400
    assert "set-cookie" not in answer.headers


def test_stream_options_of_the_wrong_type(router: Router) -> None:
    for options in (b"7", b'{"include_usage":"yes"}'):
        body = b'{"model":"fast","stream":true,"stream_options":' + options + b"}"
        answer = router.ask("POST", DIALECTS["openai"][0], body, AUTHORIZED)
        check(answer, "openai", 400, "invalid_field")
        assert answer.json["error"]["param"] == "stream_options"


# Heads


@pytest.mark.parametrize(
    ("changes", "status", "code"),
    [
        ({"authorization": None}, 401, "missing_api_key"),
        ({"authorization": ""}, 401, "missing_api_key"),
        ({"authorization": "Bearer "}, 401, "missing_api_key"),
        ({"authorization": "Basic c2s6c2s="}, 401, "missing_api_key"),
        ({"authorization": None, "x-api-key": ""}, 401, "missing_api_key"),
        ({"authorization": "Bearer sk-wrong"}, 401, "invalid_api_key"),
        ({"authorization": f"Bearer {KEY}x"}, 401, "invalid_api_key"),
        ({"authorization": None, "x-api-key": "sk-wrong"}, 401, "invalid_api_key"),
        ({"content-type": "text/plain"}, 415, "unsupported_media_type"),
        ({"content-type": "application/x-www-form-urlencoded"}, 415, "unsupported_media_type"),
        ({"content-type": "multipart/form-data; boundary=x"}, 415, "unsupported_media_type"),
    ],
    ids=str,
)
def test_heads(router: Router, dialect: str, changes: dict[str, str | None], status: int, code: str) -> None:
    headers = {name: value for name, value in (AUTHORIZED | changes).items() if value is not None}
    answer = router.ask("POST", DIALECTS[dialect][0], b'{"model":"fast"}', headers)
    check(answer, dialect, status, code)
    assert b"wrong" not in answer.body, "a key is not repeated"


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/", 404, "unknown_path"),
        ("POST", "/", 404, "unknown_path"),
        ("POST", "/v1", 404, "unknown_path"),
        ("POST", "/v2/chat/completions", 404, "unknown_path"),
        ("POST", "/v1/chat/completions/", 404, "unknown_path"),
        ("POST", "/v1/v1/chat/completions", 404, "unknown_path"),
        ("POST", "//v1/chat/completions", 404, "unknown_path"),
        ("POST", "/openai/v1/responses/resp_1", 404, "unknown_path"),
        ("POST", "/openai/v1/messages", 404, "unknown_path"),
        ("POST", "/%00", 404, "unknown_path"),
        ("GET", "/v1/models/", 404, "unknown_path"),
        ("GET", "/metrics", 404, "unknown_path"),
        ("GET", "/v1/chat/completions", 405, "method_not_allowed"),
        ("DELETE", "/v1/chat/completions", 405, "method_not_allowed"),
        ("PROPFIND", "/v1/embeddings", 405, "method_not_allowed"),
        ("OPTIONS", "/chat/completions", 405, "method_not_allowed"),
        ("POST", "/v1/models", 405, "method_not_allowed"),
        ("DELETE", "/v1/models/fast", 405, "method_not_allowed"),
    ],
)
def test_paths_and_methods(router: Router, method: str, path: str, status: int, code: str) -> None:
    check(router.ask(method, path, b"{}", AUTHORIZED), "openai", status, code)


@pytest.mark.parametrize(
    ("method", "path", "headers", "status", "code"),
    [
        ("GET", "/v1/messages", {}, 405, "method_not_allowed"),
        ("POST", "/anthropic/v1/complete", {}, 404, "unknown_path"),
        ("POST", "/anthropic/v1/chat/completions", {}, 404, "unknown_path"),
        ("POST", "/v1/complete", {"anthropic-version": "2023-06-01"}, 404, "unknown_path"),
        ("GET", "/v1/models/fasst", {"anthropic-version": "2023-06-01"}, 404, "model_not_found"),
    ],
)
def test_paths_and_methods_of_anthropic(
    router: Router, method: str, path: str, headers: dict[str, str], status: int, code: str
) -> None:
    check(router.ask(method, path, b"{}", AUTHORIZED | headers), "anthropic", status, code)


def test_a_body_that_is_too_large_is_not_waited_for(router: Router, dialect: str) -> None:
    """The answer comes when the cap is passed, though most of the body is still to come."""
    headers = AUTHORIZED | {"content-length": str(1 << 30)}
    sent = b'{"model":"fast"' + b" " * 2 * MOST
    check(router.ask("POST", DIALECTS[dialect][0], sent, headers), dialect, 413, "body_too_large")


def test_a_body_without_length_is_read_up_to_the_cap(router: Router, dialect: str) -> None:
    for size, status, code in ((MOST - 40, 404, "model_not_found"), (MOST + 1, 413, "body_too_large")):
        body = b'{"model":"fasst","padding":"' + b"x" * (size - 30) + b'"}'
        parts = [body[at : at + 1000] for at in range(0, len(body), 1000)]
        connection = router.connect()
        connection.request("POST", DIALECTS[dialect][0], iter(parts), AUTHORIZED)  # chunked, without a length
        response = connection.getresponse()
        fields = {name.lower(): value for name, value in response.getheaders()}
        check(Answer(response.status, fields, response.read()), dialect, status, code)
        connection.close()


def test_the_largest_body_passes(router: Router, dialect: str) -> None:
    text = "x" * (MOST - 1000)
    fields = {"model": "fast", "max_tokens": 1, "messages": [{"role": "user", "content": text}]}
    assert router.post(DIALECTS[dialect][0], fields).status == 200


def test_a_client_that_leaves_inside_its_body_costs_nothing(router: Router, dialect: str) -> None:
    before = router.mock.stats()["total"]
    head = f"POST {DIALECTS[dialect][0]} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {KEY}\r\n"
    with router.raw() as connection:
        connection.sendall(f"{head}content-length: 100\r\n\r\n{{".encode())
    assert router.chat("fast").status == 200
    assert router.mock.stats()["total"] == before + 1


# Providers


@pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])
@pytest.mark.parametrize(
    ("model", "status", "code"),
    [
        ("unreachable", 502, "upstream_unreachable"),
        ("{}/mock-reset", 502, "upstream_cut"),
        ("{}/mock-garbage", 502, "upstream_protocol_error"),
        ("{}/mock-html-502", 502, "upstream_error"),
        ("{}/mock-html-503", 502, "upstream_error"),
        ("{}/mock-html-404", 404, "upstream_error"),
        ("{}/mock-status-401", 502, "upstream_authentication"),
        ("{}/mock-status-403", 502, "upstream_authentication"),
        ("{}/mock-status-400", 400, None),
        ("{}/mock-status-404", 404, None),
        ("{}/mock-status-429", 429, None),
        ("{}/mock-status-500", 500, None),
        ("{}/mock-status-529", 529, None),
    ],
)
def test_providers(router: Router, dialect: str, model: str, status: int, code: str | None, stream: bool) -> None:
    path, provider = DIALECTS[dialect]
    fields = {"model": model.format(provider), "max_tokens": 9, "stream": stream}
    answer = router.post(path, fields | {"messages": [{"role": "user", "content": "Hello"}]})
    check(answer, dialect, status, code)


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        ("wrong-length", "upstream_cut"),
        ("cut-0", "upstream_cut"),
        ("bad-chunking", "upstream_protocol_error"),
    ],
)
def test_whole_replies_that_break(router: Router, dialect: str, fault: str, code: str) -> None:
    path, provider = DIALECTS[dialect]
    fields = {"model": f"{provider}/mock-{fault}", "max_tokens": 9}
    answer = router.post(path, fields | {"messages": [{"role": "user", "content": "Hello"}]})
    check(answer, dialect, 502, code)


# Not HTTP


@pytest.mark.parametrize(
    "sent",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(range(256)),
        b"\x00" * 4096,
        b"hello\r\n\r\n",
        b"GET /v1/models\r\n\r\n",
        b"GET /v1/models HTTP/9.9\r\n\r\n",
        b"GET / HTTP/1.1\r\nbad header\r\n\r\n",
        b"x" * 200_000,
        b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * 5000 + b"\r\n",
        b"GET / HTTP/1.1\r\na: " + b"b" * 500_000 + b"\r\n\r\n",
        b"POST /v1/messages HTTP/1.1\r\nhost: x\r\ncontent-length: -1\r\n\r\n",
        b"POST /v1/messages HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\n{}",
        b"POST /v1/messages HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n{}\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\xff" * 64,
        b"SSH-2.0-OpenSSH_9.6\r\n",
    ],
    ids=lambda sent: repr(sent[:24]),
)
def test_bytes_that_are_not_http(router: Router, sent: bytes) -> None:
    """The server answers or hangs up; the router serves the next client."""
    with router.raw() as connection:
        received = b""
        try:
            connection.sendall(sent)
            connection.shutdown(socket.SHUT_WR)
            while piece := connection.recv(65536):
                received += piece
        except TimeoutError:
            raise
        except OSError:
            pass  # it hung up
    for secret in SECRETS:
        assert secret not in received
    assert router.chat("fast").status == 200


def test_the_log_has_no_secrets(router: Router) -> None:
    """After all this: neither keys of clients, nor credentials of providers, nor content."""
    private = [{"role": "user", "content": "a private matter"}]
    router.chat("fast", messages=private)
    router.chat("fast", key="sk-wrong", messages=private, headers={"x-request-id": "the-last"})
    lines = wait_for(lambda: [line for line in router.said().splitlines() if '"id":"the-last"' in line])
    assert json.loads(lines[-1])["error"] == "invalid_api_key"
    said = router.said()
    for secret in ("sk-secret", "sk-wrong", KEY, "private matter", "Traceback", "panicked"):
        assert secret not in said
