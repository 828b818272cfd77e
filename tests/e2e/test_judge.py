"""A model that says whether two answers say the same, asked by a real router after its client was answered."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import pytest
from e2e_config import basic_config
from e2e_provider import Headers, Provider, whole
from e2e_router import Answer, Config, Router
from waiting import PATIENCE, wait_for

START = Callable[[Config], Router]


def says(text: str) -> bytes:
    choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
    return whole(json.dumps({"object": "chat.completion", "choices": [choice]}).encode())


@pytest.fixture(scope="module")
def judge() -> Iterator[Provider]:
    with closing(Provider(says("yes"))) as judge:
        judge.listen()
        yield judge


@pytest.fixture(scope="module")
def router(start: START, face: str, judge: Provider, tmp_path_factory: pytest.TempPathFactory) -> Router:
    config = basic_config(interface=face, cache={"path": str(tmp_path_factory.mktemp("cache")), "size": "32MiB"})
    config["providers"]["wise"] = {"dialect": "openai-chat", "url": judge.url, "api_key": "sk-of-the-judge"}
    config["models"] |= {
        "judged": {"targets": ["one/gpt-5-mini"], "cache": {"mode": "semantic", "judge": "wise/owl"}},
        "by-claude": {
            "targets": ["one/gpt-5-mini"],
            "cache": {"mode": "semantic", "judge": "claude/claude-haiku-4-5"},
        },
    }
    return start(config)


def about(router: Router, question: str, model: str = "judged") -> Answer:
    answer = router.chat(model, messages=[{"role": "user", "content": question}])
    assert answer.status == 200, answer
    return answer


def counts(router: Router, family: str) -> dict[str, float]:
    """The samples of a metric with one label, by its value."""
    samples = {name: value for name, value in router.metrics().items() if name.startswith(f"{family}{{")}
    return {name.split('"')[1]: value for name, value in samples.items()}


def evidence(router: Router) -> dict[str, float]:
    return counts(router, "edgeroute_cache_evidence_total")


def judgements(router: Router) -> dict[str, float]:
    return counts(router, "edgeroute_cache_judgements_total")


def text_of(answer: Answer) -> str:
    return answer.json["choices"][0]["message"]["content"]


def test_what_it_says_counts(router: Router, judge: Provider) -> None:
    for place, reply, result, verdict in (
        ("Europe", says("yes"), "yes", "correct"),
        ("Africa", says("No."), "no", "wrong"),
        ("Asia", says("They say the same: yes."), "unclear", "unknown"),
        ("Australia", whole(b'{"error": {"message": "sk-of-the-judge is wrong"}}', b"500 No"), "failed", "unknown"),
    ):
        judge.reply = reply
        before, told = evidence(router).get(verdict, 0), judgements(router).get(result, 0)
        stored = about(router, f"What is the tallest mountain in {place}?")
        asked_before = len(judge.requests)
        fresh = about(router, f"what is the TALLEST mountain in {place}")
        assert fresh.headers["x-edgeroute-cache"] == "miss; reason=not-proven"
        wait_for(lambda verdict=verdict, before=before: evidence(router).get(verdict, 0) == before + 1)
        assert judgements(router)[result] == told + 1
        path, headers, body = judge.requests[asked_before]
        assert (path, headers["authorization"]) == ("/v1/chat/completions", "Bearer sk-of-the-judge")
        sent: dict[str, Any] = json.loads(body)
        assert (sent["model"], sent["temperature"], sent["max_tokens"]) == ("owl", 0, 8)
        content: str = sent["messages"][-1]["content"]
        mark, _, rest = content.partition("\n")
        assert rest == f"{text_of(stored)}\n{mark}\n{text_of(fresh)}\n{mark}\n"
        assert "mountain" not in json.dumps(sent), "questions are nobody's business"
    wait_for(lambda: "the cache's judge `wise/owl` fails" in router.said())
    assert "sk-of-the-judge" not in router.said()


def test_a_judge_of_another_dialect_is_asked_in_it(router: Router) -> None:
    before = judgements(router).get("unclear", 0)
    about(router, "Which river is the longest in Europe?", "by-claude")
    about(router, "which river is the LONGEST in Europe", "by-claude")
    wait_for(lambda: judgements(router).get("unclear", 0) == before + 1)
    [asked] = [each for each in router.mock.requests() if each["path"] == "/v1/messages"]
    assert dict(asked["headers"])["anthropic-version"]


def test_few_are_asked_at_a_time(router: Router, judge: Provider) -> None:
    asked_before, go_on = len(judge.requests), threading.Event()

    def slowly(_: Headers) -> bytes:
        assert go_on.wait(PATIENCE)
        return says("yes")

    judge.reply = slowly
    about(router, "Where does the old road over the hills begin?")
    skipped = judgements(router).get("skipped", 0)
    for number in range(25):
        about(router, f"where does the OLD road over the hills begin{'?' * number}")
    wait_for(lambda: judgements(router).get("skipped", 0) >= skipped + 25 - 16 - 2)
    assert len(judge.requests) == asked_before + 2
    go_on.set()
    wait_for(lambda: len(judge.requests) == asked_before + 2 + 16)
    wait_for(lambda: judgements(router)["yes"] >= 18)


@pytest.fixture(scope="module", autouse=True)
def nothing_is_lost(router: Router) -> Iterator[None]:
    yield
    router.idle()
    assert not any(counts(router, "edgeroute_dropped_total").values())
