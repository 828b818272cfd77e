"""Identical requests under way share one exchange with the provider, whatever each of their clients does."""

import asyncio
import json
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest
from app_in_process import (
    ANSWER,
    CLOSE,
    CONFIG,
    DONE,
    END,
    HANG,
    PATIENCE,
    STREAM,
    USAGE,
    Client,
    Face,
    Running,
    chunk,
    completion,
    event,
    run,
    wait_for,
    whole,
)

FACES: list[Face] = ["asgi", "rsgi"]
SHARING = (
    CONFIG.replace("[one/small, two/small]}}", "[one/small, two/small], cache: {{mode: exact, share: true}}}}")
    + "cache: {{path: DIRECTORY}}\n"
)
EVENTS = [event(str(number)) for number in range(20)]
TEXT = b"".join(EVENTS)
FIRST, LAST = [chunk(each) for each in EVENTS[:10]], [chunk(each) for each in EVENTS[10:]]
HALF = b"".join(EVENTS[:10])
CLOSING = chunk(USAGE + DONE) + END
ERROR_EVENT = b'data: {"error":{"message":"no"}}\n\n'

Playing = Callable[[Running], Coroutine[Any, Any, None]]


def stream(**fields: Any) -> Client:
    return Client(body=completion(stream=True, **fields))


def play(tmp_path: Path, face: Face, scenario: Playing, max_stream: str = "1MiB") -> Running:
    config = SHARING.replace("DIRECTORY", str(tmp_path / "cache"))
    running = run(tmp_path, face, scenario, max_stream, config=config)
    assert running.mishaps == []
    assert running.in_flight() == 0, "every attempt has been settled"
    assert set(running.sums("edgeroute_dropped_total").values()) == {0}
    return running


def outcomes(running: Running) -> dict[tuple[str, str], int]:
    """How many log lines there are of each outcome, and what they say of the cache."""
    found: dict[tuple[str, str], int] = {}
    for line in running.log():
        outcome = line["outcome"], line["cache"]
        found[outcome] = found.get(outcome, 0) + 1
    return found


async def have(clients: list[Client], text: bytes) -> None:
    await wait_for(lambda: {client.text for client in clients} == {text})


async def done(*tasks: "asyncio.Task[None]") -> None:
    async with asyncio.timeout(PATIENCE):
        await asyncio.gather(*tasks)


@pytest.mark.parametrize("face", FACES)
def test_a_stream_for_two_hundred(tmp_path: Path, face: Face) -> None:
    async def scenario(running: Running) -> None:
        half, rest = asyncio.Event(), asyncio.Event()
        running.provider.scripts = [[STREAM, *FIRST, half, *LAST, rest, CLOSING]]
        clients = [stream() for _ in range(100)]
        tasks = [running.serve(client) for client in clients]
        await have(clients, HALF)
        clients += (late := [stream() for _ in range(100)])
        tasks += map(running.serve, late)
        await have(late, HALF)
        half.set()
        await have(clients, TEXT)
        rest.set()
        await done(*tasks)
        assert {(client.status, client.text) for client in clients} == {(200, TEXT + DONE)}
        assert len(running.provider.requests) == 1

    running = play(tmp_path, face, scenario)
    lines = running.log()
    assert outcomes(running) == {("ok", "miss"): 1, ("ok", "joined"): 199}
    assert len({line["id"] for line in lines}) == 200
    assert sum(line.get("output_tokens", 0) for line in lines) == 3, "the provider has counted it once"


@pytest.mark.parametrize("face", FACES)
def test_a_whole_answer_for_many(tmp_path: Path, face: Face) -> None:
    async def scenario(running: Running) -> None:
        answer = asyncio.Event()
        running.provider.scripts = [[answer, whole(ANSWER, extra=b"x-said: yes\r\n")]]
        clients = [Client(body=completion()) for _ in range(50)]
        tasks = [running.serve(client) for client in clients]
        await wait_for(lambda: running.provider.requests)
        answer.set()
        await done(*tasks)
        assert {(client.status, client.text) for client in clients} == {(200, ANSWER)}
        assert {client.fields["x-said"] for client in clients} == {"yes"}
        assert len({client.fields["x-request-id"] for client in clients}) == 50
        assert len(running.provider.requests) == 1

    assert outcomes(play(tmp_path, face, scenario)) == {("ok", "miss"): 1, ("ok", "joined"): 49}


@pytest.mark.parametrize("face", FACES)
def test_other_requests_are_not_touched(tmp_path: Path, face: Face) -> None:
    async def scenario(running: Running) -> None:
        running.provider.scripts = [[STREAM, *FIRST, HANG]]
        shared = [stream() for _ in range(20)]
        tasks = [running.serve(client) for client in shared]
        await have(shared, HALF)
        running.provider.scripts = [[STREAM, *FIRST, *LAST, CLOSING]] * 50
        others = [stream(temperature=number / 1000) for number in range(50)]
        await done(*map(running.serve, others))
        assert {client.text for client in others} == {TEXT + DONE}
        assert len(running.provider.requests) == 51
        for client in shared:
            client.left.set()
        await done(*tasks)
        await wait_for(lambda: running.provider.hung_up == 1)

    assert outcomes(play(tmp_path, face, scenario))["ok", "miss"] == 50


@pytest.mark.parametrize("face", FACES)
@pytest.mark.parametrize("begun", [False, True], ids=["before the response", "in the middle"])
def test_the_first_client_leaves(tmp_path: Path, face: Face, begun: bool) -> None:
    async def scenario(running: Running) -> None:
        before, half = asyncio.Event(), asyncio.Event()
        running.provider.scripts = [[before, STREAM, *FIRST, half, *LAST, CLOSING]]
        leader, others = stream(), [stream() for _ in range(5)]
        leading = running.serve(leader)
        tasks = list(map(running.serve, others))
        await wait_for(lambda: running.provider.requests)
        if begun:
            before.set()
            await have([leader, *others], HALF)
        leader.left.set()
        await done(leading)
        before.set()
        others += (late := [stream() for _ in range(5)])
        tasks += map(running.serve, late)
        await have(others, HALF)
        half.set()
        await done(*tasks)
        assert {client.text for client in others} == {TEXT + DONE}
        assert leader.text == (HALF if begun else b"")
        assert len(running.provider.requests) == 1
        assert running.provider.hung_up == 0

    running = play(tmp_path, face, scenario)
    assert outcomes(running) == {("disconnected", "miss"): 1, ("ok", "joined"): 10}
    (line,) = [line for line in running.log() if line["cache"] == "miss"]
    assert line["output_tokens"] == 3, "it has paid for the exchange"
    assert line["status"] == (200 if begun else 499)


@pytest.mark.parametrize("face", FACES)
@pytest.mark.parametrize("begun", [False, True], ids=["before the response", "in the middle"])
def test_others_join_after_one_has_left(tmp_path: Path, face: Face, begun: bool) -> None:
    """Clients that time out and try again ask the provider nothing new."""

    async def scenario(running: Running) -> None:
        before, half = asyncio.Event(), asyncio.Event()
        running.provider.scripts = [[before, STREAM, *FIRST, half, *LAST, CLOSING]]
        leader, impatient = stream(), stream()
        tasks = [running.serve(leader)]
        leaving = running.serve(impatient)
        await wait_for(lambda: running.provider.requests)
        if begun:
            before.set()
            await have([leader, impatient], HALF)
        impatient.left.set()
        await done(leaving)
        tasks.append(running.serve(again := stream()))
        before.set()
        await have([leader, again], HALF)
        half.set()
        await done(*tasks)
        assert leader.text == again.text == TEXT + DONE
        assert len(running.provider.requests) == 1

    running = play(tmp_path, face, scenario)
    assert outcomes(running) == {("ok", "miss"): 1, ("disconnected", "joined"): 1, ("ok", "joined"): 1}


@pytest.mark.parametrize("face", FACES)
@pytest.mark.parametrize("whole_answer", [False, True])
@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 0, 2)])
def test_the_exchange_ends_with_the_last_client(
    tmp_path: Path, face: Face, whole_answer: bool, order: tuple[int, ...]
) -> None:
    async def scenario(running: Running) -> None:
        running.provider.scripts = [[HANG] if whole_answer else [STREAM, *FIRST, HANG]]
        clients = [Client(body=completion()) if whole_answer else stream() for _ in range(3)]
        tasks = list(map(running.serve, clients))
        await wait_for(lambda: running.provider.requests)
        if not whole_answer:
            await have(clients, HALF)
        for number in order:
            assert running.provider.hung_up == 0
            clients[number].left.set()
            await done(tasks[number])
        await wait_for(lambda: running.provider.hung_up == 1)
        # The next one asks anew.
        running.provider.scripts = [[whole(ANSWER)]]
        assert (await running.ask(Client(body=clients[0].body))).text == ANSWER
        assert len(running.provider.requests) == 2

    assert outcomes(play(tmp_path, face, scenario)) == {
        ("disconnected", "miss"): 1,
        ("disconnected", "joined"): 2,
        ("ok", "miss"): 1,
    }


@pytest.mark.parametrize("face", FACES)
@pytest.mark.parametrize("leader_leaves", [False, True])
def test_failure_does_not_multiply(tmp_path: Path, face: Face, leader_leaves: bool) -> None:
    """Each target is tried once, for all."""

    async def scenario(running: Running) -> None:
        first, second = asyncio.Event(), asyncio.Event()
        error = whole(b'{"error":{"message":"no"}}', status=500)
        running.provider.scripts = [[first, error], [second, error]]
        clients = [Client(body=completion()) for _ in range(30)]
        tasks = list(map(running.serve, clients))
        await wait_for(lambda: running.provider.requests)
        if leader_leaves:
            clients[0].left.set()
            await done(tasks[0])
        first.set()
        await wait_for(lambda: len(running.provider.requests) == 2)
        second.set()
        await done(*tasks)
        assert len(running.provider.requests) == 2
        answers = [(client.status, client.text) for client in clients[leader_leaves:]]
        assert set(answers) == {(500, b'{"error":{"message":"no"}}')}
        running.provider.scripts = [[whole(ANSWER)]]
        assert (await running.ask(Client(body=completion()))).text == ANSWER

    running = play(tmp_path, face, scenario)
    attempts = running.sums("edgeroute_attempts_total")
    assert sum(value for name, value in attempts.items() if "5xx" in name) == 2


@pytest.mark.parametrize("face", FACES)
@pytest.mark.parametrize("leader_leaves", [False, True])
@pytest.mark.parametrize(
    ("begins", "ends"),
    [([], [CLOSE]), ([STREAM], [CLOSE]), ([STREAM], [END]), ([STREAM], [chunk(ERROR_EVENT), HANG])],
    ids=["without an answer", "before the first event", "without an event", "with an error"],
)
def test_another_target_takes_over_for_all(
    tmp_path: Path, face: Face, leader_leaves: bool, begins: list[Any], ends: list[Any]
) -> None:
    async def scenario(running: Running) -> None:
        first = asyncio.Event()
        running.provider.scripts = [[*begins, first, *ends], [STREAM, *FIRST, *LAST, CLOSING]]
        clients = [stream() for _ in range(10)]
        tasks = list(map(running.serve, clients))
        await wait_for(lambda: running.provider.requests)
        if leader_leaves:
            clients[0].left.set()
            await done(tasks[0])
        first.set()
        await done(*tasks)
        assert {client.text for client in clients[leader_leaves:]} == {TEXT + DONE}
        assert len(running.provider.requests) == 2

    play(tmp_path, face, scenario)


@pytest.mark.parametrize("face", FACES)
def test_refusals_reach_everybody_with_their_own_id(tmp_path: Path, face: Face) -> None:
    async def scenario(running: Running) -> None:
        go = asyncio.Event()
        running.provider.scripts = [[go, CLOSE], [CLOSE]]
        clients = [Client(body=completion()) for _ in range(10)]
        tasks = list(map(running.serve, clients))
        await wait_for(lambda: running.provider.requests)
        go.set()
        await done(*tasks)
        assert {client.status for client in clients} == {502}
        assert {client.json["error"]["code"] for client in clients} == {"upstream_cut"}
        assert len({client.fields["x-request-id"] for client in clients}) == 10

    play(tmp_path, face, scenario)


@pytest.mark.parametrize("face", FACES)
def test_a_broken_stream_is_broken_for_all(tmp_path: Path, face: Face) -> None:
    async def scenario(running: Running) -> None:
        half = asyncio.Event()
        running.provider.scripts = [[STREAM, *FIRST, half, CLOSE]]
        clients = [stream() for _ in range(10)]
        tasks = list(map(running.serve, clients))
        await have(clients, HALF)
        half.set()
        await done(*tasks)
        assert {client.text[: len(HALF)] for client in clients} == {HALF}
        errors = [json.loads(client.text[len(HALF) :].removeprefix(b"data: ")) for client in clients]
        assert {error["error"]["code"] for error in errors} == {"stream_cut"}

    assert outcomes(play(tmp_path, face, scenario)) == {("cut", "miss"): 1, ("cut", "joined"): 9}


@pytest.mark.parametrize("face", FACES)
def test_a_client_sees_the_usage_if_it_has_asked_for_it(tmp_path: Path, face: Face) -> None:
    """Which is another request than that of one who has not."""

    async def scenario(running: Running) -> None:
        half = asyncio.Event()
        running.provider.scripts = [[STREAM, *FIRST, half, *LAST, CLOSING]] * 2
        wants = [False, True, False, True]
        clients = [stream(stream_options={"include_usage": True}) if want else stream() for want in wants]
        tasks = list(map(running.serve, clients))
        await have(clients, HALF)
        half.set()
        await done(*tasks)
        assert [client.text for client in clients] == [TEXT + USAGE * want + DONE for want in wants]
        assert len(running.provider.requests) == 2

    play(tmp_path, face, scenario)


@pytest.mark.parametrize("slow", [0, 1], ids=["the first", "another"])
def test_a_slow_client_keeps_nobody_waiting(tmp_path: Path, slow: int) -> None:
    async def scenario(running: Running) -> None:
        half = asyncio.Event()
        running.provider.scripts = [[STREAM, *FIRST, half, *LAST, CLOSING]]
        clients = [stream() for _ in range(5)]
        tasks = list(map(running.serve, clients))
        await have(clients, HALF)
        clients[slow].reads.clear()
        half.set()
        await done(*(task for number, task in enumerate(tasks) if number != slow))
        assert {client.text for number, client in enumerate(clients) if number != slow} == {TEXT + DONE}
        assert clients[slow].text == HALF
        clients[slow].reads.set()
        await done(tasks[slow])
        assert clients[slow].text == TEXT + DONE
        assert clients[slow].whole

    assert outcomes(play(tmp_path, "asgi", scenario)) == {("ok", "miss"): 1, ("ok", "joined"): 4}


LARGE = event("x" * 60_000)


def test_a_slow_client_holds_the_others_back_before_too_much_waits(tmp_path: Path) -> None:
    """And nobody can join who would miss the beginning."""

    async def scenario(running: Running) -> None:
        pieces = 40
        running.provider.scripts = [[STREAM, *[chunk(LARGE)] * pieces, CLOSING]]
        clients = fast, slow = stream(), stream()
        tasks = [running.serve(client) for client in clients]
        slow.reads.clear()
        await wait_for(lambda: len(fast.chunks) > 1)
        # In the time in which the provider answers somebody else, it would have sent the rest as well.
        before = -1
        while before != (before := len(fast.chunks)):
            running.provider.scripts = [[whole(ANSWER)]] * 20
            for number in range(20):
                await running.ask(Client(body=completion("one/small", temperature=number / 1000)))
        assert before < pieces
        running.provider.scripts = [[whole(ANSWER)]]
        late = await running.ask(stream())
        assert late.text == ANSWER, "of an exchange of its own"
        slow.reads.set()
        await done(*tasks)
        assert {client.text for client in clients} == {LARGE * pieces + DONE}

    play(tmp_path, "asgi", scenario, max_stream="64KiB")


def test_a_stream_that_is_too_large_for_one_client_of_rsgi(tmp_path: Path) -> None:
    """It is too large for all of them."""

    async def scenario(running: Running) -> None:
        running.provider.scripts = [[STREAM, *[chunk(LARGE)] * 4, CLOSING]]
        clients = [stream() for _ in range(3)]
        await done(*map(running.serve, clients))
        for client in clients:
            last = json.loads(client.text.split(b"data: ")[-1])
            assert last["error"]["code"] == "stream_too_large"

    running = play(tmp_path, "rsgi", scenario, max_stream="64KiB")
    assert {outcome for outcome, _ in outcomes(running)} == {"cut"}


@pytest.mark.parametrize("face", FACES)
def test_an_error_that_no_other_target_follows_reaches_everybody(tmp_path: Path, face: Face) -> None:
    async def scenario(running: Running) -> None:
        go = asyncio.Event()
        running.provider.scripts = [[go, STREAM, chunk(ERROR_EVENT) + END], [STREAM, chunk(ERROR_EVENT) + END]]
        clients = [stream() for _ in range(10)]
        tasks = list(map(running.serve, clients))
        await wait_for(lambda: running.provider.requests)
        go.set()
        await done(*tasks)
        assert {(client.status, client.text) for client in clients} == {(200, ERROR_EVENT)}
        assert len(running.provider.requests) == 2

    play(tmp_path, face, scenario)


@pytest.mark.parametrize("face", FACES)
def test_the_process_stops(tmp_path: Path, face: Face) -> None:
    async def scenario(running: Running) -> None:
        running.provider.scripts = [[STREAM, *FIRST, HANG], [HANG], [STREAM, HANG]]
        streams, answers = [stream() for _ in range(3)], [Client(body=completion()) for _ in range(3)]
        tasks = [*map(running.serve, streams), *map(running.serve, answers)]
        await have(streams, HALF)
        answers.append(stream(max_tokens=7))
        tasks.append(running.serve(answers[-1]))
        await wait_for(lambda: len(running.provider.requests) == 3)
        running.app.end_requests()
        await done(*tasks)
        assert {client.status for client in answers} == {503}
        assert all(b"stream_stopping" in client.text for client in streams)

    play(tmp_path, face, scenario)
