"""Policy tests: requests as they are written, what is compared, and what is said of mistakes in a file."""

import json
from pathlib import Path

import pytest

from edgeroute.config import ConfigError
from edgeroute.policy_tests import Outcome, load_suites, run

CONFIGURATION = """\
providers:
  one: {dialect: openai-chat, url: "http://127.0.0.1:1/v1"}
  two: {dialect: anthropic-messages, url: "http://127.0.0.1:1", api_key: "${TWO_API_KEY}"}
models:
  small: {targets: [one/s, two/s], fallbacks: [large]}
  large: one/l
trusted_proxies: [10.0.0.0/8]
rules:
  - {name: batch, when: '"x-purpose" in headers', tag: batch, set: {body: {tier: 0.20}}, continue: true}
  - name: tidy
    when: '"batch" in tags'
    set: {headers: {X-Source: edge}}
    remove: {body: [seed], headers: [x-purpose]}
  - {name: far, when: 'client_ip == "192.0.2.7"', reject: {status: 451, message: Too far.}}
  - {name: night, when: 'now.getHours() == 3', model: large}
  - {name: full, when: 'tokens_used > 75 || requests_used > 75', model: large}
  - {name: long, when: 'prompt_tokens == 500', model: large}
  - {name: mine, virtual_key: other, when: 'message_count == 2', model: large}
virtual_keys:
  app: {hash: "sha256:2904cb91b4d3e13d761f8ea8a47d42158ae6729fe2c90764d9b3b0294140812e"}
  other: {hash: "sha256:0000000000000000000000000000000000000000000000000000000000000000"}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "edgeroute.yaml").write_text(CONFIGURATION)
    return tmp_path


def outcome(folder: Path, request: object, expect: object) -> Outcome:
    case = {"name": "case", "request": request, "expect": expect}
    tests = {"configuration": "edgeroute.yaml", "key": "app", "environment": {"TWO_API_KEY": "x"}, "cases": [case]}
    (folder / "policy.test.yaml").write_text(json.dumps(tests))
    [suite] = load_suites([folder / "policy.test.yaml"], {})
    [found] = run(suite)
    return found


TWO = [{"role": "user", "content": "Hi"}] * 2
BATCH = {"model": "small", "headers": {"X-Purpose": "batch"}, "body": {"seed": 1}}


@pytest.mark.parametrize(
    ("request_", "expect"),
    [
        ({"model": "small"}, {}),
        ({"model": "small"}, {"rules": [], "model": "small", "target": "one/s", "targets": ["one/s", "one/l"]}),
        ({"model": "small"}, {"tags": [], "set": {}, "remove": {}}),
        ({"path": "/v1/messages", "messages": TWO, "body": {"model": "small", "max_tokens": 9}}, {"target": "two/s"}),
        ({"path": "/v1/models", "method": "GET"}, {"rules": []}),
        (BATCH, {"rules": ["batch", "tidy"], "tags": ["batch"]}),
        (BATCH, {"set": {"body": {"tier": 0.2}, "headers": {"x-source": "edge"}}}),
        (BATCH, {"remove": {"body": ["seed"], "headers": ["X-Purpose"]}}),
        ({"model": "small", "peer": "192.0.2.7"}, {"rules": "far", "refusal": {"status": 451, "message": "Too far."}}),
        ({"model": "small", "peer": "10.0.0.1:5", "headers": {"x-forwarded-for": "192.0.2.7"}}, {"refusal": {}}),
        ({"model": "small", "peer": "[::ffff:192.0.2.7]:5"}, {"rules": "far", "refusal": {}}),
        ({"model": "small", "peer": "2001:db8::1"}, {"rules": []}),
        ({"model": "small", "facts": {"now": "2026-01-01T04:00:00+01:00"}}, {"rules": "night"}),
        ({"model": "small", "facts": {"tokens_used": 75.5}}, {"rules": "full"}),
        ({"model": "small", "facts": {"requests_used": 120}}, {"rules": ["full"]}),
        ({"model": "small", "prompt_tokens": 500}, {"rules": "long"}),
        ({"model": "small", "messages": TWO}, {"rules": []}),
        ({"model": "small", "messages": TWO, "key": "other"}, {"rules": "mine"}),
        ({"model": "small", "headers": {"x-api-key": "sk-edgeroute-demo"}}, {"model": "small"}),
        ({"model": "small", "headers": {"x-api-key": "app"}}, {"refusal": {"status": 401, "code": "invalid_api_key"}}),
    ],
)
def test_what_is_as_expected(folder: Path, request_: object, expect: object):
    assert outcome(folder, request_, expect).differences == ()


@pytest.mark.parametrize(
    ("request_", "expect", "fields"),
    [
        ({"model": "small"}, {"rules": "full", "model": "large", "target": "one/l"}, ["rules", "model", "target"]),
        ({"model": "small"}, {"targets": ["one/s"]}, ["targets"]),
        ({"model": "small"}, {"refusal": {}}, ["refusal"]),
        ({"model": "small", "peer": "192.0.2.7"}, {"rules": "far"}, ["refusal"]),
        ({"model": "small", "peer": "192.0.2.7"}, {"refusal": {"status": 403, "code": "x", "message": "Too far."}},
         ["refusal.status", "refusal.code"]),
        (BATCH, {"rules": "tidy", "tags": [], "set": {}}, ["rules", "tags", "set.body", "set.headers"]),
        (BATCH, {"set": {"body": {"tier": 0.3}, "headers": {"x-source": "edge"}}}, ["set.body"]),
        (BATCH, {"set": {"body": {"tier": "0.2"}, "headers": {"x-source": "edge"}}}, ["set.body"]),
        (BATCH, {"remove": {"body": ["seed", "n"]}}, ["remove.body", "remove.headers"]),
        ({"model": "none"}, {"model": "none"}, ["refusal"]),
    ],
)  # fmt: skip
def test_what_differs(folder: Path, request_: object, expect: object, fields: list[str]):
    found = outcome(folder, request_, expect)
    assert [each.field for each in found.differences] == fields
    assert found.reasons


def test_the_reasons_that_help(folder: Path):
    rules = outcome(folder, {"model": "small"}, {"rules": "full"}).reasons
    assert rules[-1] == "match: none of 7 rules matches"
    assert "match: rule `batch` does not match: false" in rules
    target = outcome(folder, {"model": "small"}, {"target": "two/s"}).reasons
    assert "place: passed over two/s: it speaks anthropic-messages" in target
    refused = outcome(folder, {"model": "small", "headers": {"x-api-key": "app"}}, {}).reasons
    assert refused == ("identify: the key in `x-api-key` is none of the virtual keys",)


@pytest.mark.parametrize(
    ("text", "place", "message", "advice"),
    [
        ("cases: 1", "1:1", 'needs "configuration"', "add configuration: text"),
        ("[1]", "1:1", "a file of policy tests must be a map", "write configuration: FILE, and cases: with a list"),
        ("", "1:1", "must be a map", "write configuration"),
        ("configuration: a.yaml\ncases: [", "2:9", "this is not valid YAML", ""),
        ("configuration: a.yaml\ncases: []", "1:16", "there is no file", "name it from this file's folder"),
        ("configuration: edgeroute.yaml\ncases: []", "2:1", "there are no cases", "add one"),
        ("configuration: edgeroute.yaml\nkey: ap\ncases: []", "2:6", 'unknown virtual key "ap"', 'you mean "app"?'),
    ],
)
def test_mistakes_in_a_file(folder: Path, text: str, place: str, message: str, advice: str):
    check_mistake(folder, text, place, message, advice)


@pytest.mark.parametrize(
    ("case", "place", "message", "advice"),
    [
        ("{name: a, expect: {rule: full}}", "20", 'unknown setting "rule" in expect', 'did you mean "rules"?'),
        ("{name: a, expect: {rules: ful}}", "27", 'unknown rule "ful"', 'did you mean "full"?'),
        ("{name: a, expect: {rules: [batch, x]}}", "35", 'unknown rule "x"', "rules are: batch, tidy, far"),
        ("{name: a, expect: {refusal: 403}}", "29", '"refusal" must be a map', ""),
        ("{name: a, expect: {refusal: {status: 200}}}", "38", "must be from 400 to 599", ""),
        ("{name: a}", "1", 'a case needs "expect"', "add expect: a map of settings (rules, model"),
        ("{name: a, expect: {}, request: {key: my}}", "38", 'unknown virtual key "my"', "virtual keys are: app, other"),
        ("{name: a, expect: {}, request: {token: x}}", "33", 'unknown setting "token" in a request', "what can be set"),
        ("{name: a, expect: {}, request: {path: v1}}", "39", '"path" cannot be "v1"', "write a path such as"),
        ("{name: a, expect: {}, request: {peer: localhost}}", "39", "not an address", "write one such as"),
        ("{name: a, expect: {}, request: {peer: '1.2.3.4.5:80'}}", "39", "not an address", "write one such as"),
        ("{name: a, expect: {}, request: {prompt_tokens: 7}}", "48", "must be from 8 to 10000000", ""),
        ("{name: a, expect: {}, request: {messages: [], prompt_tokens: 9}}", "47", "given twice", "keep one"),
        ("{name: a, expect: {}, request: {model: a, body: {model: b}}}", "50", "the model is given twice", "keep one"),
        ("{name: a, expect: {}, request: {key: app, headers: {X-Api-Key: b}}}", "53", "another", "keep one"),
        ("{name: a, expect: {}, request: {facts: {now: noon}}}", "46", "not a time with a zone", "write it as in"),
        ("{name: a, expect: {}, request: {facts: {now: 2026-13-01T00:00:00Z}}}", "46", "not a time", "write it as in"),
        ("{name: a, expect: {}, request: {facts: {tokens_used: 75%}}}", "54", "not a percentage", "write a number"),
    ],
)
def test_mistakes_in_a_case(folder: Path, case: str, place: str, message: str, advice: str):
    text = f"configuration: edgeroute.yaml\ncases:\n- {case}"
    check_mistake(folder, text, f"3:{int(place) + 2}", message, advice)


def check_mistake(folder: Path, text: str, place: str, message: str, advice: str) -> None:
    file = folder / "policy.test.yaml"
    file.write_text(text)
    with pytest.raises(ConfigError) as raised:
        load_suites([file], {"TWO_API_KEY": "x"})
    found = [each for each in raised.value.diagnostics if message in each.message]
    assert len(found) == 1, raised.value
    assert f"{found[0].path}:{found[0].line}:{found[0].column}" == f"{file}:{place}", raised.value
    assert advice in (found[0].advice or "")


def test_every_mistake_of_every_file_is_told(folder: Path):
    for name in ("a", "b"):
        (folder / name).write_text("configuration: edgeroute.yaml\ncases:\n- {name: x, expects: {}}\n- {nam: y}\n")
    with pytest.raises(ConfigError) as raised:
        load_suites([folder / "a", folder / "b", folder / "c"], {})
    assert sorted({Path(each.path).name for each in raised.value.diagnostics}) == ["a", "b", "c"]
    assert len(raised.value.diagnostics) > 5


def test_a_mistake_in_the_configuration_is_told_once(folder: Path):
    for name in ("a", "b"):
        (folder / name).write_text("configuration: edgeroute.yaml\ncases: [{name: x, expect: {}}]\n")
    with pytest.raises(ConfigError) as raised:
        load_suites([folder / "a", folder / "b"], {})
    [found] = raised.value.diagnostics
    assert "TWO_API_KEY is not set" in found.message


def test_credentials_are_not_shown(folder: Path):
    text = "configuration: edgeroute.yaml\nenvironment: {TWO_API_KEY: hunter2, x: }\ncases: [{name: a, expect: {}}]\n"
    text += "key: app\nkey: app\n"
    (folder / "a").write_text(text)
    with pytest.raises(ConfigError) as raised:
        load_suites([folder / "a"], {})
    assert "hunter2" not in str(raised.value)
    assert "key: app" in str(raised.value)
