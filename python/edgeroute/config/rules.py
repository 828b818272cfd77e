"""Checks of the rules: each has one action and a name of its own, its condition compiles and can match."""

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from edgeroute import _native
from edgeroute.config.diagnostics import Severity, Span
from edgeroute.config.document import Document, Path
from edgeroute.config.marks import Mapping, Scalar, locate
from edgeroute.config.names import Names
from edgeroute.config.schema import Config

_USES = {
    "tokens_used": "tokens_per_minute",
    "requests_used": "requests_per_minute",
    "request": "requests_per_minute",
}
"""Variables that are 0 where no such limit applies."""

_PIECE = re.compile(
    r"""(?xs)
    //[^\n]*                                            # a comment
    | [bB]?[rR] (?P<raw>"{3}|'{3}|"|') .*? (?P=raw)
    | [bB]? (?P<quote>"{3}|'{3}|"|') (?:\\.|[^\\])*? (?P=quote)
    | `[^`]*`                                           # a quoted field
    | \.\s*[A-Za-z_][A-Za-z0-9_]*                       # a field
    | (?P<word>[A-Za-z0-9_]+)
    """
)


class RuleProblem(NamedTuple):
    """A finding of the rule compiler: the condition's place in the list, and bytes of its UTF-8."""

    condition: int
    code: str
    severity: Severity
    start: int
    end: int
    message: str
    labels: list[tuple[int, int, str]]
    advice: str | None


def rule_diagnostics(expressions: Sequence[str]) -> list[RuleProblem]:
    """Compiles conditions and says what is wrong with them."""
    return _problems(_native.check_rules(list(expressions)))


def check_rules(document: Document, names: Names) -> None:
    """Reports every error and warning about rules."""
    rules: list[Path] = [("rules", index) for index in range(len(document.items(("rules",))))]
    for rule in rules:
        _check_action(document, names, rule)
    _check_names(document, rules)
    _check_conditions(document, rules)
    _lint(document, rules)


def warn_unlimited(document: Document, config: Config) -> None:
    """Warns of conditions on how much of a limit is used, where nobody has such a limit."""
    owners = [*config.teams.values(), *config.virtual_keys.values()]
    for index in range(len(config.rules)):
        path: Path = ("rules", index, "when")
        text = document.text(path) or ""
        for name, start in _words(text):
            limit = _USES.get(name)
            if limit is None or any(getattr(owner.limits, limit) is not None for owner in owners):
                continue
            message = f"`{name}` is always 0: no team and no virtual key has {limit}"
            advice = "add the limit, or remove this from the condition"
            span = _within(document, path, start, start + len(name)) or document.span(path)
            document.report("warning", span, message, advice)


def _words(condition: str) -> Iterator[tuple[str, int]]:
    """The names in a condition with their places: not those in literals, comments, and after a dot."""
    for piece in _PIECE.finditer(condition):
        if piece["word"]:
            yield piece["word"], piece.start()


def _check_action(document: Document, names: Names, rule: Path) -> None:
    node = document.find(rule)
    if not isinstance(node, Mapping):
        return
    actions = [action for action in ("model", "reject") if action in node.entries]
    if len(actions) != 1:
        problem = "has two actions" if actions else "does nothing"
        advice = "give it one action: model: NAME, or reject: MESSAGE"
        document.error(rule, f"{_label(document, rule)} {problem}", advice)
    model = document.text((*rule, "model"))
    if model is not None:
        names.check_model(model, (*rule, "model"), "a rule")


def _check_names(document: Document, rules: list[Path]) -> None:
    lines: dict[str, int] = {}
    for rule in rules:
        path, name = (*rule, "name"), document.text((*rule, "name"))
        if name is not None and name in lines:
            message = f'a rule is called "{document.shown(path, name)}" already, on line {lines[name]}'
            document.error(path, message, "names become labels; give each rule its own")
        elif name is not None:
            lines[name], _ = document.source.position(document.span(path).start)


def _check_conditions(document: Document, rules: list[Path]) -> None:
    conditions = [(path, text) for rule in rules if (text := document.text(path := (*rule, "when"))) is not None]
    for problem in rule_diagnostics([text for _, text in conditions]):
        _report(document, *conditions[problem.condition], problem, "condition")


def _lint(document: Document, rules: list[Path]) -> None:
    """Warns of rules that compile and are probably not what is meant. They are in the order in which they are tried."""
    conditions = [(rule, text) for rule in rules if (text := document.text((*rule, "when"))) is not None]
    written = [
        (_name(document, rule), text, _scope(document, rule), document.text((*rule, "continue")) != "true")
        for rule, text in conditions
    ]
    for problem in _problems(_native.lint_rules(written)):
        rule, text = conditions[problem.condition]
        _report(document, (*rule, "when"), text, problem, _label(document, rule))


def _scope(document: Document, rule: Path) -> tuple[str, str] | None:
    """The variable that must have a certain text for the rule to take part."""
    for setting, variable in (("virtual_key", "virtual_key_name"), ("team", "team_name")):
        if (name := document.text((*rule, setting))) is not None:
            return variable, name
    return None


def _problems(found: Iterable[tuple[Any, ...]]) -> list[RuleProblem]:
    return [RuleProblem(*each) for each in found]


def _report(document: Document, path: Path, text: str, problem: RuleProblem, about: str) -> None:
    span, advice = _span(document, path, text, problem.start, problem.end), problem.advice
    labels: list[tuple[Span, str]] = []
    for start, end, label in problem.labels:
        if span is not None and (labelled := _span(document, path, text, start, end)) is not None:
            labels.append((labelled, label))
    if span is None:
        shown = f"the condition reads: {' '.join(text.split())}"
        span, advice = document.span(path), f"{advice}; {shown}" if advice else shown
    document.report(problem.severity, span, f"{about}: {problem.message}", advice, code=problem.code, labels=labels)


def _span(document: Document, path: Path, text: str, first: int, after: int) -> Span | None:
    encoded = text.encode()
    start = len(encoded[:first].decode(errors="ignore"))
    end = len(encoded[:after].decode(errors="ignore"))
    return _within(document, path, start, max(start + 1, end))


def _within(document: Document, path: Path, start: int, end: int) -> Span | None:
    """Where a part of a text stands in the file; None if it is written there in another way."""
    scalar = document.find(path)
    return locate(document.source, scalar, start, end) if isinstance(scalar, Scalar) else None


def _label(document: Document, rule: Path) -> str:
    return f'rule "{_name(document, rule)}"' if document.text((*rule, "name")) else _name(document, rule)


def _name(document: Document, rule: Path) -> str:
    path = (*rule, "name")
    name = document.text(path)
    return document.shown(path, name) if name else f"rule number {int(rule[-1]) + 1}"
