"""Behaviour under mixed load: locust against each edgeroute leg; one failure fails the benchmark."""

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import msgspec
from legs import EVENTS, HERE, Leg

USERS = 64
PROCESSES = 2
END_MARKERS = (b"[DONE]", b'{"type":"message_stop"}')


class _Entry(msgspec.Struct):
    """What is used of locust's statistics of one kind of request."""

    name: str
    num_requests: int
    num_failures: int


class Behaviour(msgspec.Struct, frozen=True):
    """What locust saw."""

    requests: int
    failures: int
    seconds: float
    kinds: dict[str, int]
    """How many requests of each kind."""
    errors: str
    """What locust printed if there were failures, else empty."""


def behave(leg: Leg, seconds: int, users: int = USERS, processes: int = PROCESSES) -> Behaviour:
    """Let many different users loose on a leg."""
    with tempfile.TemporaryDirectory() as directory:
        stats = Path(directory) / "stats"
        done = subprocess.run(
            [
                sys.executable, "-m", "locust", "-f", str(HERE / "locustfile.py"), "--headless", "--only-summary",
                "--host", f"http://{leg.address}", "--policy", leg.way.policy, "--users", str(users),
                "--spawn-rate", str(users), "--run-time", f"{seconds}s", "--stop-timeout", "20",
                "--processes", str(processes), "--json-file", str(stats), "--loglevel", "ERROR",
            ],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
        )  # fmt: skip
        file = stats.with_suffix(".json")
        entries = msgspec.json.decode(file.read_bytes(), type=list[_Entry]) if file.exists() else []
    requests = sum(each.num_requests for each in entries)
    failures = sum(each.num_failures for each in entries)
    return Behaviour(
        requests=requests,
        failures=failures,
        seconds=seconds,
        kinds={each.name: each.num_requests for each in entries},
        errors=(done.stdout or "no request was answered") if done.returncode or failures or not requests else "",
    )


def broken_reply(content: bytes) -> str:
    """What is wrong with a whole reply of the mock after it passed the router; empty if nothing is."""
    whole = b"a reply of the mock" in content and content.endswith(b"}")
    return "" if whole else f"not the mock's reply: {content[:200]!r}"


def broken_stream(content: bytes) -> str:
    """The same of a stream: every event must have arrived once and in order, and the end marker last."""
    if not content.endswith(b"\n\n"):
        return f"the stream ends inside an event: {content[-100:]!r}"
    data = [event.rpartition(b"data: ")[2] for event in content[:-2].split(b"\n\n")]
    if data.pop() not in END_MARKERS:
        return f"the stream does not end with its end marker: {content[-100:]!r}"
    texts = [text for each in data if (text := _text(json.loads(each)))]
    return "" if texts == [f" token {number}" for number in range(EVENTS)] else f"events were lost or moved: {texts}"


def _text(event: Any) -> str:
    """The text that an event of either dialect adds."""
    if "choices" in event:
        return "".join(choice["delta"].get("content", "") for choice in event["choices"])
    return event.get("delta", {}).get("text", "")
