"""Limits and other numbers: one that cannot be carried is reported, since a limit that is missing limits nobody."""

import json

import pytest
from migrate_inputs import NOW

from edgeroute.config.diagnostics import Source
from edgeroute.migrate import Draft, Exports, import_bifrost, import_litellm

TOKEN = "1f" * 32
CONFIG = "model_list: [{model_name: a, litellm_params: {model: openai/gpt-4o}}]\n"


def of_keys(text: str) -> Draft:
    return import_litellm(Source("config.yaml", CONFIG), {}, NOW, Exports(keys=Source("keys", text)))


@pytest.mark.parametrize("form", ["csv", "json"])
@pytest.mark.parametrize(
    ("written", "limit", "told"),
    [
        ("100", 100, None),
        ("100.0", 100, None),
        ("100.", 100, None),
        ("", None, None),
        ("null", None, None),
        ("0", 1, "changed: the least limit is 1, not 0"),
        ("0.0", 1, "changed: the least limit is 1, not 0"),
        ("0.5", None, "left out: rpm_limit is not a whole number"),
        ("-1", None, "left out: rpm_limit is not a whole number"),
        ("1e3", None, "left out: rpm_limit is not a whole number"),
        ("123456789012", None, "left out: rpm_limit is not a whole number"),
        ("NaN", None, "left out: rpm_limit is not a whole number"),
    ],
)
def test_limits_of_exported_keys(form: str, written: str, limit: int | None, told: str | None) -> None:
    rows = {
        "csv": f"token,key_alias,rpm_limit\n{TOKEN},a,{written}\n",
        "json": json.dumps([{"token": TOKEN, "key_alias": "a", "rpm_limit": written}]),
    }
    draft = of_keys(rows[form])
    assert draft.virtual_keys["a"].limits.get("requests_per_minute") == limit
    assert told in draft.report.text() if told else draft.report.is_complete


@pytest.mark.parametrize(
    ("column", "value", "told"),
    [
        ("budget_id", "b-1", "budgets come later; the limits in this one"),
        ("model_max_budget", {"a": 1}, "budgets come later"),
        ("metadata", {"model_rpm_limit": {"a": 3}}, "nor have limits of single models in it"),
        ("metadata", {}, None),
        ("metadata", None, None),
    ],
)
def test_limits_that_stand_elsewhere(column: str, value: object, told: str | None) -> None:
    draft = of_keys(json.dumps([{"token": TOKEN, "key_alias": "a", column: value}]))
    assert told in draft.report.text() if told else draft.report.is_complete


@pytest.mark.parametrize(
    ("written", "limit"),
    [("5", 5), ("5.0", 5), ("-5", None), ("1e15", None), ("NaN", None), ("many", None)],
)
def test_numbers_of_bifrost(written: str, limit: int | None) -> None:
    rate_limit = {"id": "r", "request_max_limit": written, "request_reset_duration": "1m"}
    key = {"name": "a", "value": "sk-a", "rate_limit_id": "r"}
    content = {
        "version": 1,
        "providers": {"openai": {"keys": [{"value": "env.OPENAI_API_KEY", "models": ["*"]}]}},
        "governance": {"virtual_keys": [key], "rate_limits": [rate_limit]},
    }
    draft = import_bifrost(Source("config.json", json.dumps(content)), {}, NOW)
    assert draft.virtual_keys["a"].limits.get("requests_per_minute") == limit
    told = "left out: a number from 0 to 10^15 is expected here" in draft.report.text()
    assert told is (limit is None)
