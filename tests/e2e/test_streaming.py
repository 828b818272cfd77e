"""Streams: what leaves when, what happens when one side stops, and how a broken stream ends."""

import json
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from e2e_config import basic_config
from e2e_provider import Provider
from e2e_router import KEY, Answer, Config, Router, hashed
from waiting import wait_for

START = Callable[[Config], Router]
HELLO = [{"role": "user", "content": "Hello"}]
DIALECTS = [("/v1/chat/completions", "one"), ("/v1/messages", "claude")]
GAP = 0.5
"""Seconds of silence after which these routers give a stream up."""


@pytest.fixture(scope="module")
def streaming(start: START, face: str) -> Router:
    config = basic_config(interface=face, max_stream="64KiB")
    config["defaults"] = {"timeouts": {"gap": f"{int(GAP * 1000)}ms"}}
    return start(config)


def body(model: str) -> dict[str, Any]:
    return {"model": model, "max_tokens": 100_000, "messages": HELLO, "stream": True}


@pytest.mark.parametrize(("path", "provider"), DIALECTS)
def test_events_arrive_before_the_provider_has_finished(router: Router, path: str, provider: str) -> None:
    """The provider stops for ever after three events; the client has them all the same."""
    with router.stream(path, body(f"{provider}/mock-stall-3")) as response:
        assert response.status == 200
        assert response.headers["content-type"].startswith("text/event-stream")
        got = b""
        while got.count(b"\n\n") < 3:
            got += response.read1()
        assert got.count(b"\n\n") == 3
        assert got.endswith(b"\n\n")
        assert router.mock.stats()["open"] == 1
    router.idle()


@pytest.mark.parametrize(("path", "provider"), DIALECTS)
def test_a_disconnect_cancels_the_provider_at_once(router: Router, path: str, provider: str) -> None:
    router.idle()
    before = router.mock.stats()["disconnects"]
    with router.stream(path, body(f"{provider}/mock-stall-3")) as response:
        assert response.read1()
        assert router.in_flight() == 1
    router.idle()
    assert router.mock.stats()["disconnects"] == before + 1


@pytest.mark.parametrize(("path", "provider"), DIALECTS)
@pytest.mark.parametrize("stream", [True, False])
def test_a_disconnect_before_the_first_byte_cancels_too(router: Router, path: str, provider: str, stream: bool) -> None:
    before, asked = router.mock.stats()["disconnects"], router.metrics()
    connection = router.connect()
    # The connection has been used before: what was listened to then is not what is listened to now.
    assert router.chat("fast", connection=connection).status == 200
    connection.request(
        "POST",
        path,
        json.dumps(body(f"{provider}/mock-delay-600000") | {"stream": stream}),
        {"authorization": f"Bearer {KEY}", "content-type": "application/json"},
    )
    wait_for(lambda: router.mock.stats()["open"] == 1)
    connection.close()
    router.idle()
    assert router.mock.stats()["disconnects"] == before + 1
    wait_for(lambda: len(left_early(router.metrics(), asked)) == 1)


def left_early(samples: dict[str, float], before: dict[str, float]) -> list[str]:
    """The counts of clients that left before they had an answer, of those that grew."""
    label = 'status="499",outcome="disconnected"'
    return [name for name, value in samples.items() if label in name and value == before.get(name, 0) + 1]


def test_clients_that_leave_free_their_place(start: START, face: str) -> None:
    """A limit of concurrency is given back, on connections that are used again."""
    config = basic_config(interface=face)
    config["virtual_keys"]["two-at-once"] = {"hash": hashed("sk-two"), "limits": {"concurrency": 2}}
    router = start(config)
    headers = {"authorization": "Bearer sk-two", "content-type": "application/json"}
    for _ in range(3):
        leaving = [router.connect() for _ in range(2)]
        for connection in leaving:
            connection.request("POST", "/v1/chat/completions", json.dumps(body("one/mock-delay-600000")), headers)
        wait_for(lambda: router.in_flight() == 2)
        assert router.chat("fast", key="sk-two").status == 429
        for connection in leaving:
            connection.close()
        router.idle()
        assert router.chat("fast", key="sk-two").status == 200


def test_a_client_that_leaves_a_fast_stream(router: Router) -> None:
    """It leaves while events are on their way to it; nothing of that is an error of the server."""
    before = router.mock.stats()["disconnects"]
    for _ in range(5):
        with router.stream("/v1/chat/completions", body("one/mock-tokens-100000")) as response:
            assert response.read(10_000)
    router.idle()
    assert router.mock.stats()["disconnects"] == before + 5


# How a broken stream ends


def error_event(answer: Answer, path: str) -> dict[str, Any]:
    """The error that ends a broken stream, in the dialect of the path; nothing may follow it."""
    assert answer.status == 200, answer
    last = json.loads(answer.data[-1])
    if path.endswith("/messages"):
        assert answer.body.rpartition(b"\n\n")[0].rpartition(b"\n\n")[2].startswith(b"event: error\n")
        assert last["type"] == "error"
        assert last["request_id"] == answer.headers["x-request-id"]
    assert set(last["error"]) >= {"type", "code", "message"}
    return last["error"]


@pytest.mark.parametrize(("path", "provider"), DIALECTS)
@pytest.mark.parametrize(
    ("fault", "code", "message"),
    [
        ("cut-5", "stream_cut", "closed the connection before the stream was complete"),
        ("bad-chunking", "stream_protocol", "not a valid stream"),
        ("stall-5", "stream_gap_timeout", "stopped sending"),
    ],
)
def test_a_broken_stream_ends_with_an_error_event(
    streaming: Router, path: str, provider: str, fault: str, code: str, message: str
) -> None:
    asked = time.monotonic()
    answer = streaming.post(path, body(f"{provider}/mock-{fault}"))
    error = error_event(answer, path)
    assert error["code"] == code
    assert message in error["message"]
    events = {"cut-5": 5, "stall-5": 5, "bad-chunking": 1}[fault]
    assert len(answer.data) == events + 1, "all that came before has passed"
    if fault.startswith("stall"):
        assert time.monotonic() - asked >= GAP
    # It is told apart from a stream that ended as it should, and its exchange is closed.
    wait_for(lambda: streaming.in_flight() == 0)
    samples = streaming.metrics()
    label = f'edgeroute_requests_total{{model="{provider}/*",target="{provider}/*",status="200",outcome="cut"}}'
    assert samples[label] >= 1


@pytest.mark.parametrize(
    ("events", "passes", "code"),
    [
        (b'data: {"a":1}\n\ndata: {"b":', b'data: {"a":1}\n\n', "stream_cut"),
        (b'data: {"a":1}\r\n\r\ndata: {"b":2}\n', b'data: {"a":1}\r\n\r\n', "stream_cut"),
        (b'data: {"a":1}\n\ndata: [DON', b'data: {"a":1}\n\n', "stream_cut"),
        (b'data: {"a":1}\n\ndata: ' + b"x" * (1 << 20), b'data: {"a":1}\n\n', "stream_protocol"),
        (b'data: {"b":', b"", "upstream_cut"),
        (b"", b"", "upstream_cut"),
    ],
    ids=["inside a line", "between lines", "inside the end marker", "too large", "inside the first", "nothing"],
)
def test_part_of_an_event_never_reaches_the_client(
    start: START, face: str, events: bytes, passes: bytes, code: str
) -> None:
    head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n"
    with closing(Provider(head + events).listen()) as provider:
        config = basic_config(interface=face)
        config["providers"]["theirs"] = {"dialect": "openai-chat", "url": provider.url}
        config["models"]["theirs"] = "theirs/llama"
        answer = start(config).chat("theirs", stream=True)
    assert answer.body.startswith(passes)
    assert answer.status == (200 if passes else 502)
    assert json.loads(answer.body.removeprefix(passes).removeprefix(b"data: "))["error"]["code"] == code


def test_a_whole_stream_has_no_error_event(streaming: Router) -> None:
    assert streaming.chat("fast", stream=True).data[-1] == b"[DONE]"
    assert json.loads(streaming.messages("fast", stream=True).data[-1]) == {"type": "message_stop"}


@pytest.mark.parametrize(("path", "provider"), DIALECTS)
def test_rsgi_caps_a_stream(streaming: Router, path: str, provider: str) -> None:
    """Whether RSGI's clients read is not always known: a stream larger than `max_stream` (64 KiB) is ended there."""
    answer = streaming.post(path, body(f"{provider}/mock-tokens-2000"))
    if json.loads(streaming.file.read_text())["interface"] == "asgi":
        assert len(answer.body) > 64 << 10
        assert answer.data[-1] in (b"[DONE]", b'{"type":"message_stop"}')
    else:
        assert len(answer.body) < 65 << 10
        error = error_event(answer, path)
        assert error["code"] == "stream_too_large"
        wait_for(lambda: streaming.in_flight() == 0)


@pytest.mark.parametrize(("path", "provider"), DIALECTS)
def test_what_breaks_after_the_end_marker_is_no_break(streaming: Router, path: str, provider: str) -> None:
    answer = streaming.post(path, body(f"{provider}/mock-wrong-length"))
    assert answer.data[-1] in (b"[DONE]", b'{"type":"message_stop"}')
    label = f'edgeroute_requests_total{{model="{provider}/*",target="{provider}/*",status="200",outcome="ok"}}'
    wait_for(lambda: streaming.metrics().get(label))


# Slow readers


def resident(pid: int) -> int:
    """Bytes of memory that a process has."""
    line = next(line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmRSS:"))
    return int(line.split()[1]) << 10


def test_a_slow_reader_does_not_fill_the_memory_of_asgi(start: START) -> None:
    """A client that reads nothing stops the provider; once it reads, it gets every event."""
    router = start(basic_config(interface="asgi"))
    router.chat("fast", stream=True)
    (worker,) = router.workers()
    before = resident(worker)
    tokens = 100_000

    path, fields = "/v1/chat/completions", body(f"one/mock-tokens-{tokens}")
    with router.stream(path, fields) as response:
        with router.stream(path, fields) as another:
            assert len(another.read()) > 16 << 20, "more than could wait unseen"
        # In the time in which another client got the same stream to its end, this one's provider was held back.
        provider = router.mock.requests()[-2]
        assert provider["bytes_sent"] < 16 << 20
        assert not provider["ended"], "all of it went somewhere"
        # What waits is in kernel buffers, mostly; a worker holds at most a few hundred kB of a stream.
        assert resident(worker) - before < 8 << 20
        everything = response.read()
    assert everything.count(b"\n\n") == tokens + 3
    assert everything.endswith(b"data: [DONE]\n\n")
    assert len(everything) > 16 << 20, "more than could wait unseen"


def test_a_slow_reader_does_not_fill_the_memory_of_rsgi(start: START) -> None:
    """The same, as the kernel tells what a client has not taken; when it reads, the stream goes on."""
    router = start(basic_config(interface="rsgi", max_stream="1GiB"))
    router.chat("fast", stream=True)
    (worker,) = router.workers()
    before = resident(worker)

    def sent() -> int:
        return next(each["bytes_sent"] for each in router.mock.requests() if b"mock-tokens" in each["body"])

    with router.stream("/v1/chat/completions", body("one/mock-tokens-100000")) as response:
        held_back = 0
        while held_back != (held_back := sent()):
            for _ in range(20):
                assert router.chat("fast").status == 200
        assert 1 << 20 < held_back < 16 << 20, "of more than that"
        assert resident(worker) - before < 8 << 20
        # As much as could wait unseen, and more.
        while held_back > 0:
            held_back -= len(piece := response.read1(1 << 20))
            assert piece
        assert response.read(1 << 20)
    router.idle()


@pytest.mark.parametrize("interface", ["asgi", "rsgi"])
def test_clients_that_leave_in_the_middle_of_their_body_leave_nothing_behind(start: START, interface: str) -> None:
    router = start(basic_config(interface=interface))
    (worker,) = router.workers()
    head = (
        f"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {KEY}\r\ncontent-length: 999\r\n\r\n"
    )

    def leave(times: int) -> None:
        for _ in range(times):
            for _ in range(500):
                with router.raw() as connection:
                    connection.sendall(head.encode() + b'{"model":')
            wait_for(lambda: router.chat("fast").status == 200)

    leave(1)
    before = resident(worker)
    leave(6)
    # Of each, 16 kB stayed behind once.
    assert resident(worker) - before < 20 << 20
