"""What rules do, end to end: what the provider receives, what the client gets, what the log says."""

import json
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from e2e_config import basic_config
from e2e_router import KEY, Answer, Config, Router, hashed
from waiting import wait_for

START = Callable[[Config], Router]

RULES: list[dict[str, Any]] = [
    {"name": "of-key", "virtual_key": "prod", "when": 'model == "scoped"', "model": "one/key"},
    {"name": "global", "when": 'model == "scoped"', "model": "one/all", "priority": -5},
    {"name": "later", "when": 'model == "scoped"', "model": "one/later", "priority": 5},
    {"name": "of-team", "team": "search", "when": 'model == "scoped"', "model": "one/team"},
    {"name": "split", "when": 'model == "split"', "model": {"one/a": 50, "one/b": 50}},
    {"name": "sticky", "when": 'model == "sticky"', "model": {"one/a": 50, "one/b": 50}, "sticky": "user"},
    {
        "name": "changes",
        "when": 'model == "changed"',
        "set": {"body": {"temperature": 0.25, "stop": ["END"]}, "headers": {"x-tenant": "acme", "x-own": "rule"}},
        "remove": {"body": ["top_p"], "headers": ["openai-beta"]},
    },
    {"name": "first", "when": 'model == "chain"', "tag": "long", "model": "one/middle", "continue": True},
    {"name": "second", "when": 'model == "one/middle" && "long" in tags', "model": "one/end", "tag": "end"},
    {"name": "refused", "when": '"long" in tags', "reject": "never reached"},
    {"name": "pinned", "when": 'model == "pinned"', "pin": "two/mock-status-500", "fallbacks": ["one/rescue"]},
    {"name": "added", "when": 'model == "added"', "fallbacks": {"add": ["one/rescue"]}},
    {"name": "none", "when": 'model == "alone"', "fallbacks": []},
    {"name": "lenient", "when": 'model == "lenient" && headers["x-none"] == "a"', "model": "one/never"},
    {"name": "strict", "when": 'model == "strict" && headers["x-none"] == "a"', "model": "one/b", "on_error": "match"},
    {
        "name": "closed",
        "when": 'model == "closed" && headers["x-none"] == "a"',
        "reject": {"status": 451, "message": "Not in this country."},
        "on_error": "match",
    },
    {"name": "guarded", "when": 'model == "guarded" && headers["x-none"] == "a"', "tag": "a", "on_error": "reject"},
    {"name": "words", "when": 'last_user_text.contains("forbidden")', "reject": "We do not talk about that."},
    {"name": "pictures", "when": "has_images", "model": "one/eyes"},
]


@pytest.fixture(scope="module")
def router(start: START, face: str) -> Router:
    config = basic_config(interface=face)
    config["providers"]["one"]["headers"] = {"x-own": "provider"}
    failing = {"targets": ["two/mock-status-500"], "fallbacks": ["fast"]}
    for name in ("scoped", "split", "sticky", "changed", "chain", "pinned", "lenient", "strict", "closed", "guarded"):
        config["models"][name] = "one/plain"
    config["models"] |= {"added": {"targets": ["two/mock-status-500"]}, "alone": failing}
    config["rules"] = RULES
    config["teams"] = {"search": {}}
    config["virtual_keys"] |= {
        "prod": {"hash": hashed("sk-prod"), "team": "search"},
        "trial": {"hash": hashed("sk-trial"), "team": "search"},
    }
    return start(config)


def told(answer: Answer) -> tuple[int, str, str]:
    """Status, target and rule."""
    return answer.status, *answer.chosen()[1:]


@pytest.mark.parametrize(
    ("key", "expected"), [("sk-prod", "one/key of-key"), ("sk-trial", "one/team of-team"), (KEY, "one/all global")]
)
def test_scopes_and_priorities(router: Router, key: str, expected: str) -> None:
    assert told(router.chat("scoped", key=key)) == (200, *expected.split())


def test_models_are_drawn_by_weight(router: Router) -> None:
    drawn = Counter(router.chat("split").chosen()[1] for _ in range(60))
    assert set(drawn) == {"one/a", "one/b"}, drawn


def test_a_user_stays_with_its_model(router: Router) -> None:
    def drawn(**fields: Any) -> set[str]:
        return {router.chat("sticky", **fields).chosen()[1] for _ in range(5)}

    of_users = [drawn(user=f"user-{number}") for number in range(12)]
    assert all(len(each) == 1 for each in of_users)
    assert {model for each in of_users for model in each} == {"one/a", "one/b"}
    assert len(drawn()) == 1, "without a user it is the key that stays"
    assert drawn(metadata={"user_id": "user-3"}) == of_users[3]


@pytest.mark.parametrize("stream", [False, True])
def test_the_provider_gets_what_rules_set(router: Router, stream: bool) -> None:
    router.mock.reset()
    headers = {"openai-beta": "client", "authorization": f"Bearer {KEY}", "content-type": "application/json"}
    rest = '"model":"%s" , "x":1.0e0, "messages":[{"role":"user","content":"\\u0041"}]'
    rest += ', "stream":true, "stream_options":{"include_usage":true}}' if stream else "}"
    body = '{"top_p": 1,  ' + rest % "changed"
    answer = router.ask("POST", "/v1/chat/completions", body.encode(), headers)
    assert (answer.status, answer.headers["x-edgeroute-rule"]) == (200, "changes")
    [received] = router.mock.requests()
    assert received["body"].decode() == '{"temperature":0.25,"stop":["END"],' + rest % "plain"
    fields = dict(received["headers"])
    assert (fields["x-tenant"], fields["x-own"]) == ("acme", "rule")
    assert "openai-beta" not in fields
    assert fields["authorization"] == "Bearer sk-secret-of-one"


def test_rules_match_again(router: Router) -> None:
    answer = router.chat("chain", headers={"x-request-id": "chained"})
    assert told(answer) == (200, "one/end", "second")

    def line() -> dict[str, Any] | None:
        lines = (json.loads(each) for each in router.said().splitlines() if '"id":"chained"' in each)
        return next(lines, None)

    wait_for(lambda: line() is not None)
    record = line() or {}
    assert {name: record[name] for name in ("rule", "continued", "tags")} == {
        "rule": "second",
        "continued": ["first"],
        "tags": ["long", "end"],
    }
    metrics = router.metrics()
    assert all(metrics[f'edgeroute_rule_matches_total{{rule="{name}"}}'] >= 1 for name in ("first", "second"))


@pytest.mark.parametrize(
    ("model", "expected", "attempts"),
    [
        ("pinned", (200, "one/rescue", "pinned"), "2"),
        ("added", (200, "one/rescue", "added"), "2"),
        ("alone", (500, "two/mock-status-500", "none"), "1"),
    ],
)
def test_pins_and_fallbacks(router: Router, model: str, expected: tuple[int, str, str], attempts: str) -> None:
    answer = router.chat(model)
    assert (told(answer), answer.headers["x-edgeroute-attempts"]) == (expected, attempts)


def test_conditions_that_cannot_be_evaluated(router: Router) -> None:
    def errors(rule: str) -> float:
        return router.metrics().get(f'edgeroute_rule_errors_total{{rule="{rule}"}}', 0)

    for model, expected, code in [
        ("lenient", (200, "one/plain", ""), None),
        ("strict", (200, "one/b", "strict"), None),
        ("closed", (451, "", "closed"), "rejected_by_rule"),
        ("guarded", (403, "", "guarded"), "rule_failed"),
    ]:
        before = errors(model)
        answer = router.chat(model)
        assert told(answer) == expected
        assert code is None or answer.json["error"]["code"] == code
        wait_for(lambda: errors(model) == before + 1)  # noqa: B023 (called at once)


def test_what_is_said_and_shown(router: Router) -> None:
    parts = [{"type": "text", "text": "is this forbidden?"}, {"type": "image_url", "image_url": {"url": "https://a/b"}}]
    answer = router.chat("fast", messages=[{"role": "user", "content": parts}])
    assert (answer.status, answer.json["error"]["message"]) == (403, "We do not talk about that.")
    parts[0]["text"] = "and this?"
    assert told(router.chat("fast", messages=[{"role": "user", "content": parts}])) == (200, "one/eyes", "pictures")
    source = {"type": "base64", "media_type": "image/png", "data": "AAAA"}
    shown = [{"role": "user", "content": [{"type": "image", "source": source}]}]
    assert router.messages("fast", messages=shown).headers["x-edgeroute-rule"] == "pictures"
