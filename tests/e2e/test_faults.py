"""Each fault of the mock provider, through the router: the client gets what docs/reference/mock.md says."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from e2e_config import basic_config
from e2e_router import Answer, Config, Router

from edgeroute.mock.faults import FAULTS

PAGE = (Path(__file__).parents[2] / "docs" / "reference" / "mock.md").read_text()
DIALECTS = [("/v1/chat/completions", "one"), ("/v1/messages", "claude")]
PASSES = "passes"
UNLESS_OTHER = "next target, else it passes"
CUT, PROTOCOL = "next target, else 502 `upstream_cut`", "next target, else 502 `upstream_protocol_error`"
ERROR, TIMEOUT = "next target, else 502 `upstream_error`", "next target, else 504 `upstream_timeout`"
STATUS, REFUSED = "next target, else that status", "next target, else 502 `upstream_authentication`"
OUTCOMES: dict[str, tuple[str, str]] = {
    "tokens-30": (PASSES, PASSES),
    "delay-1": (PASSES, PASSES),
    "delay-600000": (TIMEOUT, TIMEOUT),
    "slow-head-1": (PASSES, PASSES),
    "interim-3": (PASSES, PASSES),
    "interim-10000": (PROTOCOL, PROTOCOL),
    "status-403": (REFUSED, REFUSED),
    "status-503": (STATUS, STATUS),
    "status-429+retry-after-7": (STATUS, STATUS),
    "html-503": (ERROR, ERROR),
    "huge": (PASSES, PROTOCOL),
    "bad-json-2": (PASSES, PASSES),
    "bad-framing-2": (PASSES, PASSES),
    "error-event": (PASSES, UNLESS_OTHER),
    "error-event-6": (PASSES, PASSES),
    "cut-0": (CUT, CUT),
    "cut-2": (CUT, "error event `stream_cut`"),
    "cut-reset-0": (CUT, CUT),
    "cut-reset-2": (CUT, "error event `stream_cut`"),
    "stall-0": (TIMEOUT, TIMEOUT),
    "stall-2": (TIMEOUT, "error event `stream_gap_timeout`"),
    "reset": (CUT, CUT),
    "garbage": (PROTOCOL, PROTOCOL),
    "wrong-length": (CUT, PASSES),
    "short-length": (PROTOCOL, "error event `stream_protocol`"),
    "bad-chunking": (PROTOCOL, "error event `stream_protocol`"),
}
"""What becomes of a plain reply and of a stream, in the words of the page."""


@pytest.fixture(scope="module")
def faulty(start: Callable[[Config], Router]) -> Router:
    """For every fault a model that has only the fault, and one with a sound target behind it."""
    config = basic_config()
    config["defaults"] = {"timeouts": {"first_byte": "1s", "gap": "1s", "total": "60s"}}
    for fault in OUTCOMES:
        broken = [f"{provider}/mock-{fault}" for _, provider in DIALECTS]
        config["models"] |= {f"only-{fault}": {"targets": broken}, fault: {"targets": [*broken, "two/sound", SOUND]}}
    return start(config)


SOUND = "claude/sound"


def body(path: str, model: str, *, stream: bool) -> dict[str, Any]:
    """A request; it asks for the usage of a stream itself, because edgeroute else asks for it and leaves it out."""
    fields = {"model": model, "max_tokens": 99, "stream": stream, "messages": [{"role": "user", "content": "Hello"}]}
    return fields | ({"stream_options": {"include_usage": True}} if stream and "chat" in path else {})


def direct(router: Router, path: str, fault: str, *, stream: bool) -> bytes:
    """The body that the mock itself sends; with HTTP/1.0 it ends by closing, and bodies here have no CR."""
    sent = json.dumps(body(path, f"mock-{fault}", stream=stream)).encode()
    head = f"POST {path} HTTP/1.0\r\nanthropic-version: 2023-06-01\r\ncontent-length: {len(sent)}\r\n\r\n"
    with router.mock.raw() as connection:
        connection.sendall(head.encode() + sent)
        reply = b"".join(iter(lambda: connection.recv(1 << 20), b""))
    return reply.rpartition(b"\r\n\r\n")[2]


def check_error(answer: Answer, status: int, code: str | None) -> None:
    assert answer.status == status
    assert answer.headers["x-edgeroute-attempts"] == "1"
    assert code is None or answer.json["error"]["code"] == code


@pytest.mark.parametrize(("path", "provider"), DIALECTS, ids=["openai", "anthropic"])
@pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])
@pytest.mark.parametrize("fault", OUTCOMES)
def test_fault(faulty: Router, fault: str, stream: bool, path: str, provider: str) -> None:
    outcome = OUTCOMES[fault][stream]
    alone = faulty.post(path, body(path, f"only-{fault}", stream=stream))
    backed = faulty.post(path, body(path, fault, stream=stream))
    if outcome == UNLESS_OTHER:
        assert (alone.status, alone.body) == (200, direct(faulty, path, fault, stream=stream))
        assert (backed.status, backed.headers["x-edgeroute-attempts"]) == (200, "2")
        assert backed.chosen()[1].endswith("/sound")
    elif outcome.startswith("next target"):
        found = re.search(r"(\d+) `(\w+)`", outcome)
        status = int(found[1]) if found else int(re.findall(r"status-(\d+)", fault)[0])
        check_error(alone, status, found[2] if found else None)
        after = re.search(r"retry-after-(\d+)", fault)
        assert alone.headers.get("retry-after") == (after[1] if after else None)
        assert (backed.status, backed.headers["x-edgeroute-attempts"]) == (200, "2")
        assert backed.chosen()[1].endswith("/sound")
    else:
        for answer in (alone, backed):
            assert (answer.status, answer.chosen()[1]) == (200, f"{provider}/mock-{fault}")
            if outcome == PASSES:
                assert answer.body == direct(faulty, path, fault, stream=stream)
            else:
                assert json.loads(answer.data[-1])["error"]["code"] == outcome.split("`")[1]
    sound = faulty.post(path, body(path, f"{provider}/sound", stream=False))
    assert sound.status == 200, "nothing of the fault is left on the connections"


@pytest.mark.parametrize("fault", OUTCOMES)
def test_the_page_says_so(fault: str) -> None:
    name = re.sub(r"-\d+", "", fault.partition("+")[0])
    row = re.search(rf"^\| `{name}(?:-N|\[-N\])?` \|.*$", PAGE, re.MULTILINE)
    assert row is not None
    *_, plain, stream, _ = (cell.strip() for cell in row[0].split("|"))
    assert OUTCOMES[fault][0] in plain
    assert OUTCOMES[fault][1] in stream


def test_every_fault_is_tried() -> None:
    tried = {re.sub(r"-\d+", "", name) for fault in OUTCOMES for name in fault.split("+")}
    assert tried == set(FAULTS)
