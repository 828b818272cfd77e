"""Conditions of Bifrost's rules in our variables: what is translated holds where it held there."""

import json

import pytest
import yaml
from migrate_inputs import NOW

from edgeroute.config.diagnostics import Source
from edgeroute.config.rules import rule_diagnostics
from edgeroute.migrate import import_bifrost, write
from edgeroute.migrate.bifrost_rules import UntranslatableError, only_model, translate

NAMES = {
    "team_name": {"ML Team": ["team_name ML-Team", "team_name ML-Team.small"], "search": ["team_name search"]},
    "team_id": {"t-1": ["team_name search"]},
    "customer_id": {"acme": ["team_name search", "virtual_key_name acme-key"]},
    "virtual_key_name": {"prod key": ["virtual_key_name prod-key"]},
}


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("", "true"),
        ("true", "true"),
        ('headers["X-Tier"] == "premium"', 'headers["x-tier"] == "premium"'),
        ("params['Debug'] == '1'", "params[\"debug\"] == '1'"),
        ("model == 'gpt-4o'", '(model == "gpt-4o" || model.endsWith("/gpt-4o"))'),
        ("'gpt-4o' == model && true", '(model == "gpt-4o" || model.endsWith("/gpt-4o")) && true'),
        ('"search" != team_name', '!(team_name == "search")'),
        ('"a" == model.trim()', '"a" == model.trim()'),
        ('model != "gpt-4o"', '!((model == "gpt-4o" || model.endsWith("/gpt-4o")))'),
        ('model in ["a", "b"]', '(model == "a" || model.endsWith("/a") || model == "b" || model.endsWith("/b"))'),
        ('model.startsWith("gpt-")', '(model.startsWith("gpt-") || model.contains("/gpt-"))'),
        ('model.contains("mini")', 'model.contains("mini")'),
        ('provider == "openai"', 'model.startsWith("openai/")'),
        ('provider in ["openai", "groq"]', '(model.startsWith("openai/") || model.startsWith("groq/"))'),
        ('request_type == "embedding"', 'request_type == "embedding"'),
        ('request_type == "chat_completion_stream"', '(request_type == "chat_completion" && stream)'),
        ('team_name == "search"', 'team_name == "search"'),
        ('team_name == "ML Team"', 'team_name in ["ML-Team", "ML-Team.small"]'),
        ('team_name != "ML Team"', '!(team_name in ["ML-Team", "ML-Team.small"])'),
        ('team_id == "t-1"', 'team_name == "search"'),
        ('customer_id == "acme"', '(team_name == "search" || virtual_key_name == "acme-key")'),
        ('virtual_key_name in ["prod key"]', 'virtual_key_name == "prod-key"'),
        ("tokens_used > 75 && request < 90", "tokens_used > 75 && request < 90"),
        ('headers["x"] == "model == \\"a\\""', 'headers["x"] == "model == \\"a\\""'),
        ('headers["x"]\n  ==   "a"', 'headers["x"] == "a"'),
        ('headers["x"] == "two  blanks"', 'headers["x"] == "two  blanks"'),
        ("params['u'] == 'http://x'", "params[\"u\"] == 'http://x'"),
        (
            'model == "a" // why: "b"\n && // and\n headers["x"] == "c" // last',
            '(model == "a" || model.endsWith("/a")) && headers["x"] == "c"',
        ),
        ('model // of the client\n == "a"', '(model == "a" || model.endsWith("/a"))'),
    ],
)
def test_translated(written: str, expected: str):
    assert translate(written, NAMES) == expected
    assert not rule_diagnostics([expected])


@pytest.mark.parametrize(
    ("written", "why"),
    [
        ("budget_used > 80", "budgets come later"),
        ('complexity_tier == "COMPLEX"', "classification of requests comes later"),
        ('user_id == "u"', "there are no users"),
        ('provider.startsWith("open")', "only comparing it with a name can be translated"),
        ('team_id.startsWith("t")', "by == or != or in"),
        ('team_name == "gone"', "nobody that was carried has the team_name"),
    ],
)
def test_not_translated(written: str, why: str):
    with pytest.raises(UntranslatableError, match=why):
        translate(written, NAMES)


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("model == 'gpt-4o'", "gpt-4o"),
        ('headers["x"] == "a" && model == "m"', "m"),
        ('model == "m" || headers["x"] == "a"', None),
        ('!(model == "m")', None),
        ('headers["x"] == "model == \'a\'"', None),
        ('headers["x"] == "a" // model == "m"', None),
        ('model == "m" // not || of others!', "m"),
        ("true", None),
    ],
)
def test_the_one_model_of_a_condition(written: str, expected: str | None):
    assert only_model(written) == expected


def test_line_breaks_in_literals_stay():
    rule = {"name": "r", "cel_expression": 'headers["x"] == """a\nb"""', "targets": [{"model": "gpt-4o"}]}
    keys = [{"value": "env.OPENAI_API_KEY", "models": ["gpt-4o"]}]
    content = {"providers": {"openai": {"keys": keys}}, "governance": {"routing_rules": [rule]}}
    draft = import_bifrost(Source("config.json", json.dumps(content)), {}, NOW)
    (written,) = yaml.safe_load(write(draft, "Bifrost's config.json"))["rules"]
    assert written["when"] == rule["cel_expression"]
