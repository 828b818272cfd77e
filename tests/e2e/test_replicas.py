"""Replicas that come and go while clients ask: by an admin call, by DNS, SRV records and a file."""

import contextlib
import http.client
import json
import threading
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Any

import pytest
from e2e_config import basic_config
from e2e_provider import Headers, Provider, streamed, whole
from e2e_router import Config, Router
from name_server import NameServer
from waiting import PATIENCE, free_port, wait_for

START = Callable[[Config], Router]
CHUNK = b'data: {"object":"chat.completion.chunk","choices":[{"delta":{"content":"word "}}]}\n\n'
STREAM = streamed(CHUNK * 3 + b"data: [DONE]\n\n")
USAGE = b'{"object":"chat.completion","usage":{"prompt_tokens":5,"completion_tokens":1}}'


@pytest.fixture
def made() -> Iterator[contextlib.ExitStack]:
    """Whatever ends with the test."""
    with contextlib.ExitStack() as stack:
        yield stack


def answering(made: contextlib.ExitStack, address: tuple[str, int] = ("127.0.0.1", 0)) -> Provider:
    """A replica that answers at once."""
    provider = Provider(whole(USAGE), address=address).listen()
    made.callback(provider.close)
    return provider


def config(**provider: Any) -> Config:
    changes = {"providers": {"vllm": {"dialect": "openai-chat", **provider}}, "models": {"m": "vllm/m"}}
    return basic_config(workers=2, interface="rsgi", **changes)


def change(router: Router, action: str, replica: Provider) -> None:
    wanted = {"action": action, "provider": "vllm", "replica": replica.url}
    answer = router.admin.ask("POST", "/replicas", json.dumps(wanted).encode())
    assert (answer.status, answer.json["result"]) == (200, "applied"), answer


@contextlib.contextmanager
def load(router: Router, models: list[str]) -> Generator[Callable[[], None]]:
    """Clients that ask for these models all the time; none may see an error.

    Gives what waits until each of them has been answered some times more.
    """
    done = threading.Event()
    problems: list[str] = []
    answered = [0] * (2 * len(models))

    def ask(number: int) -> None:
        connection: http.client.HTTPConnection = router.connect()
        while not done.is_set():
            try:
                answer = router.chat(models[number % len(models)], connection=connection)
            except (OSError, http.client.HTTPException) as error:
                problems.append(f"dropped: {error!r}")
                break
            if answer.status != 200:
                problems.append(f"failed: {answer}")
            answered[number] += 1
        connection.close()

    def some_more() -> None:
        wanted = [each + 10 for each in answered]
        wait_for(lambda: problems or all(n >= least for n, least in zip(answered, wanted, strict=True)))

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(len(answered))]
    for each in threads:
        each.start()
    try:
        yield some_more
    finally:
        done.set()
        for each in threads:
            each.join()
    assert problems == []


def served(router: Router, model: str, replicas: list[Provider]) -> set[int]:
    """Which of the replicas get requests for a model now."""
    before = [each.served for each in replicas]
    for _ in range(8):
        assert router.chat(model).status == 200
    return {number for number, each in enumerate(replicas) if each.served > before[number]}


@pytest.mark.parametrize("action", ["drain", "remove"])
def test_what_runs_on_a_replica_that_goes_runs_to_its_end(start: START, made: contextlib.ExitStack, action: str):
    gate = threading.Event()

    def gated(_: Headers) -> Iterator[bytes]:
        yield STREAM[: -len(CHUNK)]
        gate.wait(PATIENCE)
        yield STREAM[-len(CHUNK) :]

    held, other = Provider(gated).listen(), answering(made)
    made.callback(held.close)
    router = start(config(urls=[held.url]))
    body = {"model": "m", "messages": [{"role": "user", "content": "Hello"}]}
    with router.stream("/v1/chat/completions", body) as response:
        first = response.read1()
        assert first
        change(router, "add", other)
        change(router, action, held)
        assert served(router, "m", [held, other]) == {1}
        gate.set()
        assert (first + response.read()).endswith(b"data: [DONE]\n\n")
    assert held.served == 1


def test_replicas_come_and_go_under_load(start: START, made: contextlib.ExitStack):
    replicas = [answering(made) for _ in range(3)]
    router = start(config(urls=[replicas[0].url]))
    with load(router, ["m"]) as some_more:
        for each in replicas[1:]:
            change(router, "add", each)
        some_more()
        for _ in range(3):
            change(router, "remove", replicas[1])
            some_more()
            change(router, "add", replicas[1])
            some_more()
        assert served(router, "m", replicas) == {0, 1, 2}
        change(router, "remove", replicas[0])
        some_more()
        assert served(router, "m", replicas) == {1, 2}


def test_few_sessions_move_when_a_replica_comes_and_all_return_when_it_goes(start: START, made: contextlib.ExitStack):
    replicas = [answering(made) for _ in range(4)]
    changes = config(urls=[each.url for each in replicas[:3]])
    changes["models"] = {"m": {"targets": ["vllm/m"], "strategy": "session"}}
    router = start(changes)
    sessions = 60

    def places() -> list[int]:
        """The replica of each session."""
        found: list[int] = []
        for number in range(sessions):
            before = [each.served for each in replicas]
            assert router.chat("m", headers={"x-session-id": f"session-{number}"}).status == 200
            found += [place for place, each in enumerate(replicas) if each.served > before[place]]
        return found

    before = places()
    assert set(before) == {0, 1, 2}
    change(router, "add", replicas[3])
    after = places()
    moved = [new for old, new in zip(before, after, strict=True) if new != old]
    assert set(moved) == {3}, "none moves between those that stay"
    assert len(moved) <= sessions // 2, "a quarter is expected"
    change(router, "remove", replicas[3])
    assert places() == before


def test_replicas_are_discovered_under_load(start: START, made: contextlib.ExitStack, tmp_path: Path):
    names = made.enter_context(NameServer())
    port = free_port()
    by_dns = [answering(made, (f"127.0.0.{last}", port)) for last in (2, 3)]
    by_srv, by_file = [answering(made) for _ in range(2)], [answering(made) for _ in range(2)]
    listed = tmp_path / "replicas.yaml"

    def set_up(count: int) -> None:
        """So many replicas everywhere."""
        names.records = {
            ("gpus.test", "A"): ["127.0.0.2", "127.0.0.3"][:count],
            ("_http._tcp.gpus.test", "SRV"): [f"0 0 {each.address[10:]} localhost." for each in by_srv[:count]],
        }
        draft = tmp_path / "draft"
        draft.write_text(json.dumps({"urls": [each.url for each in by_file[:count]]}))
        draft.rename(listed)

    found = {
        "dns": {"dns": f"http://gpus.test:{port}/v1", "every": "1s", "nameserver": names.address},
        "srv": {"srv": "http://_http._tcp.gpus.test/v1", "every": "1s", "nameserver": names.address},
        "file": {"file": str(listed)},
    }
    changes = {
        "providers": {name: {"dialect": "openai-chat", "discover": each} for name, each in found.items()},
        "models": {name: f"{name}/m" for name in found},
    }
    set_up(1)
    router = start(basic_config(workers=2, interface="rsgi", **changes))

    def sets() -> list[set[int]]:
        return [served(router, *each) for each in (("dns", by_dns), ("srv", by_srv), ("file", by_file))]

    with load(router, list(found)) as some_more:
        assert sets() == [{0}] * 3
        set_up(2)
        wait_for(lambda: sets() == [{0, 1}] * 3)
        some_more()
        names.broken = {"A", "SRV"}
        listed.write_text("urls: [")
        wait_for(lambda: all(each["trouble"] for each in router.status()["discovery"]))
        names.records = {("gpus.test", "TXT"): ["nobody"]}
        names.broken = set()
        listed.write_text("urls: []")
        wait_for(lambda: [each["trouble"] for each in router.status()["discovery"]][:2] == ["it names no replica"] * 2)
        wait_for(lambda: '"urls" is empty' in router.status()["discovery"][2]["trouble"])
        assert sets() == [{0, 1}] * 3, "what worked a moment ago"
        set_up(1)
        wait_for(lambda: sets() == [{0}] * 3)
        some_more()
    assert {each["host"] for each in by_dns[0].received} == {f"gpus.test:{port}"}
    said = router.said()
    assert f"+ http://gpus.test:{port}/v1@127.0.0.3" in said
    assert f"- http://gpus.test:{port}/v1@127.0.0.3" in said


def test_a_name_that_nobody_knows_yet_starts_without_and_is_found_later(start: START, made: contextlib.ExitStack):
    names = made.enter_context(NameServer())
    replica = answering(made, ("127.0.0.2", 0))
    url = f"http://gpus.test:{replica.address.rpartition(':')[2]}/v1"
    router = start(config(discover={"dns": url, "every": "1s", "nameserver": names.address}))
    assert router.chat("m").status >= 400
    assert "vllm: no replicas are found by dns" in router.said()
    names.records = {("gpus.test", "A"): ["127.0.0.2"]}
    wait_for(lambda: router.chat("m").status == 200)
