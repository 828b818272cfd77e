"""Checks of the rules: each has actions and a name of its own, its condition compiles and can match."""

import re
from collections import ChainMap
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from edgeroute import _native
from edgeroute.config.actions import check_actions, check_scope
from edgeroute.config.diagnostics import Severity, Span
from edgeroute.config.document import Document, Path
from edgeroute.config.marks import Mapping, Scalar, locate
from edgeroute.config.models import find_cycles
from edgeroute.config.names import Names
from edgeroute.config.schema import Config

_TEXT = r"""\"[^"\\]*\"|'[^'\\]*'"""
_ONLY_MODELS = re.compile(rf"model\s*==\s*(?:{_TEXT})|model\s+in\s*\[\s*(?:{_TEXT})(?:\s*,\s*(?:{_TEXT}))*\s*\]")
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
    return _problems(_native.check_rules(list(expressions), []))


_RESERVED = re.compile(
    "as|break|const|continue|else|false|for|function|if|import|in|let|loop|namespace|null|package|return|true|var|void"
    "|while"
)
"""Words that are no names in CEL."""


def check_rules(document: Document, config: Config, names: Names) -> None:
    """Reports every error and warning about rules."""
    rules: list[Path] = [("rules", index) for index in range(len(document.items(("rules",))))]
    for rule in rules:
        check_actions(document, names, rule, _label(document, rule))
        check_scope(document, rule, _label(document, rule))
    _check_names(document, rules)
    ordered = sorted(rules, key=lambda rule: (_rank(document, rule), _priority(document, rule)))
    _check_circles(document, config, ordered)
    definitions = _check_definitions(document, rules)
    _check_conditions(document, definitions, rules)
    if not document.has_errors:
        _check_failures(document, definitions, rules)
    _lint(document, definitions, ordered)


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


def _check_names(document: Document, rules: list[Path]) -> None:
    places: dict[str, int] = {}
    for rule in rules:
        path, name = (*rule, "name"), document.text((*rule, "name"))
        start = document.span(path).start
        if name is not None and name in places:
            place = document.source.place(places[name], start)
            message = f'a rule is called "{document.shown(path, name)}" already, on {place}'
            document.error(path, message, "names become labels; give each rule its own")
        elif name is not None:
            places[name] = start


def _rank(document: Document, rule: Path) -> int:
    """Rules for a virtual key are tried before those for a team, and those before all others."""
    return 0 if document.text((*rule, "virtual_key")) else 1 if document.text((*rule, "team")) else 2


def _priority(document: Document, rule: Path) -> int:
    text = document.text((*rule, "priority")) or "0"
    return int(text) if re.fullmatch("-?[0-9]{1,7}", text) else 0


def _scope(document: Document, rule: Path) -> tuple[str | None, str | None]:
    return document.text((*rule, "virtual_key")), document.text((*rule, "team"))


def _continues(document: Document, rule: Path) -> bool:
    return document.text((*rule, "continue")) == "true"


def _check_circles(document: Document, config: Config, rules: list[Path]) -> None:
    """Reports rules that certainly lead a model back to itself, for somebody: `model == "a"` to b, and b to a."""
    deciding: dict[tuple[str | None, str | None], dict[str, Path]] = {}
    for rule in rules:
        for model in _only_models(document.text((*rule, "when")) or ""):
            deciding.setdefault(_scope(document, rule), {}).setdefault(model, rule)
    reported: set[frozenset[Path]] = set()
    for key, team in deciding:
        of_key = config.virtual_keys.get(key or "")
        scopes = [(key, None), (None, of_key.team if of_key else team), (None, None)]
        decides = dict(ChainMap(*(deciding.get(scope, {}) for scope in scopes)))
        leads = {
            model: [to]
            for model, rule in decides.items()
            if _continues(document, rule) and (to := document.text((*rule, "model"))) is not None
        }
        for circle in find_cycles(leads):
            involved = frozenset(decides[model] for model in circle)
            if involved not in reported:
                reported.add(involved)
                message = f"rules lead round in a circle: {' → '.join(circle)}"
                advice = "take continue from one of them, or let it choose another model"
                document.error((*decides[circle[0]], "continue"), message, advice, at_key=True)


def _only_models(condition: str) -> list[str]:
    """The models for which a condition holds whatever else is asked: of `model == "a"` and `model in ["a", "b"]`."""
    found = _ONLY_MODELS.fullmatch(condition.strip())
    return [text[1:-1] for text in re.findall(_TEXT, found[0])] if found else []


def _check_definitions(document: Document, rules: list[Path]) -> dict[str, str]:
    """The definitions that can be used; reports names that cannot be, and that are not."""
    variables = {name.partition(".")[0] for name, *_ in _native.rule_variables()}
    definitions: dict[str, str] = {}
    for name in document.names("let"):
        path: Path = ("let", name)
        text = document.text(path)
        if name in variables or _RESERVED.fullmatch(name):
            reason = "a variable has this name" if name in variables else "it is a word of CEL"
            document.error(path, f'"{name}" cannot be defined: {reason}', "choose another name", at_key=True)
        elif text is not None:
            definitions[name] = text
    texts = (document.text((*rule, "when")) or "" for rule in rules)
    used = {word for text in (*texts, *definitions.values()) for word, _ in _words(text)}
    for name in definitions.keys() - used:
        message = f'"{name}" is defined, and no condition uses it'
        document.warn(("let", name), message, "use it, or remove it", at_key=True)
    return definitions


def _check_failures(document: Document, definitions: dict[str, str], rules: list[Path]) -> None:
    """Reports rules that reject and do not say what follows where their condition cannot be evaluated."""
    silent = [rule for rule in rules if _rejects(document, rule) and document.text((*rule, "on_error")) is None]
    conditions = [document.text((*rule, "when")) or "" for rule in silent]
    failures = _native.first_failures(conditions, list(definitions.items()))
    for rule, text, failure in zip(silent, conditions, failures, strict=True):
        if failure is not None:
            path: Path = (*rule, "when")
            span = _span(document, path, text, *failure) or document.span(path)
            message = f"{_label(document, rule)} rejects, and for some requests this cannot be evaluated"
            advice = "say what then: on_error: match rejects those too, on_error: no_match lets them through"
            document.report("error", span, message, advice)


def _rejects(document: Document, rule: Path) -> bool:
    node = document.find(rule)
    return isinstance(node, Mapping) and "reject" in node.entries


def _check_conditions(document: Document, definitions: dict[str, str], rules: list[Path]) -> None:
    conditions: list[tuple[Path, str]] = [(("let", name), text) for name, text in definitions.items()]
    written = [(path, text) for rule in rules if (text := document.text(path := (*rule, "when"))) is not None]
    conditions += written
    for problem in _problems(_native.check_rules([text for _, text in written], list(definitions.items()))):
        _report(document, *conditions[problem.condition], problem, "condition")


def _lint(document: Document, definitions: dict[str, str], rules: list[Path]) -> None:
    """Warns of rules that compile and are probably not what is meant. They are in the order in which they are tried."""
    conditions = [(rule, text) for rule in rules if (text := document.text((*rule, "when"))) is not None]
    written = [
        (_name(document, rule), text, _variable_of_scope(document, rule), not _continues(document, rule))
        for rule, text in conditions
    ]
    for problem in _problems(_native.lint_rules(written, list(definitions.items()))):
        rule, text = conditions[problem.condition]
        _report(document, (*rule, "when"), text, problem, _label(document, rule))


def _variable_of_scope(document: Document, rule: Path) -> tuple[str, str] | None:
    """The variable that must have a certain text for the rule to take part."""
    virtual_key, team = _scope(document, rule)
    if virtual_key is not None:
        return "virtual_key_name", virtual_key
    return None if team is None else ("team_name", team)


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
