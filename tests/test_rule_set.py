"""`edgeroute.RuleSet`: rules in a REPL."""

from typing import Any

import pytest

from edgeroute import RuleSet

RULES = {
    "premium": 'headers["x-tier"] == "premium"',
    "near-limit": "tokens_used > 75",
    "long": "prompt_tokens + max_tokens > 200000",
}


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"headers": {"x-tier": "premium"}}, "premium"),
        ({"headers": {"X-Tier": "premium"}, "tokens_used": 80}, "premium"),
        ({"headers": {}, "tokens_used": 80.5}, "near-limit"),
        ({"tokens_used": 75, "prompt_tokens": 200_000, "max_tokens": 1}, "long"),
        ({"tokens_used": 75, "prompt_tokens": 10, "max_tokens": 1}, None),
        ({}, None),
    ],
)
def test_the_first_rule_that_holds(values: dict[str, Any], expected: str | None) -> None:
    assert RuleSet(RULES).match(values) == expected


def test_outcomes_say_why_a_rule_cannot_be_evaluated() -> None:
    outcomes = dict(
        RuleSet(RULES).outcomes({"headers": {}, "tokens_used": 10, "prompt_tokens": 2**62, "max_tokens": 2**62})
    )
    assert outcomes == {
        "premium": 'there is no such key: headers["x-tier"]',
        "near-limit": False,
        "long": "the result does not fit an integer of 64 bits: prompt_tokens + max_tokens",
    }


@pytest.mark.parametrize(
    ("of_type", "value", "condition"),
    [
        ("string", "a", 'it == "a"'),
        ("double", 2, "it == 2.0"),
        ("int", -5, "it < 0"),
        ("uint", 2**64 - 1, "it == 18446744073709551615u"),
        ("bool", True, "it"),
        ("null", None, "it == null"),
        ("bytes", b"\x00", "it == b'\\x00'"),
        ("list(string)", ["a", "b"], '"b" in it'),
        ("list(dyn)", (1, "b"), "it[0] == 1"),
        ("map(string, list(int))", {"a": [1, 2]}, 'it["a"][1] == 2'),
        ("map(string, dyn)", {"a": {"b": None}}, "it.a.b == null"),
    ],
)
def test_values_of_every_type(of_type: str, value: object, condition: str) -> None:
    assert RuleSet({"rule": condition}, {"it": of_type}).match({"it": value}) == "rule"


def nested(depth: int) -> Any:
    return [nested(depth - 1)] if depth else []


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"header": {}}, "there is no variable `header`; there are headers"),
        ({"model": object()}, "the Python type object"),
        ({"model": nested(100)}, "nested 64 deep"),
    ],
)
def test_wrong_values(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        RuleSet(RULES).match(values)


def test_a_number_that_does_not_fit() -> None:
    with pytest.raises(OverflowError):
        RuleSet(RULES).match({"tokens_used": 2**64})


def test_every_mistake_is_told_with_its_place() -> None:
    with pytest.raises(ValueError, match="ERROR: one:1:1: ") as raised:
        RuleSet({"one": "tokens_usd > 1", "two": "model ="})
    text = str(raised.value)
    assert "tokens_used" in text
    assert "ERROR: two:1:7: " in text


@pytest.mark.parametrize("of_type", ["text", "list", "map(string)", "list(" * 100_000])
def test_wrong_types(of_type: str) -> None:
    with pytest.raises(ValueError, match=r"variable `it`: .* is not a type"):
        RuleSet({}, {"it": of_type})
