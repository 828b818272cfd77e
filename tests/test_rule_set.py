"""`edgeroute.RuleSet`: conditions that are tried in order."""

import pickle
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import pytest

from edgeroute import EdgerouteError, RuleError, RuleSet
from edgeroute.rules import Explanation

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
        ({"headers": MappingProxyType({"X-Tier": "premium"})}, "premium"),
        (MappingProxyType({"headers": {"x-tier": "premium"}}), "premium"),
        ({"headers": {}, "tokens_used": 80.5}, "near-limit"),
        ({"headers": {"x-tiers": "premium"}, "tokens_used": 75, "prompt_tokens": 200_000, "max_tokens": 1}, "long"),
        ({"tokens_used": 75, "prompt_tokens": 10, "max_tokens": 1}, None),
        ({}, None),
    ],
)
def test_the_first_rule_that_holds(values: Mapping[str, Any], expected: str | None) -> None:
    rules = RuleSet(RULES)
    assert rules.first_match(values) == expected
    assert rules.explain(values).first_match == expected
    assert RuleSet(MappingProxyType(RULES)).first_match(values) == expected
    position = None if expected is None else list(RULES).index(expected)
    assert RuleSet(list(RULES.values())).first_match(values) == position


def test_one_text_is_a_list_of_one() -> None:
    rules = RuleSet("tokens_used > 75")
    assert len(rules) == 1
    assert rules.evaluate_batch([{"tokens_used": 80}, {"tokens_used": 10}, {}]) == [0, None, None]


def test_no_rules() -> None:
    assert RuleSet([]).first_match({}) is None
    assert RuleSet({}).evaluate({}) == {}
    assert str(RuleSet([]).explain({})) == ""


def test_every_outcome() -> None:
    rules = RuleSet(RULES)
    assert rules.evaluate({"headers": {}, "tokens_used": 10, "prompt_tokens": 150_000, "max_tokens": 60_000}) == {
        "premium": None,
        "near-limit": False,
        "long": True,
    }


def test_many_at_once() -> None:
    batch = [{"tokens_used": used} for used in range(70, 80)]
    assert RuleSet(RULES).evaluate_batch(batch) == [None] * 6 + ["near-limit"] * 4
    assert RuleSet(RULES).evaluate_batch(iter(batch[:2])) == [None, None]
    with pytest.raises(ValueError, match="`tokens_used`"):
        RuleSet(RULES).evaluate_batch([*batch, {"tokens_used": "many"}])


EXPLAINED = """\
premium     cannot be evaluated
error: there is no such key
 --> line 1, column 1
1 | headers["x-tier"] == "premium"
  | ^^^^^^^^^^^^^^^^^
near-limit  holds; the first
long        does not hold"""


def test_an_explanation() -> None:
    explanation = RuleSet(RULES).explain({"headers": {}, "tokens_used": 76, "prompt_tokens": 1, "max_tokens": 1})
    assert isinstance(explanation, Explanation)
    assert str(explanation) == EXPLAINED
    premium, near_limit, long = explanation.outcomes
    assert (near_limit.rule, near_limit.condition, near_limit.holds) == ("near-limit", RULES["near-limit"], True)
    assert (long.holds, long.diagnostic) == (False, None)
    assert premium.holds is None
    assert premium.diagnostic is not None
    assert (premium.diagnostic.rule, premium.diagnostic.start, premium.diagnostic.end) == ("premium", 0, 17)


def test_every_mistake_is_told_with_its_place() -> None:
    conditions = ["tokens_usd > 1", "model ==\n  'ä' + path + 1", "headrs['x'] == pth", "stream"]
    with pytest.raises(RuleError) as raised:
        RuleSet(conditions)
    places = [(each.rule, each.line, each.column) for each in raised.value.diagnostics]
    assert places == [(0, 1, 1), (1, 2, 3), (2, 1, 1), (2, 1, 16)]
    texts = [conditions[int(each.rule or 0)][each.start : each.end] for each in raised.value.diagnostics]
    assert texts == ["tokens_usd", "'ä' + path + 1", "headrs", "pth"]
    assert raised.value.diagnostics[0].help is not None
    assert "tokens_used" in raised.value.diagnostics[0].help
    assert raised.value.diagnostics[0].text in str(raised.value)
    assert "rule 0: error: " in str(raised.value)


def test_errors_name_the_rule() -> None:
    with pytest.raises(ValueError, match="rule `one`: error: ") as raised:
        RuleSet({"one": "model =", "two": "stream"})
    assert isinstance(raised.value, EdgerouteError)


def test_an_error_can_be_sent_to_another_process() -> None:
    with pytest.raises(RuleError) as raised:
        RuleSet("model =")
    again = pickle.loads(pickle.dumps(raised.value))
    assert (type(again), again.diagnostics, str(again)) == (RuleError, raised.value.diagnostics, str(raised.value))


def test_what_no_rule_reads_is_not_looked_at() -> None:
    class Unreadable(dict[str, str]):
        def __iter__(self) -> Any:
            raise AssertionError

    headers = {"x-tier": "premium", "odd": object()}
    rules = RuleSet({"premium": RULES["premium"]})
    assert rules.first_match({"headers": headers, "model": object(), "params": Unreadable()}) == "premium"


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"header": {}}, "there is no variable `header`; there are headers"),
        ({1: {}}, "there is no variable `1`"),
        ({"headers": {"x-tier": 1}}, "variable `headers`: this is to be of type string; the Python type int is not"),
        ({"headers": "x-tier"}, "variable `headers`: .* map"),
        ({"headers": None}, "variable `headers`: .* NoneType"),
        ({"tokens_used": "80"}, "variable `tokens_used`: .* double; .* str"),
        ({"tokens_used": object()}, "object"),
        ({"tokens_used": None}, "NoneType"),
        ({"tokens_used": True}, "bool"),
        ({"tokens_used": 2**64}, "64 bits"),
        ({"prompt_tokens": 2**63}, "64 bits"),
        ({"prompt_tokens": 1.0}, "int; .* float"),
        ({"headers": {"x-tier": "\ud800"}}, "surrogates"),
    ],
)
def test_wrong_values(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message) as raised:
        RuleSet(RULES).first_match(values)
    assert not isinstance(raised.value, RuleError)


def test_an_exception_of_a_mapping_is_raised_as_it_is() -> None:
    class Broken(Mapping[str, str]):
        def __getitem__(self, key: str) -> str:
            raise RuntimeError("broken")

        def __iter__(self) -> Any:
            return iter(["x-tier"])

        def __len__(self) -> int:
            return 1

    with pytest.raises(RuntimeError, match="broken"):
        RuleSet(RULES).first_match({"headers": Broken()})


@pytest.mark.parametrize("rules", [1, None, [1], {"one": 1}, {1: "stream"}])
def test_rules_are_texts(rules: Any) -> None:
    with pytest.raises(TypeError):
        RuleSet(rules)


@pytest.mark.parametrize("of_type", ["text", "list", "map(string)", "list(" * 100_000])
def test_wrong_types(of_type: str) -> None:
    with pytest.raises(ValueError, match=r"variable `it`: .* is not a type"):
        RuleSet({}, {"it": of_type})


@pytest.mark.parametrize("name", ["", "a-b", "1a", "a..b", "ä", "a b"])
def test_wrong_names(name: str) -> None:
    with pytest.raises(ValueError, match="cannot be the name of a variable"):
        RuleSet([], {name: "int"})


def test_variables_of_ones_own() -> None:
    alarms = RuleSet({"hot": "celsius > limits.high"}, {"celsius": "double", "limits.high": "int"})
    assert alarms.first_match({"celsius": 41.5, "limits.high": 40}) == "hot"
    assert alarms.first_match({"celsius": 39, "limits.high": 40}) is None
