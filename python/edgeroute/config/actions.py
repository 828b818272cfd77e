"""Checks of what rules do: actions that go together, names that exist, fields and headers that may be changed."""

from edgeroute.config.diagnostics import suggest
from edgeroute.config.document import Document, Path, names_a_secret
from edgeroute.config.marks import Mapping
from edgeroute.config.models import split_target
from edgeroute.config.names import Names
from edgeroute.config.providers import LIKELY_CREDENTIALS, forbidden_header

ACTIONS = ("model", "pin", "set", "remove", "fallbacks", "cache", "tag")
"""What a rule may do, several together; `reject` stands alone."""

_ONLY_WITH_MODELS = "sticky says who gets the same of several models: model: {ONE: 80, OTHER: 20}"
_SAID = "what the client says is not changed by rules; a rule may reject it"
UNCHANGED = {
    "model": "choose it with the action model: NAME",
    "stream": "the client decides how it gets the reply",
    "stream_options": "it is edgeroute's own business to ask for the usage of a stream",
    "background": "responses in the background are not served",
    **dict.fromkeys(("messages", "input", "prompt"), _SAID),
}
"""Fields of the body that rules may not change, and what to do instead."""


def check_actions(document: Document, names: Names, rule: Path, label: str) -> None:
    """Reports every error in the actions of one rule, which messages call `label`."""
    node = document.find(rule)
    if not isinstance(node, Mapping):
        return
    _check_together(document, rule, label, node)
    _check_models(document, names, rule, label)
    _check_pin(document, names, rule)
    _check_changes(document, rule, label)


def _check_together(document: Document, rule: Path, label: str, node: Mapping) -> None:
    actions = [action for action in ACTIONS if action in node.entries]
    others = [name for name in (*ACTIONS, "continue") if name in node.entries]
    if "reject" in node.entries and others:
        message = f'{label} rejects, so "{others[0]}" has no effect'
        document.error((*rule, others[0]), message, "keep reject alone, or remove it", at_key=True)
    elif "reject" not in node.entries and not actions:
        advice = f"give it an action: model: NAME, reject: MESSAGE, or {', '.join(ACTIONS[1:-1])} or {ACTIONS[-1]}"
        document.error(rule, f"{label} does nothing", advice)
    for name in ("model", "set", "remove"):
        if document.is_empty((*rule, name)):
            advice = "fill it, or remove the line"
            document.error((*rule, name), f'"{name}" of {label} is empty', advice, at_key=True)
    if "sticky" in node.entries and not document.names(*rule, "model"):
        message = f'"sticky" of {label} has no effect: there are not several models'
        document.error((*rule, "sticky"), message, _ONLY_WITH_MODELS, at_key=True)


def _check_models(document: Document, names: Names, rule: Path, label: str) -> None:
    model = document.text((*rule, "model"))
    if model is not None:
        names.check_model(model, (*rule, "model"), "a rule")
    for name in document.names(*rule, "model"):
        names.check_model(name, (*rule, "model", name), "a rule", at_key=True)
    for path in ((*rule, "fallbacks"), (*rule, "fallbacks", "add")):
        for index, fallback in document.texts(path):
            names.check_model(fallback, (*path, index), "a fallback")
    if document.is_empty((*rule, "fallbacks", "add")):
        message = f"{label} adds no fallbacks"
        advice = "name some, or write fallbacks: [] for none at all"
        document.error((*rule, "fallbacks", "add"), message, advice, at_key=True)


def _check_pin(document: Document, names: Names, rule: Path) -> None:
    path: Path = (*rule, "pin")
    text = document.text(path)
    if text is None:
        return
    target = split_target(text)
    shown = document.shown(path, text)
    if not target.model and names.match(text) is not None:
        advice = "a rule pins a target, provider/model; to choose a model write model: NAME"
        document.error(path, f'"{shown}" is a model', advice)
    elif names.check_provider(target, path) and (not target.model or "*" in target.model[:-1]):
        advice = "a target is provider/model; a * may stand at its end, for the name that the client asks for"
        document.error(path, f'"{shown}" is not a target', advice)


def _check_changes(document: Document, rule: Path, label: str) -> None:
    changes = [
        ((*rule, "set", "body"), name, (*rule, "set", "body", name)) for name in document.names(*rule, "set", "body")
    ]
    removed: Path = (*rule, "remove", "body")
    changes += [(removed, name, (*removed, index)) for index, name in document.texts(removed)]
    _check_fields(document, changes, label)
    set_headers: Path = (*rule, "set", "headers")
    headers = [(set_headers, name, (*set_headers, name)) for name in document.names(*set_headers)]
    removed_headers: Path = (*rule, "remove", "headers")
    headers += [(removed_headers, name, (*removed_headers, index)) for index, name in document.texts(removed_headers)]
    _check_headers(document, headers, label)


def _check_fields(document: Document, changes: list[tuple[Path, str, Path]], label: str) -> None:
    seen: set[str] = set()
    for within, name, path in changes:
        at_key = within[-2] == "set"
        if name in UNCHANGED:
            message = f'"{name}" cannot be changed by {label}'
            document.error(path, message, UNCHANGED[name], at_key=at_key)
        elif name in seen:
            document.error(path, f'{label} changes "{name}" twice', "keep one of them", at_key=at_key)
        seen.add(name)


def _check_headers(document: Document, changes: list[tuple[Path, str, Path]], label: str) -> None:
    seen: set[str] = set()
    for within, written, path in changes:
        name, at_key = written.lower(), within[-2] == "set"
        forbidden = forbidden_header(name)
        if forbidden is not None:
            reason, advice = forbidden
            document.error(path, f'header "{written}" cannot be changed by {label}: {reason}', advice, at_key=at_key)
        elif name in LIKELY_CREDENTIALS or name in ("cookie", "set-cookie") or names_a_secret(name):
            message = f'header "{written}" cannot be changed by {label}: it holds a credential'
            advice = "credentials belong to a provider: api_key, or headers there"
            document.error(path, message, advice, at_key=at_key)
        elif name in seen:
            message = f'{label} changes the header "{written}" twice'
            document.error(path, message, "keep one of them; case does not matter", at_key=at_key)
        seen.add(name)


def check_scope(document: Document, rule: Path, label: str) -> None:
    """Reports a rule that is for somebody who does not exist, or for two."""
    if document.text((*rule, "virtual_key")) is not None and document.text((*rule, "team")) is not None:
        message = f"{label} is for a virtual key and for a team"
        document.error((*rule, "team"), message, "keep one of them; a virtual key is of one team anyway", at_key=True)
    for kind, section in (("virtual_key", "virtual_keys"), ("team", "teams")):
        path: Path = (*rule, kind)
        name, known = document.text(path), document.names(section)
        word = kind.replace("_", " ")
        if name is not None and name.startswith("sk-"):
            document.error(path, f"{label} names a {word} by the key itself", "write its name under virtual_keys")
        elif name is not None and name not in known:
            near = document.nearest(name, known)
            advice = suggest(near, known, f"{word}s are" if known else f"add it under {section}")
            document.error(path, f'unknown {word} "{document.shown(path, name)}"', advice)
