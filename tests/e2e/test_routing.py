"""Which model, target and replica a request gets, end to end."""

from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import pytest
from e2e_config import basic_config
from e2e_provider import Provider
from e2e_router import Config, Router, hashed, in_one_minute
from waiting import free_port, wait_for

START = Callable[[Config], Router]
PREMIUM = {"x-tier": "premium"}


# Rules


@pytest.mark.parametrize(
    ("model", "headers", "chosen"),
    [
        ("fast", {}, ("fast", "one/gpt-5-mini", "")),
        ("fast", {"x-tier": "premium"}, ("smart", "two/gpt-5.5", "premium")),
        ("fast", {"X-Tier": "premium"}, ("smart", "two/gpt-5.5", "premium")),
        ("fast", {"x-tier": "Premium"}, ("fast", "one/gpt-5-mini", "")),
        ("fast", {"x-tier": ""}, ("fast", "one/gpt-5-mini", "")),
        ("openai-only", {"x-tier": "premium"}, ("smart", "two/gpt-5.5", "premium")),
        ("gpt-5-mini", {}, ("fast", "one/gpt-5-mini", "")),
        ("one/gpt-5-nano", {}, ("one/*", "one/gpt-5-nano", "")),
        ("one/meta-llama/Llama-4", {}, ("one/*", "one/meta-llama/Llama-4", "")),
    ],
)
def test_header_rules_aliases_and_wildcards(
    router: Router, model: str, headers: dict[str, str], chosen: tuple[str, str, str]
) -> None:
    with router.connection_to_each_worker() as connections:
        for connection in connections.values():
            answer = router.chat(model, headers=headers, connection=connection)
            assert (answer.status, answer.chosen()) == (200, chosen)
            assert answer.json["model"] == chosen[1].partition("/")[2], "what the provider was asked for"
            assert answer.headers["x-edgeroute-attempts"] == "1"


def test_a_dialect_gets_the_targets_that_speak_it(router: Router) -> None:
    assert router.messages("fast").chosen() == ("fast", "claude/claude-haiku-4-5", "")
    assert router.messages("fast", headers=PREMIUM).chosen() == ("smart", "claude/claude-opus-4-8", "premium")
    for answer, speaks in [
        (router.messages("openai-only"), "one/gpt-5-mini speaks openai-chat"),
        (router.chat("anthropic-only"), "claude/claude-haiku-4-5 speaks anthropic-messages"),
    ]:
        assert (answer.status, answer.json["error"]["code"]) == (400, "no_target_for_dialect")
        assert speaks in answer.json["error"]["message"]


def test_a_rule_refuses(router: Router) -> None:
    answer = router.chat("fast", headers={"x-purpose": "batch"})
    assert (answer.status, answer.json["error"]["code"]) == (403, "rejected_by_rule")
    assert answer.json["error"]["message"] == "Batch jobs run at night."
    assert answer.headers["x-edgeroute-rule"] == "no-batch"


@pytest.mark.parametrize(
    ("asked", "near"),
    [("fasst", "`fast`"), ("smrt", "`smart`"), ("gpt-5-mni", "`gpt-5-mini`"), ("zzzzzzzzzzz", "GET /v1/models")],
)
def test_an_unknown_model_is_answered_with_near_names(router: Router, asked: str, near: str) -> None:
    for answer in (router.chat(asked), router.messages(asked)):
        assert (answer.status, answer.json["error"]["code"]) == (404, "model_not_found")
        assert near in answer.json["error"]["message"]


def test_a_team_sees_its_models_and_aliases_only(router: Router) -> None:
    ask = partial(router.chat, key="sk-search")
    assert ask("fast").chosen() == ("fast", "one/gpt-5-mini", "")
    assert ask("best").chosen() == ("openai-only", "one/gpt-5-mini", "")
    assert ask("gpt-5-mini").chosen()[0] == "fast"
    # A rule of the operator may choose what the team could not ask for.
    assert ask("fast", headers=PREMIUM).chosen() == ("smart", "two/gpt-5.5", "premium")
    answer = ask("smart")
    assert (answer.status, answer.json["error"]["code"]) == (403, "model_not_allowed")
    assert router.chat("best").status == 404, "an alias is known to its team only"
    hint = ask("smrt").json["error"]["message"]
    assert "`smart`" not in hint, "what a team may not use is not suggested"


def test_token_rule_on_any_worker(start: START, face: str) -> None:
    """`tokens_used > 75` counts what all workers have reserved and used."""
    config = basic_config(workers=2, interface=face)
    config["rules"] = [{"name": "near-limit", "when": "tokens_used > 75", "model": "fast"}]
    for turn in (0, 1):
        limited = {"hash": hashed(f"sk-limited-{turn}"), "limits": {"tokens_per_minute": 1_000_000}}
        config["virtual_keys"][f"limited-{turn}"] = limited
    router = start(config)
    with router.connection_to_each_worker() as connections:

        def run(turn: int) -> list[list[tuple[str, str, str]]]:
            def ask() -> list[tuple[str, str, str]]:
                return [
                    router.chat("smart", key=f"sk-limited-{turn}", connection=each, max_tokens=10).chosen()
                    for each in connections.values()
                ]

            before = ask()
            # While the stream is open, 80 % are reserved, though hardly a token of them is used.
            with router.held(f"sk-limited-{turn}", max_tokens=800_000):
                reserved = ask()
            wait_for(lambda: ask() == before)
            return [before, reserved]

        smart, fast = ("smart", "two/gpt-5.5", ""), ("fast", "one/gpt-5-mini", "near-limit")
        assert in_one_minute(run) == [[smart, smart], [fast, fast]]


# Targets


def test_weights_are_shares(start: START) -> None:
    config = basic_config(workers=2)
    config["models"]["weighted"] = {"targets": {"one/a": 80, "two/b": 20, "claude/c": 100}}
    router = start(config)
    count = 600
    with ThreadPoolExecutor(8) as pool:
        asked = [pool.submit(router.chat, "weighted", max_tokens=1) for _ in range(count)]
        shares = Counter(each.result().chosen()[1] for each in asked)
    assert set(shares) == {"one/a", "two/b"}, "the third speaks another dialect"
    # Five standard deviations of a binomial draw.
    assert abs(shares["one/a"] / count - 0.8) < 5 * (0.8 * 0.2 / count) ** 0.5


FAULTS = ["status-429", "status-500", "status-503", "status-529", "status-408", "html-502", "reset", "garbage"]
FAULTS_OF_WHOLE_RESPONSES = ["bad-chunking", "wrong-length", "cut-0", "delay-60000"]
"""A stream that breaks so has begun: there is nothing to fall back to."""


@pytest.fixture(scope="module")
def failing(start: START, face: str) -> Router:
    """A model `after-…` for every fault: its first target fails so, its second does not."""
    config = basic_config(interface=face)
    config["defaults"] = {"timeouts": {"first_byte": "1s"}, "attempts": 3}
    config["providers"]["dead"] = {"dialect": "openai-chat", "url": f"http://127.0.0.1:{free_port()}/v1"}
    for fault in FAULTS + FAULTS_OF_WHOLE_RESPONSES:
        targets = [f"one/mock-{fault}", "two/gpt-5.5", f"claude/mock-{fault}", "claude/claude-opus-4-8"]
        config["models"][f"after-{fault}"] = {"targets": targets}
    config["models"] |= {
        "after-nobody": {"targets": ["dead/gpt-5.5", "two/gpt-5.5"]},
        "after-fallback": {"targets": ["one/mock-status-500", "dead/gpt-5.5"], "fallbacks": ["fast"]},
        "client-error": {"targets": ["one/mock-status-400", "two/gpt-5.5"]},
        "wrong-credential": {"targets": ["one/mock-status-401", "two/gpt-5.5"]},
        "wrong-credentials": {"targets": ["one/mock-status-401", "two/mock-status-403"]},
        "all-fail": {"targets": [f"one/mock-status-50{number}" for number in range(6)]},
    }
    return start(config)


@pytest.mark.parametrize(
    ("fault", "stream"),
    [*((fault, False) for fault in FAULTS + FAULTS_OF_WHOLE_RESPONSES), *((fault, True) for fault in FAULTS)],
)
def test_the_next_target_serves_after_a_failure(failing: Router, fault: str, stream: bool) -> None:
    for answer, target in [
        (failing.chat(f"after-{fault}", stream=stream), "two/gpt-5.5"),
        (failing.messages(f"after-{fault}", stream=stream), "claude/claude-opus-4-8"),
    ]:
        assert answer.status == 200, answer
        assert answer.chosen() == (f"after-{fault}", target, "")
        assert answer.headers["x-edgeroute-attempts"] == "2"


@pytest.mark.parametrize(
    ("model", "status", "target", "attempts"),
    [
        ("after-nobody", 200, "two/gpt-5.5", "2"),
        ("after-fallback", 200, "one/gpt-5-mini", "3"),
        ("client-error", 400, "one/mock-status-400", "1"),
        ("wrong-credential", 200, "two/gpt-5.5", "2"),
        ("wrong-credentials", 502, "two/mock-status-403", "2"),
        ("all-fail", 502, "one/mock-status-502", "3"),
    ],
)
def test_attempts(failing: Router, model: str, status: int, target: str, attempts: str) -> None:
    answer = failing.chat(model)
    seen = (answer.status, answer.chosen()[1], answer.headers["x-edgeroute-attempts"])
    assert seen == (status, target, attempts)


# Replicas


@pytest.fixture
def replicas() -> Iterator[list[Provider]]:
    made = [Provider() for _ in range(3)]
    yield made
    for each in made:
        each.close()


def with_replicas(replicas: list[Provider]) -> Config:
    config = basic_config(workers=2)
    config["providers"]["hosted"] = {"dialect": "openai-chat", "urls": [each.url for each in replicas]}
    config["models"]["hosted"] = "hosted/llama"
    return config


def test_replicas_take_turns_over_all_workers(start: START, replicas: list[Provider]) -> None:
    router = start(with_replicas([each.listen() for each in replicas]))
    with router.connection_to_each_worker() as connections:
        for number in range(12):
            connection = list(connections.values())[number // 2 % 2]
            assert router.chat("hosted", connection=connection).status == 200
            served = [each.served for each in replicas]
            assert max(served) - min(served) <= 1, served
    assert [each.served for each in replicas] == [4, 4, 4]


def test_a_dead_replica_is_skipped_by_all_workers_and_used_again(start: START, replicas: list[Provider]) -> None:
    alive, dead, _ = replicas
    router = start(with_replicas([alive.listen(), dead]))
    with router.connection_to_each_worker() as connections:
        first, second = connections.values()

        def attempts(connection: Any) -> int:
            answer = router.chat("hosted", connection=connection)
            assert answer.status == 200, answer
            return int(answer.headers["x-edgeroute-attempts"])

        # It is tried every second time, until it has failed three times in a row; all of that on one worker.
        assert [attempts(first) for _ in range(6)].count(2) == 3
        assert [attempts(connection) for connection in (first, second) * 5] == [1] * 10
        dead.listen()

        def used_again() -> bool:
            assert attempts(second) == 1
            return dead.served > 0

        wait_for(used_again)


def test_the_last_replica_is_never_skipped(start: START, replicas: list[Provider]) -> None:
    replica = replicas[0]
    router = start(with_replicas([replica]))
    for _ in range(5):
        answer = router.chat("hosted")
        assert (answer.status, answer.json["error"]["code"]) == (502, "upstream_unreachable")
    replica.listen()
    assert router.chat("hosted").status == 200
