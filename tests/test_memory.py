"""Calls across the boundary to Rust give back the memory that they take."""

import gc
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from edgeroute import Expression, RuleError, RuleSet, _native
from edgeroute.config import Loaded, load

CALLS = 20_000
MOST_GROWTH = 8 << 20
CONFIG = """
providers:
  one: {dialect: openai-chat, urls: [http://127.0.0.1:9/v1, http://127.0.0.1:10/v1]}
  claude: {dialect: anthropic-messages, url: http://127.0.0.1:9}
models:
  fast: {targets: {one/small: 80, one/large: 20, claude/small: 1}}
rules:
  - {name: premium, when: 'headers["x-tier"] == "premium" && tokens_used < 75.0', model: fast}
  - {name: refused, when: 'model.startsWith("no")', reject: No.}
teams:
  search: {models: [fast], limits: {requests_per_minute: 1000000, tokens_per_minute: 1000000000, concurrency: 1}}
virtual_keys:
  search: {team: search, hash: "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"}
"""
BODY = json.dumps({"model": "fast", "stream": True, "messages": [{"role": "user", "content": "x" * 900}]}).encode()
HEADERS = [(b"authorization", b"Bearer test"), (b"x-tier", b"premium"), (b"content-type", b"application/json")]


@pytest.fixture
def loaded(tmp_path: Path) -> Loaded:
    path = tmp_path / "edgeroute.yaml"
    path.write_text(CONFIG)
    return load(path, {})


@pytest.fixture
def worker(tmp_path: Path, loaded: Loaded) -> _native.Worker:
    """A worker with a configuration, without an event loop."""
    cells = _native.Cells.create(str(tmp_path / "cells"))
    worker = _native.Worker(cells, 1, json=True)
    worker.configure(_native.Snapshot.compile(loaded.normalised, cells, 1))
    return worker


def resident() -> int:
    """Bytes of memory that this process has."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) << 10 for line in lines if line.startswith("VmRSS:"))


def check_growth(call: Callable[[], object]) -> None:
    """Memory does not grow with the number of calls, once a tenth of them has warmed up what is kept."""
    for _ in range(CALLS // 10):
        call()
    gc.collect()
    before = resident()
    for _ in range(CALLS):
        call()
    gc.collect()
    assert resident() - before < MOST_GROWTH


def decide(worker: _native.Worker, path: str, body: bytes) -> _native.Ticket:
    return worker.decide("POST", path, "", HEADERS, "10.0.0.1:80", body)


def test_a_decision_that_is_dropped_by_closing(worker: _native.Worker) -> None:
    def call() -> None:
        ticket = decide(worker, "/v1/chat/completions", BODY)
        assert ticket.step == _native.Ticket.ATTEMPT
        ticket.close()
        worker.take_log()

    check_growth(call)


@pytest.mark.parametrize(
    ("path", "body", "code"),
    [
        ("/v1/chat/completions", b'{"model":', "invalid_body"),
        ("/v1/chat/completions", b'{"model":"fasst"}', "model_not_found"),
        ("/v1/messages", b'{"model":"nothing"}', "rejected_by_rule"),
        ("/nowhere", b"", "unknown_path"),
    ],
)
def test_a_refusal(worker: _native.Worker, path: str, body: bytes, code: str) -> None:
    headers = [each for each in HEADERS if each[0] != b"x-tier"]

    def call() -> None:
        ticket = worker.decide("POST", path, "a=b", headers, "", body)
        assert ticket.refusal is not None
        assert ticket.refusal[1] == code
        assert ticket.own_headers(True)
        ticket.close()
        worker.take_log()

    check_growth(call)


def test_a_list_of_models(worker: _native.Worker) -> None:
    def call() -> None:
        ticket = worker.decide("GET", "/v1/models", "", [("authorization", "Bearer test")], "", b"")
        assert ticket.models == ["fast"]
        assert ticket.own_headers(False)
        worker.take_log()

    check_growth(call)


def test_check_rules() -> None:
    def call() -> None:
        (error,) = _native.check_rules(["tokens_used > 75", "tokens_usd > 75"], [])
        assert error[0] == 1

    check_growth(call)


def test_explain(loaded: Loaded) -> None:
    request = json.dumps(
        {"path": "/v1/chat/completions", "headers": {"authorization": "Bearer test"}, "body": json.loads(BODY)}
    ).encode()

    def call() -> None:
        [explained] = _native.explain(loaded.normalised, [request])
        assert b'"model":"fast"' in explained

    check_growth(call)


def test_rules_of_the_library() -> None:
    rules = RuleSet({"premium": 'headers["x-tier"] == "premium"', "tagged": "size(headers) > 3"})
    given = {"headers": {"X-Tier": "x" * 900, "other": "y" * 900}}

    def call() -> None:
        assert rules.evaluate_batch([given]) == [None]
        assert rules.explain({"headers": {}}).first_match is None
        with pytest.raises(ValueError, match="string"):
            rules.evaluate({"headers": {"x-tier": b""}})

    check_growth(call)


def test_values_of_the_library() -> None:
    same = Expression("[it, timestamp(0), duration('1ns'), optional.of(1u), type(it)]", {"it": "dyn"})
    given = {"it": {"a": ["x" * 900, b"y", 1.5, None, {"b": True}]}}

    def call() -> None:
        assert same.evaluate(given)[0] == given["it"]
        with pytest.raises(RuleError):
            same.evaluate({})
        with pytest.raises(RuleError):
            Expression("1 +")

    check_growth(call)
