"""However a request ends: settled once, one line in the log, nothing left open, no noise in the loop."""

import asyncio
import gc
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pytest
from app_in_process import (
    ANSWER,
    CLOSE,
    DONE,
    END,
    HANG,
    STREAM,
    USAGE,
    Client,
    Face,
    Running,
    Script,
    chunk,
    completion,
    event,
    head,
    run,
    wait_for,
    whole,
)

Drive = Callable[[Running, Client], Awaitable[None]]


def error_event(message: str) -> bytes:
    return b'data: {"error":{"message":"%b"}}\n\n' % message.encode()


HELLO = STREAM + chunk(event("Hello"))
COMPLETE: Script = [HELLO, chunk(USAGE + DONE), END]
TOO_MANY = whole(b'{"error":{"message":"slow down"}}', 429)
STREAMED_503 = head("text/event-stream", status=503)


@pytest.fixture(params=["asgi", "rsgi"])
def face(request: pytest.FixtureRequest) -> Face:
    return request.param


def streaming() -> Client:
    return Client(body=completion(stream=True))


def plain() -> Client:
    return Client(body=completion())


def references(client: Client) -> int:
    """How many hold the body: the client, and the ticket while it lives."""
    gc.collect()  # an exception's traceback
    return sys.getrefcount(client.body)


# What the client and the server do


async def to_the_end(running: Running, client: Client) -> None:
    await running.ask(client)


async def leave_before_the_head(running: Running, client: Client) -> None:
    task = running.serve(client)
    await wait_for(lambda: running.provider.requests)
    client.left.set()
    await task


async def leave_in_the_second_attempt(running: Running, client: Client) -> None:
    task = running.serve(client)
    await wait_for(lambda: len(running.provider.requests) == 2)
    client.left.set()
    await task


async def leave_mid_stream(running: Running, client: Client) -> None:
    task = running.serve(client)
    await wait_for(lambda: client.chunks)
    client.left.set()
    await task


async def cancel_before_the_head(running: Running, client: Client) -> None:
    task = running.serve(client)
    await wait_for(lambda: running.provider.requests)
    await cancel(task)


async def cancel_mid_stream(running: Running, client: Client) -> None:
    task = running.serve(client)
    await wait_for(lambda: client.chunks)
    await cancel(task)


async def cancel(task: "asyncio.Task[None]") -> None:
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def drop_mid_stream(running: Running, client: Client) -> None:
    """The coroutine is closed where it waits, as when an interpreter ends."""
    coroutine = client.start(running.app, running.face)
    future: Any = coroutine.send(None)
    while not client.chunks:
        await wait_for(future.done)
        future = coroutine.send(None)
    coroutine.close()


async def fail_to_send_the_head(running: Running, client: Client) -> None:
    client.fail_send = 0
    await sends(running, client)


async def fail_to_send_events(running: Running, client: Client) -> None:
    client.fail_send = 1
    await sends(running, client)


async def sends(running: Running, client: Client) -> None:
    """ASGI servers report what `send` raises; on RSGI the application knows what a closed protocol means."""
    if running.face == "rsgi":
        await running.ask(client)
        return
    with pytest.raises(RuntimeError):
        await running.ask(client)


async def stop_mid_stream(running: Running, client: Client) -> None:
    task = running.serve(client)
    await wait_for(lambda: client.chunks)
    await running.stop()
    await task


@dataclass(frozen=True)
class Way:
    """One way through the life of a request."""

    name: str
    client: Callable[[], Client]
    scripts: list[Script]
    drive: Drive
    status: int | None
    """Status that the client got, if any."""
    line: tuple[int, str, str | None]
    """Status, outcome and error in the log."""
    attempts: list[str]
    """Outcomes of the attempts."""
    hung_up: int = 0
    """Exchanges that the router cancelled at once."""
    ends: Literal["whole", "broken", "early"] = "whole"


WAYS = [
    Way("a whole response", plain, [[whole(ANSWER)]], to_the_end, 200, (200, "ok", None), ["ok"]),
    Way("a whole response to a stream", streaming, [[whole(ANSWER)]], to_the_end, 200, (200, "ok", None), ["ok"]),
    Way("a stream to its end", streaming, [COMPLETE], to_the_end, 200, (200, "ok", None), ["ok"]),
    Way("a stream nobody asked for", plain, [COMPLETE], to_the_end, 200, (200, "ok", None), ["ok"]),
    Way(
        "a provider's refusal",
        plain,
        [[whole(b'{"error":{}}', 400)]],
        to_the_end,
        400,
        (400, "client_error", None),
        ["status_4xx"],
    ),
    Way(
        "another attempt after a refusal",
        plain,
        [[TOO_MANY], [whole(ANSWER)]],
        to_the_end,
        200,
        (200, "ok", None),
        ["rate_limited", "ok"],
    ),
    Way(
        "another attempt after a streamed refusal",
        streaming,
        [[STREAMED_503, chunk(event("No")), HANG], COMPLETE],
        to_the_end,
        200,
        (200, "ok", None),
        ["status_5xx", "ok"],
        hung_up=1,
    ),
    Way(
        "another attempt after a cut",
        streaming,
        [[b"HTTP/1.1 200", CLOSE], COMPLETE],
        to_the_end,
        200,
        (200, "ok", None),
        ["cut", "ok"],
    ),
    Way(
        "all refuse",
        plain,
        [[TOO_MANY], [TOO_MANY]],
        to_the_end,
        429,
        (429, "upstream_error", None),
        ["rate_limited", "rate_limited"],
    ),
    Way(
        "all refuse with a stream",
        streaming,
        [[STREAMED_503, HANG], [STREAMED_503, HANG]],
        to_the_end,
        502,
        (502, "upstream_error", "upstream_error"),
        ["status_5xx", "status_5xx"],
        hung_up=2,
    ),
    Way(
        "nobody listens",
        lambda: Client(body=completion("dead")),
        [],
        to_the_end,
        502,
        (502, "upstream_error", "upstream_unreachable"),
        ["connect"],
    ),
    Way(
        "a stream that is cut",
        streaming,
        [[HELLO, CLOSE]],
        to_the_end,
        200,
        (200, "cut", "cut"),
        ["cut"],
        ends="broken",
    ),
    Way(
        "an error event",
        streaming,
        [[HELLO, chunk(error_event("try later")), END]],
        to_the_end,
        200,
        (200, "upstream_error", None),
        ["error_event"],
    ),
    Way(
        "an error event that repeats the credential",
        streaming,
        [[HELLO, chunk(error_event("the key upstream")), HANG]],
        to_the_end,
        200,
        (200, "upstream_error", None),
        ["error_event"],
        hung_up=1,
        ends="broken",
    ),
    Way(
        "an error event in parts that repeats the credential",
        streaming,
        [[HELLO, chunk(error_event("the key upstream")[:-9]), chunk(error_event("the key upstream")[-9:]), HANG]],
        to_the_end,
        200,
        (200, "upstream_error", None),
        ["error_event"],
        hung_up=1,
        ends="broken",
    ),
    Way(
        "a refusal that repeats the credential",
        plain,
        [[whole(b'{"error":"the key upstream"}', 400)]],
        to_the_end,
        400,
        (400, "client_error", "upstream_error"),
        ["status_4xx"],
    ),
    Way(
        "a refusal too large to be searched",
        plain,
        [[whole(b'{"error":"%b"}' % (b"x" * (1 << 20)), 400)]],
        to_the_end,
        400,
        (400, "client_error", "upstream_error"),
        ["status_4xx"],
    ),
    Way(
        "a stream without its end",
        streaming,
        [[HELLO, END]],
        to_the_end,
        200,
        (200, "cut", "cut"),
        ["cut"],
        ends="broken",
    ),
    Way(
        "a stream that is not HTTP",
        streaming,
        [[HELLO, b"what?\r\n", HANG]],
        to_the_end,
        200,
        (200, "cut", "protocol"),
        ["protocol"],
        hung_up=1,
        ends="broken",
    ),
    Way(
        "an event without end",
        streaming,
        [[HELLO, chunk(b"data: " + b"x" * (2 << 20)), HANG]],
        to_the_end,
        200,
        (200, "cut", "protocol"),
        ["protocol"],
        hung_up=1,
        ends="broken",
    ),
    Way(
        "the client leaves before the head",
        streaming,
        [[HANG]],
        leave_before_the_head,
        None,
        (499, "disconnected", None),
        ["cancelled"],
        hung_up=1,
    ),
    Way(
        "the client leaves before a whole response",
        plain,
        [[HANG]],
        leave_before_the_head,
        None,
        (499, "disconnected", None),
        ["cancelled"],
        hung_up=1,
    ),
    Way(
        "the client leaves inside a whole response",
        plain,
        [[head("application/json", length=1000), HANG]],
        leave_before_the_head,
        None,
        (499, "disconnected", None),
        ["cancelled"],
        hung_up=1,
    ),
    Way(
        "the client leaves in the second attempt",
        streaming,
        [[TOO_MANY], [HANG]],
        leave_in_the_second_attempt,
        None,
        (499, "disconnected", None),
        ["rate_limited", "cancelled"],
        hung_up=1,
    ),
    Way(
        "the client leaves mid-stream",
        streaming,
        [[HELLO, HANG]],
        leave_mid_stream,
        200,
        (200, "disconnected", None),
        ["cancelled"],
        hung_up=1,
        ends="early",
    ),
    Way(
        "the server cancels before the head",
        plain,
        [[HANG]],
        cancel_before_the_head,
        None,
        (499, "disconnected", None),
        ["cancelled"],
        hung_up=1,
    ),
    Way(
        "the server cancels mid-stream",
        streaming,
        [[HELLO, HANG]],
        cancel_mid_stream,
        200,
        (200, "disconnected", None),
        ["cancelled"],
        hung_up=1,
        ends="early",
    ),
    Way(
        "the server drops the coroutine",
        plain,
        [[HELLO, HANG]],
        drop_mid_stream,
        200,
        (200, "disconnected", None),
        ["cancelled"],
        hung_up=1,
        ends="early",
    ),
    Way(
        "the head cannot be sent",
        streaming,
        [[HELLO, HANG]],
        fail_to_send_the_head,
        None,
        (200, "disconnected", None),
        ["cancelled"],
        hung_up=1,
    ),
    Way(
        "events cannot be sent",
        streaming,
        [[HELLO, HANG]],
        fail_to_send_events,
        200,
        (200, "disconnected", None),
        ["cancelled"],
        hung_up=1,
        ends="early",
    ),
    Way(
        "a whole response cannot be sent",
        plain,
        [[whole(ANSWER)]],
        fail_to_send_the_head,
        None,
        (200, "ok", None),
        ["ok"],
    ),
    Way(
        "the worker stops",
        streaming,
        [[HELLO, HANG]],
        stop_mid_stream,
        200,
        (200, "disconnected", None),
        ["cancelled"],
        hung_up=1,
        ends="early",
    ),
    Way(
        "a wrong key",
        lambda: Client(headers={"authorization": "Bearer wrong"}, body=completion()),
        [],
        to_the_end,
        401,
        (401, "refused", "invalid_api_key"),
        [],
    ),
    Way(
        "an answer that cannot be sent",
        lambda: Client(path="/nowhere", body=completion()),
        [],
        fail_to_send_the_head,
        None,
        (404, "refused", "unknown_path"),
        [],
    ),
    Way(
        "the list of models",
        lambda: Client("GET", "/v1/models"),
        [],
        to_the_end,
        200,
        (200, "ok", None),
        [],
    ),
]


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.name)
def test_every_way_to_the_end_of_a_request(way: Way, face: Face, tmp_path: Path) -> None:
    client = way.client()
    before = references(client)

    async def scenario(running: Running) -> None:
        running.provider.scripts = list(way.scripts)
        await way.drive(running, client)
        await wait_for(lambda: running.provider.hung_up == way.hung_up)
        assert running.in_flight() == 0, "nothing stays reserved"
        await wait_for(lambda: references(client) == before)  # the ticket is gone

    left = run(tmp_path, face, scenario)
    assert client.status == way.status
    (line,) = left.log()
    status, outcome, error = way.line
    assert (line["status"], line["outcome"], line.get("error")) == (status, outcome, error)
    assert line["attempts"] == len(way.attempts)
    assert client.fields.get("x-request-id", line["id"]) == line["id"]
    requests = left.sums("edgeroute_requests_total")
    assert list(requests.values()) == [1]
    assert f'status="{status}",outcome="{outcome}"' in next(iter(requests))
    attempts = left.sums("edgeroute_attempts_total")
    assert sum(attempts.values()) == len(way.attempts)
    assert {label.split('outcome="')[1][:-2] for label in attempts} == set(way.attempts)
    assert set(left.sums("edgeroute_dropped_total").values()) == {0}
    assert left.mishaps == []
    assert b"the key upstream" not in client.text
    if way.status is not None:
        assert (b'"code":"stream_' in client.text) == (way.ends == "broken")
        if face == "asgi":
            assert client.whole == (way.ends != "early"), "what ends early does not look complete"


def test_a_client_that_leaves_while_it_sends_leaves_no_trace(tmp_path: Path, face: Face) -> None:
    async def scenario(running: Running) -> None:
        client = Client(body=completion(), parts=None)
        client.left.set()
        await running.ask(client)
        assert client.status is None

    left = run(tmp_path, face, scenario)
    assert left.log() == []
    assert left.sums("edgeroute_requests_total") == {}


def test_what_waits_for_a_slow_client_is_bounded(tmp_path: Path) -> None:
    """ASGI: the provider is held back while the client does not read, and goes on when it does."""
    size = 64 << 20
    events = [chunk(event("x" * 50_000))] * (size // 50_000)

    async def scenario(running: Running) -> None:
        running.provider.scripts = [[STREAM, *events, chunk(USAGE + DONE), END]]
        client = streaming()
        task = running.serve(client)
        await wait_for(lambda: client.chunks)
        client.reads.clear()
        for _ in range(200):
            await asyncio.sleep(0.001)
        held_back = running.provider.scripts == [] and running.provider.connections == 1
        assert held_back
        received = len(client.text)
        client.reads.set()
        await task
        assert len(client.text) > size
        assert max(map(len, client.chunks)) < 2 << 20, "never more than this was in memory"
        assert received < size // 2

    left = run(tmp_path, "asgi", scenario)
    assert [line["outcome"] for line in left.log()] == ["ok"]


def test_a_client_that_leaves_before_it_has_read_all(tmp_path: Path) -> None:
    """The provider has finished and is paid for; the client has not got everything."""

    async def scenario(running: Running) -> None:
        more, second = asyncio.Event(), asyncio.Event()
        running.provider.scripts = [[HELLO, more, chunk(event("more")), second, chunk(USAGE + DONE), END]]
        client = streaming()
        task = running.serve(client)
        await wait_for(lambda: client.chunks)
        client.reads.clear()
        more.set()
        await wait_for(lambda: client.waits)
        second.set()
        await wait_for(lambda: sum(running.sums("edgeroute_attempts_total").values()))
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    left = run(tmp_path, "asgi", scenario)
    (line,) = left.log()
    assert (line["outcome"], line["input_tokens"], line["output_tokens"]) == ("disconnected", 7, 3)
    assert list(left.sums("edgeroute_attempts_total").values()) == [1]


@pytest.mark.parametrize("finished", [False, True], ids=["while it goes on", "when the provider has finished"])
def test_rsgi_ends_a_stream_that_is_too_large(tmp_path: Path, finished: bool) -> None:
    async def scenario(running: Running) -> None:
        rest: Script = [chunk(USAGE + DONE), END] if finished else [HANG]
        running.provider.scripts = [[STREAM, *[chunk(event("x" * 10_000))] * 12, *rest]]
        client = await running.ask(streaming())
        assert len(client.text) < 65 << 10
        assert b"stream_too_large" in client.chunks[-1]
        await wait_for(lambda: running.provider.hung_up == (not finished))
        assert running.in_flight() == 0

    left = run(tmp_path, "rsgi", scenario)
    assert [(line["outcome"], line["error"]) for line in left.log()] == [("cut", "too_large")]
