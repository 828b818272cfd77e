"""`edgeroute cache warm`: answers that were written down come into the cache, or it says why not."""

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from command_line import edgeroute

CONFIG = f"""
cache: {{path: answers, size: 8MiB}}
providers: {{p: {{dialect: openai-chat, url: "http://127.0.0.1:1/v1"}}}}
models:
  fast: {{targets: [p/a], cache: {{mode: exact, ttl: 1h}}}}
  embed: {{targets: [p/e], cache: exact}}
  plain: p/a
virtual_keys:
  one: {{hash: "sha256:{hashlib.sha256(b"sk-one").hexdigest()}"}}
"""
SECOND = f'  two: {{hash: "sha256:{hashlib.sha256(b"sk-two").hexdigest()}"}}\n'
RESPONSE: dict[str, Any] = {
    "object": "chat.completion",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "hi"}, "finish_reason": "stop"}],
}
CUT: dict[str, Any] = {**RESPONSE, "choices": [{**RESPONSE["choices"][0], "finish_reason": "length"}]}
EVENTS = (
    'data: {"object":"chat.completion.chunk","choices":[{"index":0,"delta":{"content":"hi"},"finish_reason":"stop"}]}'
    "\n\ndata: [DONE]\n\n"
)
VECTORS = {"object": "list", "data": [{"index": 0, "embedding": [0.5]}]}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "edgeroute.yaml").write_text(CONFIG)
    return tmp_path


def line(content: str = "hello", model: str = "fast", **changes: Any) -> str:
    request = {"model": model, "messages": [{"role": "user", "content": content}], **changes.pop("request", {})}
    return json.dumps({"request": request, "response": RESPONSE, **changes})


def warm(folder: Path, *lines: str) -> tuple[int, str, str]:
    (folder / "answers.jsonl").write_text("\n".join(lines))
    return edgeroute("cache", "warm", "answers.jsonl", folder=folder)


def check(folder: Path, written: str, reason: str | None) -> None:
    code, out, error = warm(folder, written)
    if reason is None:
        assert (code, error) == (0, ""), error
        assert out == f"kept 1 answer in {folder / 'answers'}\n"
    else:
        assert code == 1
        assert error.startswith("answers.jsonl:1: not kept: ")
        assert reason in error


def test_what_is_kept_and_what_is_not(folder: Path) -> None:
    check(folder, line(), None)
    check(folder, line(ttl="5m", virtual_key="one", headers={"x-team": "a"}), None)
    check(folder, line(request={"stream": True}, response=EVENTS), None)
    embedding = {"path": "/v1/embeddings", "request": {"model": "embed", "input": "a"}, "response": VECTORS}
    check(folder, json.dumps(embedding), None)
    for written, reason in (
        (line(response=CUT), "its response does not say that it is complete"),
        (line(response={}), "does not say that it is complete"),
        (line(response=EVENTS), "does not say that it is complete"),
        (line(request={"stream": True}), "does not say that it is complete"),
        (line(response=RESPONSE | {"x": "y" * (1 << 20)}), "its response is larger than 1024 KiB"),
        (line(response=RESPONSE | {"x": "y" * (300 << 10)}), "it takes more than 1/32 of the cache's size"),
        (json.dumps(embedding | {"request": {"model": "embed", "input": ["a"]}}), "write one line per text"),
        (line(request={"temperature": 1.5}), "it is not kept: bypass; reason=temperature"),
        (line(headers={"cache-control": "no-store"}), "reason=no-store"),
        (line(model="plain"), "its model has no cache"),
        (line(model="other"), "the router would refuse the request: "),
        (line(path="/v1/nothing"), "the router would refuse the request: "),
        (line(virtual_key="other"), 'there is no virtual key "other"'),
        (line(ttl="soon"), '"ttl" must be a time such as 500ms'),
        (line(wait=1), "it is no answer: Object contains unknown field `wait`"),
        ("{}", "Object missing required field `request`"),
        ("nonsense", "it is no answer: "),
        ('{"request": 1, "response": 2}', "the router would refuse the request"),
        ("x" * (3 << 20), "the line is longer than 2 MiB"),
    ):
        check(folder, written, reason)


def test_several_keys_and_lines(folder: Path) -> None:
    (folder / "edgeroute.yaml").write_text(CONFIG + SECOND)
    lines = [line(f"{number}", virtual_key="one") for number in range(600)]
    lines[300] = line("nobody's")
    lines[400:400] = ["", "   "]
    code, out, error = warm(folder, *lines)
    assert (code, out) == (1, f"kept 599 answers in {folder / 'answers'}\n")
    assert error == 'answers.jsonl:301: not kept: "virtual_key" is missing: name whose answer it is\n'
    code, out, _ = edgeroute("cache", "warm", "-", "--json", folder=folder, given="\n" + line("nobody's"))
    reason = '"virtual_key" is missing: name whose answer it is'
    assert (code, json.loads(out)) == (1, {"kept": 0, "not_kept": [{"line": 2, "reason": reason}]})


def test_a_line_that_is_not_kept_costs_no_other(folder: Path) -> None:
    nested = '{"request": ' + "[" * 100_000 + "]" * 100_000 + ', "response": {}}'
    # So much that the store must have written some before it gets more.
    large = [line(f"{number}", response=RESPONSE | {"x": "y" * (100 << 10)}) for number in range(60)]
    too_large = line(response=RESPONSE | {"x": "y" * (300 << 10)})
    code, out, error = warm(folder, line("first"), nested, too_large, *large)
    assert (code, out) == (1, f"kept 61 answers in {folder / 'answers'}\n")
    assert error == (
        "answers.jsonl:2: not kept: it is nested too deeply\n"
        "answers.jsonl:3: not kept: it takes more than 1/32 of the cache's size\n"
    )


def test_without_a_cache_and_without_a_place(folder: Path) -> None:
    code, _, error = edgeroute("cache", "warm", "missing.jsonl", folder=folder)
    assert (code, error) == (2, "error: cannot read missing.jsonl: No such file or directory\n")
    (folder / "answers").write_text("a file where a folder should be")
    code, _, error = warm(folder, line())
    assert code == 1
    assert error.startswith("warning: ")
    assert error.endswith(f"error: the answers could not be kept in {folder / 'answers'}\n")
    (folder / "edgeroute.yaml").write_text(CONFIG.replace(", cache: {mode: exact, ttl: 1h}", "").replace(
        ", cache: exact", ""))  # fmt: skip
    code, _, error = warm(folder, line())
    assert (code, error.splitlines()[-2]) == (2, "error: no model and no rule of the configuration has a cache")
