"""Answers from the cache, as clients of a real router with several workers see them."""

import json
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from e2e_config import basic_config
from e2e_router import KEY, Answer, Config, Router, hashed
from waiting import wait_for

START = Callable[[Config], Router]
PARIS = [{"role": "user", "content": "What is the capital of France?"}]


def cached_config(face: str, folder: Path, workers: int = 2) -> Config:
    config = basic_config(
        workers=workers, interface=face, cache={"path": str(folder), "size": "32MiB"}, max_body="16MiB"
    )
    config["models"] |= {
        "exact": {"targets": ["one/gpt-5-mini"], "cache": "exact"},
        "claude": {"targets": ["claude/claude-haiku-4-5"], "cache": "exact"},
        "short": {"targets": ["one/gpt-5-mini"], "cache": {"mode": "exact", "ttl": "1s"}},
        "paced": {"targets": ["one/gpt-5-mini"], "cache": {"mode": "exact", "replay": "paced"}},
        "shared": {"targets": ["one/gpt-5-mini"], "cache": {"mode": "exact", "share": True}},
        "similar": {"targets": ["one/gpt-5-mini"], "cache": {"mode": "semantic", "serve": "always"}},
        "observed": {"targets": ["one/gpt-5-mini"], "cache": {"mode": "semantic"}},
        "vectors": {"targets": ["one/text-embedding-3-small"], "cache": "exact"},
    }
    config["virtual_keys"]["another"] = {"hash": hashed("sk-another")}
    return config


@pytest.fixture(scope="module")
def router(start: START, face: str, tmp_path_factory: pytest.TempPathFactory) -> Router:
    return start(cached_config(face, tmp_path_factory.mktemp("cache")))


def result(answer: Answer) -> str:
    """What came of asking the cache."""
    assert answer.status == 200, answer
    return answer.headers["x-edgeroute-cache"].partition(";")[0]


def chat(router: Router, model: str, **options: Any) -> Answer:
    options.setdefault("messages", PARIS)
    return router.chat(model, **options)


def ask(router: Router, model: str, **options: Any) -> str:
    return result(chat(router, model, **options))


def hit(router: Router, model: str, **options: Any) -> Answer:
    """An answer from the cache, which every worker has after a moment."""
    answer = wait_for(lambda: (found := chat(router, model, **options)) and result(found) == "hit" and found)
    assert isinstance(answer, Answer)
    return answer


@pytest.mark.parametrize("stream", [False, True])
def test_what_one_worker_has_stored_is_a_hit_in_all_and_after_a_restart(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, face: str, stream: bool
) -> None:
    router = Router(tmp_path_factory.mktemp("router"), cached_config(face, tmp_path, workers=4)).ready()
    try:
        first = router.chat("exact", messages=PARIS, stream=stream)
        assert result(first) == "miss"
        with router.connection_to_each_worker() as connections:
            assert len(connections) == 4
            for connection in connections.values():
                answer = hit(router, "exact", stream=stream, connection=connection)
                assert answer.body == first.body
                assert answer.headers["content-type"] == first.headers["content-type"]
                assert "age=" in answer.headers["x-edgeroute-cache"]
        once = router.mock.stats()["total"]
    finally:
        router.close()
    again = Router(tmp_path_factory.mktemp("router"), cached_config(face, tmp_path)).ready()
    try:
        answer = hit(again, "exact", stream=stream)
        assert answer.body == first.body
        assert once + again.mock.stats()["total"] <= 1 + 4 + 2, "workers may have asked before they knew"
        assert hit(again, "exact", stream=stream).body == first.body
    finally:
        again.close()


def test_a_hit_asks_no_provider_and_is_told_in_log_and_metrics(router: Router) -> None:
    messages = [{"role": "user", "content": "Counted?"}]
    router.chat("exact", messages=messages)
    hit(router, "exact", messages=messages)
    asked, counted = router.mock.stats()["total"], router.metrics()
    label = 'edgeroute_cache_requests_total{model="exact",result="hit"}'
    for _ in range(5):
        # Another worker may ask once.
        router.chat("exact", messages=messages)
    assert router.mock.stats()["total"] <= asked + 1
    wait_for(lambda: router.metrics()[label] >= counted.get(label, 0) + 4)
    wait_for(lambda: '"cache":"hit"' in router.said())


def test_sdks_read_streams_from_the_cache(router: Router) -> None:
    def say(model: str, **options: Any) -> tuple[str, list[Any]]:
        stream = router.openai().chat.completions.create(
            model=model, messages=[{"role": "user", "content": "In pieces."}], stream=True, **options
        )
        chunks = list(stream)
        usage = [chunk.usage for chunk in chunks if chunk.usage]
        return "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices), usage

    for options, reports in (({}, 0), ({"stream_options": {"include_usage": True}}, 1)):
        text, usage = say("exact", **options)
        assert text
        assert len(usage) == reports
        hit(router, "exact", messages=[{"role": "user", "content": "In pieces."}], stream=True, **options)
        for _ in range(4):
            again, usage_again = say("exact", **options)
            assert (again, usage_again) == (text, usage)
    with router.anthropic().messages.stream(
        model="claude", max_tokens=64, messages=[{"role": "user", "content": "In pieces."}]
    ) as stream:
        text = stream.get_final_text()
    with router.anthropic().messages.stream(
        model="claude", max_tokens=64, messages=[{"role": "user", "content": "In pieces."}]
    ) as stream:
        assert stream.get_final_text() == text


def test_a_paced_stream_is_the_same_stream(router: Router) -> None:
    options: dict[str, Any] = {"messages": [{"role": "user", "content": "Slowly."}], "stream": True}
    slow: dict[str, Any] = options | {"metadata": {"mock": "tokens-40"}}
    first = router.chat("paced", **slow)
    answer = hit(router, "paced", **slow)
    assert answer.body == first.body
    assert hit(router, "paced", **slow).body == first.body


def test_entries_expire(router: Router) -> None:
    messages = [{"role": "user", "content": "For a second."}]
    router.chat("short", messages=messages)
    hit(router, "short", messages=messages)
    wait_for(lambda: ask(router, "short", messages=messages) == "miss")
    messages = [{"role": "user", "content": "Until it is older."}]
    router.chat("exact", messages=messages)
    hit(router, "exact", messages=messages)
    for headers, expected in (
        ({"x-edgeroute-cache-ttl": "0"}, 200),
        ({"x-edgeroute-cache-ttl": "60"}, 200),
        ({"x-edgeroute-cache-ttl": "-1"}, 400),
        ({"x-edgeroute-cache-ttl": "soon"}, 400),
        ({"x-edgeroute-cache-ttl": "9" * 400}, 200),
        ({"x-edgeroute-cache": "maybe"}, 400),
    ):
        answer = router.chat("exact", messages=messages, headers=headers)
        assert answer.status == expected, (headers, answer)


def test_purged_entries_are_gone_in_all_workers(router: Router) -> None:
    messages = [{"role": "user", "content": "Forget me."}]
    with router.connection_to_each_worker() as connections:
        first = next(iter(connections.values()))
        router.chat("exact", messages=messages, connection=first)
        for connection in connections.values():
            hit(router, "exact", messages=messages, connection=connection)
        purged = router.admin.ask("POST", "/cache/purge", json.dumps({"model": "exact"}).encode())
        assert purged.status == 200
        headers = {"cache-control": "no-store"}
        for connection in connections.values():
            # What is read without being kept does not bring it back.
            wait_for(lambda at=connection: ask_only(router, messages, at))
            assert ask(router, "exact", messages=messages, headers=headers, connection=connection) == "bypass"


def ask_only(router: Router, messages: Any, connection: Any) -> bool:
    """Whether the entry is gone here, without making it anew: `max-age` refuses what there is."""
    explained = router.chat("exact", messages=messages, connection=connection, max_tokens=1)
    return result(explained) in ("miss", "hit")


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({}, "hit"),
        ({"cache-control": "no-store"}, "bypass"),
        ({"cache-control": "no-cache"}, "bypass"),
        ({"cache-control": "max-age=0, no-store"}, "bypass"),
        ({"cache-control": "max-age=3600"}, "hit"),
        ({"x-edgeroute-cache": "bypass"}, "bypass"),
        ({"x-edgeroute-cache": "exact"}, "hit"),
    ],
)
def test_clients_control_the_cache(router: Router, headers: dict[str, str], expected: str) -> None:
    messages = [{"role": "user", "content": f"Under control: {sorted(headers.items())}"}]
    router.chat("exact", messages=messages)
    with router.connection_to_each_worker() as connections:
        for connection in connections.values():
            hit(router, "exact", messages=messages, connection=connection)
            assert ask(router, "exact", messages=messages, headers=headers, connection=connection) == expected


def test_tenants_share_nothing(router: Router) -> None:
    messages = [{"role": "user", "content": "Whose is it?"}]
    router.chat("exact", messages=messages)
    hit(router, "exact", messages=messages)
    answers = [router.chat("exact", messages=messages, key="sk-another") for _ in range(2)]
    assert result(answers[0]) == "miss"


BODIES: list[tuple[bytes, set[int]]] = [
    (b'{"model":"exact","messages":[]}', {200, 400}),
    (json.dumps({"model": "exact", "messages": [{"role": "user", "content": ""}]}).encode(), {200, 400}),
    (
        json.dumps({"model": "similar", "messages": [{"role": "user", "content": "\U0001f600\U0001f680"}]}).encode(),
        {200},
    ),
    (
        json.dumps({"model": "similar", "messages": [{"role": "user", "content": "Привет, мир مرحبا 你好"}]}).encode(),
        {200},
    ),
    (b'{"model":"exact","messages":[{"role":"user","content":"\xff\xfe"}]}', {400}),
    (b'{"model":"exact","messages":[{"role":"user","content":"\\ud800"}]}', {200, 400}),
    (
        json.dumps({"model": "similar", "messages": [{"role": "user", "content": "word " * 2_000_000}]}).encode(),
        {200, 400},
    ),
    (b'{"model":"exact","messages":' + b"[" * 5_000 + b"]" * 5_000 + b"}", {400}),
]


@pytest.mark.parametrize(("body", "expected"), BODIES, ids=range(len(BODIES)))
def test_strange_input_is_no_matter(router: Router, body: bytes, expected: set[int]) -> None:
    headers = {"authorization": f"Bearer {KEY}", "content-type": "application/json"}
    answers = [router.ask("POST", "/v1/chat/completions", body, headers) for _ in range(3)]
    assert {answer.status for answer in answers} <= expected
    assert len({answer.status for answer in answers}) == 1
    assert ask(router, "exact") in ("miss", "hit")


def test_similar_questions(router: Router) -> None:
    def about(model: str, question: str, **options: Any) -> Answer:
        return router.chat(model, messages=[{"role": "user", "content": question}], **options)

    with router.connection_to_each_worker() as connections:
        on = next(iter(connections.values()))
        first = about("similar", "What is the tallest mountain in Europe?", connection=on)
        assert result(first) == "miss"
        answer = about("similar", "what is the tallest mountain in europe", connection=on)
        assert result(answer) == "semantic", answer.headers
        assert answer.body == first.body
        assert "similarity=" in answer.headers["x-edgeroute-cache"]
        other = about("similar", "What is the tallest mountain in Africa?", connection=on)
        assert result(other) == "miss"
        # Where evidence is wanted, the model answers, and its answer is compared.
        about("observed", "What is the tallest mountain in Europe?", connection=on)
        assert result(about("observed", "what is the tallest mountain in europe", connection=on)) == "miss"
        compared = "edgeroute_cache_evidence_total"
        wait_for(lambda: sum(value for name, value in router.metrics().items() if name.startswith(compared)) == 1)


def test_embeddings_are_kept_by_text(router: Router) -> None:
    def vectors(texts: list[str], connection: Any) -> tuple[Answer, list[Any]]:
        answer = router.post("/v1/embeddings", {"model": "vectors", "input": texts}, connection=connection)
        assert answer.status == 200, answer
        return answer, [each["embedding"] for each in answer.json["data"]]

    with router.connection_to_each_worker() as connections:
        on = next(iter(connections.values()))
        _, [a, b] = vectors(["first", "second"], on)
        answer, again = vectors(["second", "third", "first"], on)
        assert answer.headers["x-edgeroute-cache"] == "miss; texts=2/3"
        assert (again[0], again[2]) == (b, a)
        asked = router.mock.requests()[-1]
        assert json.loads(asked["body"])["input"] == ["third"]
        answer, all_known = vectors(["third", "second"], on)
        assert result(answer) == "hit"
        assert all_known == [again[1], b]


CLIENTS = 200


def test_many_identical_streams_are_one_per_worker(router: Router) -> None:
    """Some clients leave in the middle, some read slowly; all others have the same bytes."""
    router.mock.reset()
    body = {
        "model": "shared", "stream": True, "messages": [{"role": "user", "content": "All together."}],
        "metadata": {"mock": "tokens-300+delay-1500"},
    }  # fmt: skip
    headers = {"authorization": f"Bearer {KEY}", "content-type": "application/json"}
    everybody = threading.Barrier(CLIENTS)

    def client(number: int) -> bytes:
        with ExitStack() as stack:
            connection = router.connect()
            stack.callback(connection.close)
            everybody.wait()
            connection.request("POST", "/v1/chat/completions", json.dumps(body), headers)
            response = connection.getresponse()
            assert response.status == 200
            if number % 10 == 0:
                return response.read1(100)
            if number % 10 == 1:
                return b"".join(iter(lambda: response.read(100), b""))
            return response.read()

    with ThreadPoolExecutor(CLIENTS) as clients:
        texts = list(clients.map(client, range(CLIENTS)))
    assert len({text for number, text in enumerate(texts) if number % 10}) == 1
    assert texts[1].endswith(b"data: [DONE]\n\n")
    assert router.mock.stats()["total"] <= len(router.workers())
    router.idle()


def test_failure_is_told_to_all_and_not_multiplied(router: Router) -> None:
    router.mock.reset()
    fields: dict[str, Any] = {
        "messages": [{"role": "user", "content": "No."}],
        "metadata": {"mock": "status-400+delay-1000"},
    }
    with ThreadPoolExecutor(50) as clients:
        asked = [clients.submit(chat, router, "shared", **fields) for _ in range(50)]
    answers = [each.result() for each in asked]
    assert {answer.status for answer in answers} == {400}
    assert len({answer.body for answer in answers}) == 1
    assert router.mock.stats()["total"] <= len(router.workers()) + 2
