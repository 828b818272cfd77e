"""Requests with canaries, what must become of each, and what its client gets to see."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from canaries import canary, core

KEY = canary("virtual key")
LIMITED = canary("virtual key with a limit")
OF_TEAM = canary("virtual key of a team")
UNKNOWN_KEY = canary("virtual key that is not known")
PROVIDERS = {"openai": "env", "anthropic": "file"}
CHAT, COMPLETIONS, RESPONSES, EMBEDDINGS = "/v1/chat/completions", "/v1/completions", "/v1/responses", "/v1/embeddings"
MESSAGES, COUNT = "/v1/messages", "/v1/messages/count_tokens"

UNKNOWN_MODEL = "".join(
    (core("unknown model, its first characters"), "\x1b[31m\r\n", "x" * 80, core("unknown model, beyond 80 characters"))
)
UNKNOWN_PATH = "/" + core("path, its first characters") + "x" * 80 + core("path, beyond 80 characters")

PROMPTS: dict[str, Any] = {
    "messages": [
        {"role": "user", "content": canary("prompt", "the prompt {}")},
        {"role": "assistant", "content": canary("tool arguments", '{{"city": "{}"}}')},
    ],
    "metadata": {"system": canary("system prompt", "be {}")},
    "max_tokens": 9,
}
QUESTION: dict[str, Any] = {
    "model": "kept",
    "messages": [{"role": "user", "content": canary("question that is kept", "what is {}?")}],
}
FIELDS: dict[str, dict[str, Any]] = {
    COMPLETIONS: {"prompt": [canary("prompt of a completion", "complete {}")]},
    RESPONSES: {
        "input": [{"role": "user", "content": canary("input of a response", "answer {}")}],
        "instructions": canary("instructions of a response", "be {}"),
    },
    EMBEDDINGS: {"input": canary("embeddings input", "embed {}")},
}
"""What is asked at each path; `PROMPTS` at the others."""


@dataclass(frozen=True)
class Case:
    """A request, what must become of it, and the canaries that its client gets to see; no others."""

    name: str
    model: str
    status: int
    error: str | None = None
    sees: frozenset[str] = frozenset()
    path: str = CHAT
    key: str = KEY
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    query: str = canary("query parameter", "fine-{}")
    body: bytes | None = None
    stream: bool = False


def _sees(*names: str) -> frozenset[str]:
    return frozenset(names)


_ANSWER = _sees("answer", "header of a provider")
_EVENTS = _sees("answer in events", "header of a provider")
_ERROR = _sees("error of a provider", "header of a provider")


def _of_each_dialect() -> Iterator[Case]:
    for dialect, path in (("openai", CHAT), ("anthropic", MESSAGES)):
        provider = PROVIDERS[dialect]
        for stream in (False, True):
            for model, status, error, sees in (
                ("answer", 200, None, _EVENTS if stream else _ANSWER),
                ("cut", 200 if stream else 502, "cut" if stream else "upstream_cut", _EVENTS if stream else _sees()),
                ("error-400", 400, None, _ERROR),
                ("error-429", 429, None, _ERROR),
                ("error-500", 500, None, _ERROR),
                ("error-401", 502, "upstream_authentication", _sees()),
                ("error-403", 502, "upstream_authentication", _sees()),
                ("error-400-credential", 400, "upstream_error", _sees()),
                ("error-500-credential", 502, "upstream_error", _sees()),
                ("error-400-header", 400, "upstream_error", _sees()),
                ("error-429-header", 429, "upstream_error", _sees()),
                ("error-500-header", 502, "upstream_error", _sees()),
                ("error-400-events", 400, "upstream_error", _sees()),
                ("error-in-html", 502, "upstream_error", _sees()),
                ("text", 502, "upstream_protocol_error", _sees()),
                ("garbage", 502, "upstream_protocol_error", _sees()),
                ("garbage-in-the-head", 502, "upstream_protocol_error", _sees()),
            ):
                name = f"{dialect}-{model}{'-stream' * stream}"
                yield Case(name, f"{provider}/{model}", status, error, sees, path=path, stream=stream)


def _of_other_endpoints() -> Iterator[Case]:
    for path, provider, streams in ((COMPLETIONS, "env", True), (RESPONSES, "env", True), (COUNT, "file", False)):
        for stream in (False, True) if streams else (False,):
            for model, status, error, sees in (
                ("answer", 200, None, _EVENTS if stream else _ANSWER),
                ("cut", 200 if stream else 502, "cut" if stream else "upstream_cut", _EVENTS if stream else _sees()),
                ("error-400", 400, None, _ERROR),
                ("error-400-credential", 400, "upstream_error", _sees()),
            ):
                name = f"{path.rpartition('/')[2]}-{model}{'-stream' * stream}"
                yield Case(name, f"{provider}/{model}", status, error, sees, path=path, stream=stream)


CASES = [
    *_of_each_dialect(),
    *_of_other_endpoints(),
    Case("background", "env/answer", 400, "invalid_field", path=RESPONSES,
         body=json.dumps({"model": "env/answer", **FIELDS[RESPONSES], "background": True}).encode()),
    Case("literal", "literal/answer", 200, sees=_ANSWER),
    Case("embeddings", "env/answer", 200, sees=_ANSWER, path=EMBEDDINGS),
    # Several credentials, tunnels
    Case("several-used-up", "several/error-429", 429, sees=_ERROR),
    Case("several-repeated", "several/error-400-credential", 400, "upstream_error"),
    Case("tunnel", "tunnel/answer", 200, sees=_ANSWER),
    Case("tunnel-stream", "tunnel/answer", 200, sees=_EVENTS, stream=True),
    Case("tunnel-repeated", "tunnel/error-400-credential", 400, "upstream_error"),
    Case("tunnel-of-the-environment", "tunnel-of-the-environment/answer", 200, sees=_ANSWER),
    Case("tunnel-refused", "tunnel-refused/answer", 502, "upstream_unreachable"),
    Case("second-try", "second-try", 200, sees=_ANSWER),
    Case("refused-connection", "dead/answer", 502, "upstream_unreachable"),
    Case("tls-failure", "tls/answer", 502, "upstream_unreachable"),
    Case("silence", "env/silence", 504, "upstream_timeout"),
    Case("mock", "embedded/mock-tokens-3", 200),
    Case("mock-error", "embedded/mock-status-401", 502, "upstream_authentication"),
    # Refusals
    Case("unknown-key", "env/answer", 401, "invalid_api_key", key=UNKNOWN_KEY),
    Case("second-credential", "env/answer", 401, "invalid_api_key", key=""),
    Case("not-of-the-team", "env/answer", 403, "model_not_allowed", key=OF_TEAM),
    Case("unknown-model", UNKNOWN_MODEL, 404, "model_not_found", _sees("unknown model, its first characters")),
    Case("unknown-path", "env/answer", 404, "unknown_path", _sees("path, its first characters"), path=UNKNOWN_PATH),
    Case("other-dialect", "file/answer", 400, "no_target_for_dialect"),
    Case("too-large", "env/answer" + " " * 5_000, 413, "body_too_large"),
    Case("media-type", "env/answer", 415, "unsupported_media_type", _sees("media type"),
         headers={"content-type": canary("media type", "text/{}")}),
    Case("not-json", "", 400, "invalid_body", body=canary("prompt", '{{"model": "x", "messages": {}').encode()),
    Case("twice", "", 400, "invalid_body", _sees("name of a field"),
         body=canary("name of a field", '{{"model": "x", "{0}": 1, "{0}": 2}}').encode()),
    Case("no-text", "", 400, "invalid_field", body=canary("prompt", '{{"model": ["{}"]}}').encode()),
    Case("rule-rejects", "env/answer", 403, "rejected_by_rule",
         headers={"x-purpose": canary("header that a rule reads", "reject-{}")}),
    Case("rule-reads-query", "env/answer", 418, "rejected_by_rule", query=canary("query parameter", "teapot-{}")),
    Case("rule-fails", "env/answer", 200, sees=_ANSWER, headers={"x-number": canary("header that a rule reads")}),
]  # fmt: skip
