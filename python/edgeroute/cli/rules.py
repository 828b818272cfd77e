"""`edgeroute rules`."""

import json
from pathlib import Path
from typing import Any

import click

from edgeroute._native import explain_rules
from edgeroute.cli.options import config_option, json_option, load_or_refuse
from edgeroute.cli.output import Screen, echo_json, table

_STRATEGIES = {
    "scan": "one after the other: there is only one, or none has a value to be looked up by",
    "hash": "by index: each rule is looked up by the values that it needs",
    "bits": "by index: a table of bits tells which rules the request's values do not rule out",
}
_MOST_VALUES = 5
_NOTHING = "nothing: no == or in decides alone that it does not match"


@click.group("rules", epilog="Example: edgeroute rules explain -c edgeroute.yaml")
def command() -> None:
    """Look into the rules of a configuration."""


@command.command("explain", epilog="Example: edgeroute rules explain -c edgeroute.yaml")
@config_option
@json_option
def explain(path: Path | None, as_json: bool) -> None:
    """Show how the rules are searched, in the order in which they are tried.

    Of several rules, one that needs a value, such as model == "smart", is found by an index. One that does not is
    tried for every request; so is one with an absent value where that could be an error to report.
    """
    found = json.loads(explain_rules(load_or_refuse(path).normalised))
    if as_json:
        echo_json(found)
    else:
        click.echo(render(found, Screen.current()))


def render(found: dict[str, Any], screen: Screen) -> str:
    """A sentence on the strategy and a table of the rules."""
    rules: list[dict[str, Any]] = found["rules"]
    if not rules:
        return "there are no rules"
    always = sum(each["guard"] is None for each in rules)
    counts = [
        f"{_count(len(rules), 'rule')}, searched {_STRATEGIES[found['strategy']]}",
        f"{always} without a value to be looked up by",
        f"{_count(found['predicates'], 'different test')}, {found['shared']} shared by several rules",
    ]
    rows = [(each["name"], _guard(each["guard"]), _absent(each)) for each in rules]
    by = "could be looked up by" if found["strategy"] == "scan" else "looked up by"
    return "\n".join([*counts, "", table(screen, ("rule", by, "if absent"), rows)])


def _count(number: int, word: str) -> str:
    return f"{number} {word}{'s' * (number != 1)}"


def _guard(guard: dict[str, Any] | None) -> str:
    if guard is None:
        return _NOTHING
    values: list[str] = guard["values"]
    if len(values) == 1:
        return f"{guard['attribute']} == {values[0]}"
    more = f", … {len(values) - _MOST_VALUES} more" if len(values) > _MOST_VALUES else ""
    return f"{guard['attribute']} in [{', '.join(values[:_MOST_VALUES])}{more}]"


def _absent(rule: dict[str, Any]) -> str:
    if rule["guard"] is None:
        return ""
    return "tried" if rule["tried_if_absent"] else "passed over"
