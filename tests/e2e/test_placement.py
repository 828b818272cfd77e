"""Which replica a request gets under the strategies that look at each of them, with workers that know the same."""

import itertools
import threading
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import pytest
from e2e_config import basic_config
from e2e_provider import Headers, Provider, whole
from e2e_router import Answer, Config, Router
from waiting import PATIENCE, wait_for

START = Callable[[Config], Router]
Ask = Callable[..., Answer]
LIVE, FRAIL = 3, 2
STRATEGIES = ("weighted", "round-robin", "least-load", "power-of-two", "latency", "session", "bounded-hash", "affinity")


class Replica(Provider):
    """Answers with its number; while its gate is closed, not yet."""

    def __init__(self, number: int) -> None:
        super().__init__(self._answer)
        self.number = number
        self.gate = threading.Event()
        self.gate.set()
        self.fails = False
        self.listen()

    def _answer(self, _: Headers) -> bytes:
        assert self.gate.wait(PATIENCE)
        if self.fails:
            return whole(b"{}", b"500 Internal Server Error")
        return whole(b'{"replica":%d,"usage":{"prompt_tokens":9,"completion_tokens":1}}' % self.number)


@pytest.fixture(scope="module")
def replicas() -> Iterator[list[Replica]]:
    """Those of `live`, those of `frail`, and one that drains."""
    made = [Replica(number) for number in range(LIVE + FRAIL + 1)]
    yield made
    for each in made:
        each.close()


@pytest.fixture(scope="module")
def router(start: START, replicas: list[Replica]) -> Router:
    config = basic_config(workers=2)
    live, frail, [draining] = replicas[:LIVE], replicas[LIVE : LIVE + FRAIL], replicas[LIVE + FRAIL :]
    drained = {"url": draining.url, "drain": True}
    config["providers"] |= {
        "live": {"dialect": "openai-chat", "urls": [*(each.url for each in live), drained]},
        "frail": {"dialect": "openai-chat", "urls": [each.url for each in frail]},
    }
    config["models"] |= {
        strategy: {"targets": {"live/llama": 1} if strategy == "weighted" else ["live/llama"], "strategy": strategy}
        for strategy in STRATEGIES
    }
    config["models"]["frail"] = {"targets": ["frail/llama"], "strategy": "affinity"}
    return start(config)


@pytest.fixture(scope="module")
def ask(router: Router) -> Generator[Ask]:
    """A chat, by the workers in turn; it must succeed."""
    with router.connection_to_each_worker() as connections:
        turns = itertools.cycle(connections.values())

        def ask(model: str, headers: dict[str, str] | None = None, **fields: Any) -> Answer:
            answer = router.chat(model, headers=headers, connection=next(turns), **fields)
            assert answer.status == 200, answer
            return answer

        yield ask


@contextmanager
def closed(replicas: list[Replica]) -> Generator[None]:
    """Their requests wait meanwhile."""
    for each in replicas:
        each.gate.clear()
    try:
        yield
    finally:
        for each in replicas:
            each.gate.set()


class Conversation:
    """Turns whose prompts begin with all that was said before."""

    def __init__(self, name: str) -> None:
        self._messages = [{"role": "system", "content": f"You are helping with {name}. " * 150}]

    def turn(self) -> dict[str, Any]:
        self._messages.append({"role": "user", "content": f"question {len(self._messages)} " * 40})
        return {"messages": self._messages}


def test_the_turns_of_a_conversation_go_to_one_replica(ask: Ask) -> None:
    conversations = [Conversation(f"task {number}") for number in range(12)]
    turns = [[ask("affinity", **each.turn()).json["replica"] for each in conversations] for _ in range(4)]
    assert turns[1:] == turns[:1] * 3
    assert len(set(turns[0])) > 1, "conversations with nothing in common are spread"


@pytest.mark.parametrize("header", ["x-session-id", "x-claude-code-session-id"])
def test_a_header_keeps_a_session_at_its_replica(ask: Ask, header: str) -> None:
    turns = [[ask("session", {header: f"session {number}"}).json["replica"] for number in range(20)] for _ in "12"]
    assert turns[1] == turns[0]
    assert len(set(turns[0])) > 1


@pytest.mark.parametrize("field", ["prompt_cache_key", "user"])
def test_a_field_keeps_a_session_at_its_replica(ask: Ask, field: str) -> None:
    turns = [[ask("session", **{field: f"session {number}"}).json["replica"] for number in range(20)] for _ in "12"]
    assert turns[1] == turns[0]
    assert len(set(turns[0])) > 1


@pytest.mark.parametrize("strategy", ["least-load", "affinity"])
def test_the_busy_replica_is_avoided(router: Router, ask: Ask, replicas: list[Replica], strategy: str) -> None:
    live = replicas[:LIVE]
    before = [each.served for each in live]
    with ThreadPoolExecutor(1) as pool, closed(live):
        waiting = pool.submit(router.chat, strategy, max_tokens=1000)
        [busy] = wait_for(lambda: [each for each, served in zip(live, before, strict=True) if each.served > served])
        for each in live:
            if each is not busy:
                each.gate.set()
        others = {ask(strategy, max_tokens=1, user=f"{number}").json["replica"] for number in range(8)}
        busy.gate.set()
        assert waiting.result().json["replica"] == busy.number
    assert others <= {each.number for each in live if each is not busy}


def test_a_drained_replica_gets_nothing(ask: Ask, replicas: list[Replica]) -> None:
    for strategy in STRATEGIES:
        for number in range(8):
            assert ask(strategy, {"x-session-id": f"drained {number}"}).json["replica"] < LIVE
    assert replicas[-1].served == 0


def test_a_replica_that_fails_is_no_longer_believed_to_hold_prompts(ask: Ask, replicas: list[Replica]) -> None:
    conversation = Conversation("frailty")
    first: list[int] = [ask("frail", **conversation.turn()).json["replica"] for _ in range(3)]
    assert len(set(first)) == 1
    failing = replicas[first[0]]
    failing.fails = True
    again = ask("frail", **conversation.turn())
    assert again.headers["x-edgeroute-attempts"] == "2"
    assert again.json["replica"] != failing.number
    failing.fails = False
    later = [ask("frail", **conversation.turn()) for _ in range(3)]
    assert [each.json["replica"] for each in later] == [again.json["replica"]] * 3
    assert [each.headers["x-edgeroute-attempts"] for each in later] == ["1"] * 3
