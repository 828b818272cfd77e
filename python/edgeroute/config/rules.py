"""Checks of the rules: each has actions and a name of its own, its condition compiles and can match."""

import re
from collections import ChainMap
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from edgeroute import _native
from edgeroute.config.actions import check_actions, check_scope
from edgeroute.config.diagnostics import Span
from edgeroute.config.document import Document, Path
from edgeroute.config.marks import Scalar, locate
from edgeroute.config.models import find_cycles
from edgeroute.config.names import Names
from edgeroute.config.schema import Config

_TEXT = r"""\"[^"\\]*\"|'[^'\\]*'"""
_ONLY_MODELS = re.compile(rf"model\s*==\s*(?:{_TEXT})|model\s+in\s*\[\s*(?:{_TEXT})(?:\s*,\s*(?:{_TEXT}))*\s*\]")
_NEVER = {"false", "!true"}
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
    """An error of the rule compiler: the condition's place in the list, and bytes of its UTF-8."""

    condition: int
    start: int
    end: int
    message: str
    advice: str | None


def rule_diagnostics(expressions: Sequence[str]) -> list[RuleProblem]:
    """Compiles conditions and says what is wrong with them."""
    return [RuleProblem(*problem) for problem in _native.check_rules(list(expressions))]


def check_rules(document: Document, config: Config, names: Names) -> None:
    """Reports every error and warning about rules."""
    rules: list[Path] = [("rules", index) for index in range(len(document.items(("rules",))))]
    for rule in rules:
        check_actions(document, names, rule, _label(document, rule))
        check_scope(document, rule, _label(document, rule))
    _check_names(document, rules)
    ordered = sorted(rules, key=lambda rule: (_rank(document, rule), _priority(document, rule)))
    _check_order(document, ordered)
    _check_circles(document, config, ordered)
    _check_conditions(document, [(*rule, "when") for rule in rules])


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


def _check_order(document: Document, rules: list[Path]) -> None:
    """Warns of rules that an earlier one outruns: one that always matches, or has the same condition.

    The rules are in the order in which they are tried. One that continues lets others match after it.
    """
    outruns: dict[tuple[str | None, str | None], dict[str, str]] = {}
    for rule in rules:
        when, label = document.text((*rule, "when")), _label(document, rule)
        if when is None:
            continue
        condition = when.strip()
        earlier = outruns.setdefault(_scope(document, rule), {})
        if "true" in earlier:
            message = f"{label} can never match: {earlier['true']} before it always does"
            document.warn(rule, message, "move it up, or remove it")
        elif "".join(condition.split()) in _NEVER:
            message = f"{label} can never match: its condition is always false"
            document.warn((*rule, "when"), message, "change the condition, or remove the rule")
        elif condition in earlier:
            message = f"{label} can never match: {earlier[condition]} has the same condition"
            document.warn((*rule, "when"), message, "change the condition, or remove the rule")
        elif not _continues(document, rule):
            earlier[condition] = label


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


def _check_conditions(document: Document, paths: list[Path]) -> None:
    conditions = [(path, text) for path in paths if (text := document.text(path)) is not None]
    if not conditions:
        return
    for problem in rule_diagnostics([text for _, text in conditions]):
        path, text = conditions[problem.condition]
        span, advice = _span(document, path, text, problem), problem.advice
        if span is None:
            shown = f"the condition reads: {' '.join(text.split())}"
            span, advice = document.span(path), f"{advice}; {shown}" if advice else shown
        document.report("error", span, f"condition: {problem.message}", advice)


def _span(document: Document, path: Path, text: str, problem: RuleProblem) -> Span | None:
    encoded = text.encode()
    start = len(encoded[: problem.start].decode(errors="ignore"))
    end = len(encoded[: problem.end].decode(errors="ignore"))
    return _within(document, path, start, max(start + 1, end))


def _within(document: Document, path: Path, start: int, end: int) -> Span | None:
    """Where a part of a text stands in the file; None if it is written there in another way."""
    scalar = document.find(path)
    return locate(document.source, scalar, start, end) if isinstance(scalar, Scalar) else None


def _label(document: Document, rule: Path) -> str:
    path = (*rule, "name")
    name = document.text(path)
    return f'rule "{document.shown(path, name)}"' if name else f"rule number {int(rule[-1]) + 1}"
