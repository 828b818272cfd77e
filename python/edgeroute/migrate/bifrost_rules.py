"""Conditions of Bifrost's routing rules (CEL) in our variables.

Bifrost splits `provider/model` before its rules run, we do not: `model == "x"` there also holds for a client
that asks for `openai/x`. Its names of teams and keys may have blanks, ours may not. Source: Bifrost's
documentation of routing rules.
"""

import re
from collections.abc import Iterable, Mapping

Names = Mapping[str, Mapping[str, list[str]]]
"""For a variable that names somebody (`team_name`, `customer_id` …): what each name of theirs is with us.

Ours are conditions' operands: `team_name` and the name, or `virtual_key_name` and the name.
"""

_TEXT = r"\"(?:[^\"\\]|\\.)*\"|'(?:[^'\\]|\\.)*'"
_PEOPLE = "team_name|team_id|customer_name|customer_id|virtual_key_name|virtual_key_id"
_PIECE = re.compile(
    rf"""(?xs)
    \b(?P<compared>model|provider|request_type|{_PEOPLE})\s*(?P<operator>==|!=)\s*(?P<text>{_TEXT})
    | (?P<first>{_TEXT})\s*(?P<between>==|!=)\s*(?P<second>model|provider|request_type|{_PEOPLE})\b(?!\s*[.(\[])
    | \b(?P<one>model|provider|request_type|{_PEOPLE})\s+in\s+\[\s*(?P<texts>(?:{_TEXT})(?:\s*,\s*(?:{_TEXT}))*)\s*\]
    | \bmodel\s*\.\s*startsWith\(\s*(?P<start>{_TEXT})\s*\)
    | \b(?P<map>headers|params)\s*\[\s*(?P<key>{_TEXT})\s*\]
    | (?P<literal>{_TEXT})
    | (?P<field>\.\s*[A-Za-z_]\w*)
    | \b(?P<word>[A-Za-z_]\w*)
    """
)
_BLANKS = re.compile(rf"(?s)(?P<literal>{_TEXT})|(?:\s|//[^\n]*)+")
_MISSING = {
    "budget_used": "budgets come later",
    "complexity_tier": "classification of requests comes later",
    "user_id": "there are no users besides virtual keys",
    "provider": "a rule does not know a provider; only comparing it with a name can be translated",
    **dict.fromkeys(("jev_tier", "jev_complexity", "jev_confidence"), "classification of requests comes later"),
    **dict.fromkeys(
        ("team_id", "customer_name", "customer_id", "virtual_key_id"),
        "only comparing it with a name, by == or != or in, can be translated",
    ),
}


class UntranslatableError(Exception):
    """A condition that uses what we lack; the message says what."""


def translate(condition: str, names: Names) -> str:
    """A condition in our variables. Raises UntranslatableError."""

    def replace(found: re.Match[str]) -> str:
        if found["compared"]:
            made = _compared(found["compared"], [_value(found["text"])], names)
            return made if found["operator"] == "==" else f"!({made})"
        if found["second"]:
            made = _compared(found["second"], [_value(found["first"])], names)
            return made if found["between"] == "==" else f"!({made})"
        if found["one"]:
            return _compared(found["one"], [_value(each) for each in re.findall(_TEXT, found["texts"])], names)
        if found["start"]:
            start = _value(found["start"])
            return f"(model.startsWith({_quoted(start)}) || model.contains({_quoted('/' + start)}))"
        if found["map"]:
            return f"{found['map']}[{_quoted(_value(found['key']).lower())}]"
        if found["word"] in _MISSING:
            raise UntranslatableError(f"it reads `{found['word']}`: {_MISSING[found['word']]}")
        return found.group()

    return _PIECE.sub(replace, _on_one_line(condition) or "true")


def only_model(condition: str) -> str | None:
    """The one model for which a condition can hold, if it says so: `model == "x" && …`."""
    condition = _on_one_line(condition)
    if re.search(r"\|\||\?|!", re.sub(_TEXT, '""', condition)):
        return None
    found = (each for each in _PIECE.finditer(condition) if each["compared"] == "model" and each["operator"] == "==")
    return next((_value(each["text"]) for each in found), None)


def _on_one_line(condition: str) -> str:
    """Without comments and line breaks; literals stay as they are."""
    return _BLANKS.sub(lambda found: found["literal"] or " ", condition).strip()


def _compared(variable: str, values: list[str], names: Names) -> str:
    if variable == "model":
        whole = [f"model == {_quoted(each)} || model.endsWith({_quoted('/' + each)})" for each in values]
        return f"({' || '.join(whole)})"
    if variable == "provider":
        return _any(f"model.startsWith({_quoted(each + '/')})" for each in values)
    if variable == "request_type":
        return _any(map(_request_type, values))
    operands = [each for value in values for each in names.get(variable, {}).get(value, [])]
    if not operands:
        raise UntranslatableError(f"nobody that was carried has the {variable} it asks for")
    groups: dict[str, list[str]] = {}
    for each in operands:
        ours, _, name = each.partition(" ")
        groups.setdefault(ours, []).append(_quoted(name))
    return _any(
        f"{ours} == {found[0]}" if len(found) == 1 else f"{ours} in [{', '.join(found)}]"
        for ours, found in groups.items()
    )


def _request_type(value: str) -> str:
    base = value.removesuffix("_stream")
    condition = f"request_type == {_quoted(base)}"
    return condition if base == value else f"({condition} && stream)"


def _any(conditions: Iterable[str]) -> str:
    found = list(conditions)
    return found[0] if len(found) == 1 else f"({' || '.join(found)})"


def _value(literal: str) -> str:
    return re.sub(r"\\(.)", r"\1", literal[1:-1])


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
