"""Runs policy tests: the decision that the router itself makes, as `edgeroute explain` shows it, and nothing sent."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import orjson

from edgeroute._native import explain
from edgeroute.config.normalise import normalise, with_names_as_keys
from edgeroute.config.values import Json
from edgeroute.policy_tests.loading import CREDENTIAL_HEADERS, Suite
from edgeroute.policy_tests.schema import Case, Expectation, Refusal, Request

_CHAT = "/v1/chat/completions"
_HELLO = Json('[{"role":"user","content":"Hello"}]')
_AROUND = 7
"""Tokens that the estimate adds to the text of a single message, which counts a quarter of its bytes."""
_PHASES = {"refusal": "", "target": "place", "targets": "place"}
"""Whose notes tell why a field is as it is; elsewhere it is the rules, and for a refusal whatever came last."""


@dataclass(frozen=True, slots=True)
class Difference:
    """A field that is not as expected. Values are those of JSON."""

    field: str
    expected: Any
    found: Any


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a case; `reasons` are the notes of `edgeroute explain` that tell why it failed."""

    name: str
    line: int
    differences: tuple[Difference, ...]
    reasons: tuple[str, ...]

    @property
    def passed(self) -> bool:
        """Whether everything is as expected."""
        return not self.differences


def run(suite: Suite) -> list[Outcome]:
    """The outcome of each case. Cases that name a key and those that bring a credential are decided apart."""
    cases = list(zip(suite.tests.cases, suite.lines, strict=True))
    named = [_key(case.request, suite) is not None for case, _ in cases]
    written = [_write(case.request, _key(case.request, suite)) for case, _ in cases]
    explained: dict[int, Any] = {}
    for by_name in {*named}:
        places = [place for place, each in enumerate(named) if each == by_name]
        normalised = (
            normalise(with_names_as_keys(suite.loaded.config), suite.environ) if by_name else suite.loaded.normalised
        )
        decisions = explain(normalised, [written[place] for place in places])
        explained |= zip(places, map(json.loads, decisions), strict=True)
    return [_outcome(case, line, explained[place]) for place, (case, line) in enumerate(cases)]


def _key(request: Request, suite: Suite) -> str | None:
    """The name of the virtual key that asks; None if a header has its credential, or nobody's."""
    if any(header.lower() in CREDENTIAL_HEADERS for header in request.headers):
        return None
    return request.key if request.key is not None else suite.tests.key


def _write(request: Request, key: str | None) -> bytes:
    """The request as `edgeroute explain` reads it."""
    headers = {name: value.reveal() for name, value in request.headers.items()}
    if key is not None:
        headers["authorization"] = f"Bearer {key}"
    facts = request.facts
    return orjson.dumps(
        {
            "method": request.method,
            "path": request.path or _CHAT,
            "headers": headers,
            "peer": request.peer,
            "seed": request.seed,
            "facts": {
                "tokens_used": float(facts.tokens_used),
                "requests_used": float(facts.requests_used),
                "turn": facts.turn,
                "now": str(facts.now),
            },
            "body": orjson.Fragment(_body(request)),
        }
    )


def _body(request: Request) -> str:
    """JSON. On the usual path a body without messages gets one; other paths want other fields, so nothing is added."""
    fields = dict(request.body)
    if request.model is not None:
        fields["model"] = Json.quote(request.model)
    if request.messages is not None:
        fields["messages"] = request.messages
    elif request.prompt_tokens is not None:
        text = "long" * (request.prompt_tokens - _AROUND)
        fields["messages"] = Json(f'[{{"role":"user","content":"{text}"}}]')
    elif request.path is None and "messages" not in fields:
        fields["messages"] = _HELLO
    return f"{{{','.join(f'{Json.quote(name)}:{value}' for name, value in fields.items())}}}"


def _outcome(case: Case, line: int, explained: dict[str, Any]) -> Outcome:
    differences = tuple(_differences(case.expect, explained["decision"]))
    phases = {_PHASES.get(each.field.partition(".")[0], "match") for each in differences}
    reasons: list[dict[str, str]] = explained["reasons"]
    told = [each for place, each in enumerate(reasons, 1) if each["phase"] in phases or (
        "" in phases and place == len(reasons))]  # fmt: skip
    return Outcome(case.name, line, differences, tuple(f"{each['phase']}: {each['note']}" for each in told))


def _differences(expect: Expectation, decision: dict[str, Any]) -> Iterator[Difference]:
    refusal = decision.get("refusal")
    refused = refusal is not None and expect.refusal is None
    if refusal is not None and refused:
        yield Difference("refusal", None, f"{refusal['status']} {refusal['code']}: {refusal['message']}")
    for field, expected, found in _compared(expect, decision):
        if refused and field != "rules":
            break  # the rest differs only because of the refusal
        if expected is not None and expected != found:
            yield Difference(field, expected, found)


def _compared(expect: Expectation, decision: dict[str, Any]) -> Iterator[tuple[str, Any, Any]]:
    """Field, what is expected of it (None: nothing), and what was decided."""
    last = decision.get("rule")
    acted = [*decision.get("continued", ()), *([last] if last is not None else ())]
    yield "rules", [expect.rules] if isinstance(expect.rules, str) else expect.rules, acted
    yield "model", expect.model, decision.get("model")
    targets = list(dict.fromkeys(candidate.partition(" at ")[0] for candidate in decision["candidates"]))
    yield "target", expect.target, targets[0] if targets else None
    yield "targets", expect.targets, targets
    yield "tags", expect.tags, decision.get("tags", [])
    body, headers = decision.get("body", {}), decision.get("headers", {})
    if expect.set is not None:
        wanted = {name: json.loads(value) for name, value in expect.set.body.items()}
        values = {name.lower(): value.reveal() for name, value in expect.set.headers.items()}
        yield "set.body", wanted, {name: value for name, value in body.items() if value is not None}
        # A value that is not the expected one may be a credential.
        found = {name: value for name, value in headers.items() if value is not None}
        yield "set.headers", values, {n: v if values.get(n) == v else "(another)" for n, v in found.items()}
    if expect.remove is not None:
        yield "remove.body", sorted(expect.remove.body), sorted(name for name, value in body.items() if value is None)
        names = sorted(name.lower() for name in expect.remove.headers)
        yield "remove.headers", names, sorted(name for name, value in headers.items() if value is None)
    if expect.refusal is not None:
        yield from _compared_refusal(expect.refusal, decision.get("refusal"))


def _compared_refusal(expect: Refusal, found: dict[str, Any] | None) -> Iterator[tuple[str, Any, Any]]:
    if found is None:
        yield "refusal", "a refusal", None
        return
    yield "refusal.status", expect.status, found["status"]
    yield "refusal.code", expect.code, found["code"]
    yield "refusal.message", expect.message, found["message"]
