"""The compiled module where Python could misuse it, or where its objects meet Python's memory management."""

import asyncio
import gc
import json
import select
import sys
import weakref
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from app_in_process import CONFIG, HANG, PATIENCE, STREAM, Client, Running, chunk, completion, event, run, wait_for

from edgeroute._native import Cells, DirectFuture, Snapshot, Ticket, Worker
from edgeroute.config import load

HEADERS = [(b"authorization", b"Bearer test")]


@pytest.fixture
def worker(tmp_path: Path) -> Worker:
    return worker_of(tmp_path, CONFIG)


def worker_of(tmp_path: Path, config: str) -> Worker:
    path = tmp_path / "edgeroute.yaml"
    path.write_text(config.format(port=9, max_stream="1MiB"))
    cells = Cells.create(str(tmp_path / "cells"))
    worker = Worker(cells, 1, True)
    worker.configure(Snapshot.compile(load(path, {}).normalised, cells, 1))
    return worker


def decide(worker: Worker, body: bytes, **headers: bytes) -> Ticket:
    sent = [*HEADERS, *((name.encode(), value) for name, value in headers.items())]
    return worker.decide("POST", "/v1/chat/completions", "", sent, "", body)


class Future:
    """What a ticket needs of a future."""

    def __init__(self) -> None:
        self.results: list[object] = []
        self.cancelled = False

    def done(self) -> bool:
        return self.cancelled or bool(self.results)

    def set_result(self, result: object) -> None:
        self.results.append(result)


def future() -> Any:
    return Future()


def test_a_closed_ticket_does_nothing_more(worker: Worker) -> None:
    ticket = decide(worker, completion(stream=True))
    assert ticket.step == Ticket.ATTEMPT
    waits = future()
    assert ticket.attempt(waits, None) is waits
    ticket.close()
    assert waits.results == [b""], "who waits is told"
    ticket.close()
    assert ticket.step == Ticket.CLOSED
    too_late = future()
    assert ticket.attempt(too_late, None) is too_late
    assert too_late.results == [None]
    assert ticket.read(future) == b""
    ticket.cap()
    assert not worker.serve()
    with pytest.raises(RuntimeError, match="no response"):
        ticket.response(True)
    assert worker.take_log().count(b"\n") == 1


def test_an_attempt_is_started_once(worker: Worker) -> None:
    ticket = decide(worker, completion())
    ticket.attempt(future(), None)
    with pytest.raises(RuntimeError, match="under way"):
        ticket.attempt(future(), None)
    ticket.close()


def test_who_shares_an_exchange_goes_on_if_the_first_ends_between_two_attempts(tmp_path: Path) -> None:
    shares = CONFIG.replace("[one/small, two/small]}}", "[one/small, two/small], cache: {{mode: exact, share: true}}}}")
    worker = worker_of(tmp_path, f"{shares}cache: {{{{path: {tmp_path}}}}}\n")
    leader = decide(worker, completion())
    leading, following, again = future(), future(), future()
    leader.attempt(leading, None)
    follower = decide(worker, completion())
    follower.attempt(following, None)
    while not leading.results:
        assert select.select([worker.fileno()], [], [], PATIENCE)[0]
        worker.serve()
    assert (leader.step, following.results) == (Ticket.ATTEMPT, []), "nothing listens at the first target"
    leader.close()
    assert (following.results, follower.step) == ([None], Ticket.ATTEMPT)
    follower.attempt(again, None)
    late = decide(worker, completion())
    late.attempt(future(), None)
    follower.close()
    late.close()
    results = [json.loads(line)["cache"] for line in worker.take_log().splitlines()]
    assert sorted(results) == ["joined", "miss", "miss"], "it leads from now on"


def test_who_waits_for_a_vector_is_told_that_the_process_stops(tmp_path: Path) -> None:
    embedder = "cache: {{mode: semantic, embedder: {{target: dead/small, wait: 10s}}}}"
    semantic = CONFIG.replace("[one/small, two/small]}}", f"[one/small, two/small], {embedder}}}}}")
    worker = worker_of(tmp_path, f"{semantic}cache: {{{{path: {tmp_path}}}}}\n")
    ticket = decide(worker, completion())

    class Waits(Future):
        def get_loop(self) -> Any:
            return self

        def call_later(self, *_: object) -> None:
            """That it does not wait for ever is not what is tested."""

    waits: Any = Waits()
    ticket.attempt(waits, None)
    assert (waits.results, ticket.step) == ([], Ticket.ATTEMPT)
    assert worker.stop() == 1
    assert (waits.results, ticket.step) == ([None], Ticket.REFUSE)
    assert ticket.refusal is not None
    assert ticket.refusal[1] == "stopping"
    ticket.own_headers(True)
    worker.close()


def test_a_cancelled_future_is_left_alone(worker: Worker) -> None:
    ticket = decide(worker, completion())
    waits = future()
    ticket.attempt(waits, None)
    waits.cancelled = True
    ticket.close()
    assert waits.results == []


def test_a_future_that_fails_does_not_stop_the_others(worker: Worker, monkeypatch: pytest.MonkeyPatch) -> None:
    class Broken(Future):
        def set_result(self, result: object) -> None:  # noqa: ARG002
            raise RuntimeError("the loop is closed")

    broken, sound = Broken(), future()
    for waits in (broken, sound):
        decide(worker, completion()).attempt(waits, None)  # pyright: ignore[reportArgumentType]
    seen: list[BaseException | None] = []
    monkeypatch.setattr(sys, "unraisablehook", lambda args: seen.append(args.exc_value))  # pyright: ignore
    worker.close()
    assert [str(error) for error in seen] == ["the loop is closed"]
    assert sound.results == [b""]


def test_closing_a_worker_closes_its_tickets(worker: Worker) -> None:
    futures = [future() for _ in range(10)]
    tickets = [decide(worker, completion()) for _ in futures]
    for ticket, waits in zip(tickets, futures, strict=True):
        ticket.attempt(waits, None)
    worker.close()
    worker.close()
    assert [waits.results for waits in futures] == [[b""]] * 10
    assert {ticket.step for ticket in tickets} == {Ticket.CLOSED}
    assert worker.take_log().count(b'"disconnected"') == 10


def test_a_future_may_use_the_ticket_it_is_told_by(worker: Worker) -> None:
    """No lock is held while Python runs: otherwise this would hang."""

    class Curious(Future):
        def set_result(self, result: object) -> None:  # noqa: ARG002
            super().set_result((ticket.step, ticket.broken, ticket.read(future), ticket.close(), worker.serve()))

    ticket = decide(worker, completion())
    waits: Any = Curious()
    ticket.attempt(waits, None)
    ticket.close()
    assert waits.results == [(Ticket.CLOSED, None, b"", None, False)]


def test_a_garbage_collection_may_close_tickets_at_any_moment(worker: Worker) -> None:
    """Making headers allocates; that collects garbage, which here closes tickets of the same worker.

    It asks the ticket whose headers are being made, too: no lock may be held meanwhile.
    """
    ticket = decide(worker, b"{}")

    class Abandoned:
        def __init__(self) -> None:
            self.itself = self
            self.ticket = decide(worker, completion())
            self.ticket.attempt(future(), None)

        def __del__(self) -> None:
            self.ticket.close()
            assert ticket.step in (Ticket.REFUSE, Ticket.CLOSED)

    # What is kept empties Python's lists of free tuples: only new memory makes it look for garbage.
    kept: list[object] = [(index, worker) for index in range(5_000)]
    before = gc.get_threshold()
    gc.set_threshold(1, 1, 1)
    try:
        for _ in range(200):
            gc.disable()
            ticket = decide(worker, b"{}")
            Abandoned()
            gc.enable()
            kept.append(ticket.own_headers(False))
            kept.append(ticket.own_headers(True))  # asked twice, recorded once
            ticket.close()
    finally:
        gc.enable()
        gc.set_threshold(*before)
    ticket.close()
    gc.collect()
    assert worker.take_log().count(b"\n") == 400, "one line each"


def test_a_stream_has_one_reader(tmp_path: Path) -> None:
    async def scenario(running: Running) -> None:
        running.provider.scripts = [[STREAM + chunk(event("Hello")), HANG]]
        worker = running.app._started  # pyright: ignore[reportPrivateUsage]
        assert worker is not None
        ticket = decide(worker.native, completion(stream=True))
        create_future = partial(DirectFuture, asyncio.get_running_loop())
        await ticket.attempt(create_future(), None)
        ticket.response(True)
        first = ticket.read(create_future)
        assert (first if isinstance(first, bytes) else await first) == event("Hello")
        second = ticket.read(create_future)
        with pytest.raises(RuntimeError, match="being read"):
            ticket.read(create_future)
        ticket.close()
        assert await second == b""
        await wait_for(lambda: running.provider.hung_up == 1)

    run(tmp_path, "asgi", scenario)


def test_an_open_ticket_lives_without_python_and_a_closed_one_dies(worker: Worker) -> None:
    class Watched(Future):
        pass

    waits: Any = Watched()
    gone = weakref.ref(waits)
    waits.ticket = decide(worker, completion())  # a cycle: ticket, future, ticket
    waits.ticket.attempt(waits, None)
    del waits
    gc.collect()
    found = gone()
    assert found is not None
    found.ticket.close()
    del found
    gc.collect()
    assert gone() is None


@pytest.mark.parametrize(
    ("model", "target"),
    [
        ("one/gpt-5.5", "one/gpt-5.5"),
        ("one/a b", "one/a%20b"),
        ("one/größe", "one/gr%C3%B6%C3%9Fe"),
        ("one/x\r\nset-cookie: a=b", "one/x%0D%0Aset-cookie:%20a=b"),
    ],
)
def test_what_a_client_wrote_cannot_forge_headers(tmp_path: Path, model: str, target: str) -> None:
    async def scenario(running: Running) -> None:
        running.provider.scripts = [
            [b"HTTP/1.1 400 No\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}"]
        ]
        client = await running.ask(Client(body=completion(model)))
        assert client.fields["x-edgeroute-target"] == target
        assert client.fields["x-edgeroute-model"] == "one/*"

    run(tmp_path, "rsgi", scenario)


WRONG_TYPES: list[tuple[tuple[Any, ...], str]] = [
    (("POST", "/", "", [("a", 1)], "", b""), "bytes or str"),
    (("POST", "/", "", ["a"], "", b""), "tuple"),
    (("POST", "/", "", [("a",)], "", b""), "index"),
    (("POST", "/", "", {}, "", b""), "list"),
    (("POST", "/", "", [], "", "text"), "bytes"),
    (("POST", 1, "", [], "", b""), "str"),
    (("POST", "/", "", [], None, b""), "str"),
]


@pytest.mark.parametrize(("arguments", "message"), WRONG_TYPES)
def test_arguments_of_the_wrong_type(worker: Worker, arguments: Any, message: str) -> None:
    with pytest.raises((TypeError, IndexError), match=message):
        worker.decide(*arguments)
