"""Vectors of questions that a provider makes, as clients of a real router with several workers see them."""

import contextlib
import json
from collections.abc import Callable
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest
from e2e_config import basic_config
from e2e_router import KEY, Answer, Config, Router
from waiting import wait_for

START = Callable[[Config], Router]
SMALL = "one/text-embedding-3-small"


def embedding_config(face: str, folder: Path) -> Config:
    config = basic_config(workers=2, interface=face, cache={"path": str(folder), "size": "32MiB"})

    def model(**cache: Any) -> Config:
        return {"targets": ["one/gpt-5-mini"], "cache": {"mode": "semantic", "serve": "always"} | cache}

    config["models"] |= {
        "patient": model(embedder={"target": SMALL, "wait": "10s"}),
        "hurried": model(embedder=SMALL),
        "observed": model(embedder=SMALL, serve="observe"),
        "failing": model(embedder={"target": "one/mock-status-500", "wait": "10s"}),
        "odd": model(embedder="one/mock-html-404"),
        "slow": model(embedder={"target": "one/mock-delay-1500", "wait": "20ms"}),
        "slow-and-patient": model(embedder={"target": "one/mock-delay-1500", "wait": "10s"}, share=True),
        "itself": model(),
    }
    return config


@pytest.fixture(scope="module")
def router(start: START, face: str, tmp_path_factory: pytest.TempPathFactory) -> Router:
    return start(embedding_config(face, tmp_path_factory.mktemp("cache")))


def about(router: Router, model: str, question: str, **options: Any) -> Answer:
    return router.chat(model, messages=[{"role": "user", "content": question}], **options)


def known(router: Router, model: str, question: str, connection: HTTPConnection | None = None) -> Answer | None:
    """The answer from the cache, if it has one; the model would fail, so that nothing is kept."""
    answer = about(router, model, question, connection=connection, metadata={"mock": "status-400"})
    return answer if answer.status == 200 else None


def soon_known(router: Router, model: str, question: str, connection: HTTPConnection | None = None) -> Answer:
    answer = wait_for(lambda: known(router, model, question, connection))
    assert isinstance(answer, Answer)
    return answer


def result(answer: Answer) -> str:
    """What came of asking the cache."""
    return answer.headers["x-edgeroute-cache"].partition("; age")[0]


def counts(router: Router, family: str) -> dict[str, float]:
    """The samples of a metric with one label, by its value."""
    samples = {name: value for name, value in router.metrics().items() if name.startswith(f"{family}{{")}
    return {name.split('"')[1]: value for name, value in samples.items()}


def embeddings(router: Router, of: str) -> float:
    """How many vectors were asked for of which this came."""
    return counts(router, "edgeroute_cache_embeddings_total").get(of, 0)


def asked_for(router: Router, text: str) -> list[dict[str, Any]]:
    """The requests for the vector of this text."""
    requests = [each for each in router.mock.requests() if each["path"] == "/v1/embeddings"]
    return [each for each in requests if json.loads(each["body"])["input"] == text]


def test_who_waits_gets_the_answer_to_what_means_the_same_in_all_workers(router: Router) -> None:
    stored = "How do I reset the router in the hall?"
    first = about(router, "patient", stored)
    assert result(first).startswith("miss")
    wait_for(lambda: asked_for(router, stored))
    [asked] = asked_for(router, stored)
    assert json.loads(asked["body"]) == {"model": "text-embedding-3-small", "input": stored}
    assert dict(asked["headers"])["authorization"] == "Bearer sk-secret-of-one"
    with router.connection_to_each_worker() as connections:
        for number, connection in enumerate(connections.values()):
            alike = f"how do i reset the ROUTER in the hall{'!' * number}"
            answer = soon_known(router, "patient", alike, connection)
            assert result(answer) == "semantic"
            assert answer.body == first.body
            assert "similarity=" in answer.headers["x-edgeroute-cache"]
    assert result(about(router, "patient", "Why does the cat in the garden purr?")) == "miss"


def test_nobody_else_waits(router: Router) -> None:
    """A vector is known the next time, and what was stored meanwhile is found by it."""
    stored, alike = "Which bridge leads over the wide river?", "which BRIDGE leads over the wide river"
    with router.connection_to_each_worker() as connections:
        on = next(iter(connections.values()))
        before = embeddings(router, "ok")
        first = about(router, "hurried", stored, connection=on)
        assert first.status == 200
        wait_for(lambda: embeddings(router, "ok") == before + 1)
        missed = about(router, "hurried", alike, connection=on, metadata={"mock": "status-400"})
        assert (missed.status, result(missed)) == (400, "miss; reason=no-vector")
        answer = soon_known(router, "hurried", alike, on)
        assert result(answer) == "semantic"
        assert answer.body == first.body
        assert len(asked_for(router, alike)) == 1, "it is asked for once"
        assert result(about(router, "hurried", stored, connection=on)) == "hit"


def test_answers_are_compared_when_the_vector_is_there(router: Router) -> None:
    def compared() -> float:
        return sum(counts(router, "edgeroute_cache_evidence_total").values())

    before, vectors = compared(), embeddings(router, "ok")
    with router.connection_to_each_worker() as connections:
        on = next(iter(connections.values()))
        about(router, "observed", "When was the old harbour built?", connection=on)
        wait_for(lambda: embeddings(router, "ok") == vectors + 1)
        answer = about(router, "observed", "when was the OLD harbour built", connection=on)
        assert (answer.status, result(answer)) == (200, "miss; reason=no-vector")
        wait_for(lambda: compared() == before + 1)


def test_an_embedder_that_fails_is_no_matter_for_clients(router: Router) -> None:
    before = embeddings(router, "failed")
    for model in ("failing", "odd"):
        for number in range(3):
            answer = about(router, model, f"Does it matter, or {'never ' * number}not?")
            assert (answer.status, result(answer).partition(";")[0]) == (200, "miss")
        assert result(soon_known(router, model, "Does it matter, or not?")) == "hit"
    wait_for(lambda: embeddings(router, "failed") >= before + 6)
    for embedder in ("mock-status-500", "mock-html-404"):
        warning = f"the cache's embedder `one/{embedder}` fails"
        wait_for(lambda warning=warning: warning in router.said())
        assert router.said().count(warning) <= len(router.workers())
    assert "Does it matter" not in router.said()


def test_who_waits_does_not_wait_for_long(router: Router) -> None:
    stored, alike = "Where is the oldest lighthouse?", "where is the OLDEST lighthouse"
    with router.connection_to_each_worker() as connections:
        on = next(iter(connections.values()))
        first = about(router, "slow", stored, connection=on)
        assert first.status == 200
        assert result(about(router, "slow", stored, connection=on)) == "hit", "it is kept without its vector"
        missed = about(router, "slow", alike, connection=on, metadata={"mock": "status-400"})
        assert (missed.status, result(missed)) == (400, "miss; reason=no-vector")
        answer = soon_known(router, "slow", alike, on)
        assert result(answer) == "semantic", "its vector came later"
        assert answer.body == first.body


def test_clients_that_leave_while_they_wait_leave_nothing_behind(router: Router) -> None:
    body = {"model": "slow-and-patient", "messages": [{"role": "user", "content": "Who leaves early?"}]}
    headers = {"authorization": f"Bearer {KEY}", "content-type": "application/json"}
    with contextlib.ExitStack() as clients:
        for _ in range(5):
            connection = clients.enter_context(contextlib.closing(router.connect()))
            connection.request("POST", "/v1/chat/completions", json.dumps(body), headers)
        wait_for(lambda: asked_for(router, "Who leaves early?"))
    router.idle()
    wait_for(lambda: router.said().count('"model":"slow-and-patient"') == 5)
    assert not any(counts(router, "edgeroute_dropped_total").values())


def test_vectors_of_others_are_not_mixed_with_ours(router: Router) -> None:
    question = "How many keys does the piano in the hall have?"
    for model in ("patient", "itself"):
        assert result(about(router, model, question)).startswith("miss")
        assert result(soon_known(router, model, question)) == "hit"


def test_what_was_stored_is_found_after_a_restart(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, face: str
) -> None:
    config = embedding_config(face, tmp_path)
    router = Router(tmp_path_factory.mktemp("router"), config).ready()
    try:
        first = about(router, "patient", "Does the ferry to the island run in winter?")
        wait_for(lambda: embeddings(router, "ok"))
    finally:
        router.close()
    again = Router(tmp_path_factory.mktemp("router"), config).ready()
    try:
        answer = soon_known(again, "patient", "does the FERRY to the island run in winter")
        assert (result(answer), answer.body) == ("semantic", first.body)
    finally:
        again.close()
