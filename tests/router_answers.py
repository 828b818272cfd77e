"""A router for the command line: a real admin listener, with answers that a test chooses."""

import socket
from typing import Any

import msgspec

from edgeroute.admin import AdminListener
from edgeroute.config import Secret
from edgeroute.replicas.changes import Command
from edgeroute.supervisor.caches import PurgeCommand, Purged
from edgeroute.telemetry import Sample

STATUS: dict[str, Any] = {
    "version": "0.1.0",
    "pid": 4711,
    "listen": "0.0.0.0:4000",
    "admin": "127.0.0.1:9400",
    "ready": True,
    "reason": None,
    "generation": 3,
    "workers": [
        {"pid": 4712, "generation": 3, "heartbeat_age_ms": 420},
        {"pid": 4713, "generation": 2, "heartbeat_age_ms": 130_000},
    ],
    "targets": [
        {
            "target": "openai/gpt-5.5",
            "in_flight": 12,
            "replicas": [{"url": "https://api.openai.com/v1", "breaker": "closed", "open_ms": 0}],
        },
        {
            "target": "vllm/llama",
            "in_flight": 0,
            "replicas": [
                {"url": "http://gpu-0:8000/v1", "breaker": "open", "open_ms": 12_300},
                {"url": "http://gpu-1:8000/v1", "breaker": "half-open", "open_ms": 0},
            ],
        },
    ],
    "limits": [
        {
            "owner": "team",
            "name": "search",
            "limits": [
                {"limit": "requests_per_minute", "most": 6000, "used": 12, "reserved": 0},
                {"limit": "tokens_per_minute", "most": 2000, "used": 1900, "reserved": 400},
            ],
        },
        {
            "owner": "virtual key",
            "name": "me",
            "limits": [{"limit": "concurrency", "most": 3, "used": 1, "reserved": 0}],
        },
    ],
}
"""What `GET /status` answers."""


REPLICAS: dict[str, Any] = {
    "replicas": [
        {
            "provider": "vllm",
            "replica": "http://gpu-0:8000/v1",
            "weight": 2,
            "origin": "configured",
            "breaker": "closed",
        },
        {"provider": "vllm", "replica": "http://gpu-1:8000/v1", "weight": 0, "origin": "added", "breaker": "open"},
    ],
    "changes": [
        {"provider": "vllm", "replica": "http://gpu-1:8000/v1", "change": "added, drained", "fits": True},
        {"provider": "vllm", "replica": "http://gpu-7:8000/v1", "change": "removed", "fits": False},
    ],
    "discovery": [
        {"provider": "vllm", "source": "dns http://vllm:8000/v1", "found": 2, "trouble": "it names no replica"}
    ],
    "engines": [
        {"provider": "vllm", "replica": "http://gpu-0:8000/v1", "running": 3, "waiting": 1, "cache_usage": 0.423},
        {"provider": "vllm", "replica": "http://gpu-1:8000/v1", "trouble": "Connection refused"},
    ],
}
"""What `GET /replicas` answers."""


CACHE: dict[str, Any] = {
    "store": {
        "path": "/var/cache/edgeroute",
        "available": True,
        "entries": 1234,
        "most_entries": 100_000,
        "bytes": 5 << 20,
        "most_bytes": 256 << 20,
        "redis": False,
        "hit_share": 0.4167,
    },
    "models": [
        {
            "model": "faq",
            "mode": "semantic",
            "serve": "observe",
            "entries": 1200,
            "hit": 4,
            "semantic": 1,
            "joined": 0,
            "miss": 7,
            "bypass": 2,
            "hit_share": 0.4167,
            "evidence": {"correct": 40, "wrong": 0, "unknown": 12, "least_correct": 0.9278, "serving": False},
        },
        {
            "model": "chat",
            "mode": None,
            "serve": None,
            "entries": 0,
            "hit": 0,
            "semantic": 0,
            "joined": 0,
            "miss": 0,
            "bypass": 1,
            "hit_share": None,
            "evidence": {"correct": 0, "wrong": 0, "unknown": 0, "least_correct": None, "serving": False},
        },
    ],
    "refused": {"names": 1, "numbers": 3},
    "evidence": {"correct": 40, "wrong": 0, "unknown": 12, "least_correct": 0.9278, "serving": False},
    "evictions": 0,
    "dropped": 5,
}
"""What `GET /cache` answers."""


class Outcome(msgspec.Struct, frozen=True):
    """What became of a reload."""

    result: str
    generation: int
    message: str


class RouterAnswers:
    """What the listener asks."""

    def __init__(self) -> None:
        self.now = STATUS
        self.commands: list[Command] = []
        self.purges: list[PurgeCommand] = []
        self.purged = Purged("applied", 12, "purged 12 entries; workers follow within 0.1 s")
        self.outcome = Outcome("applied", 4, "configuration reloaded: generation 4 serves")

    def unready(self) -> str | None:
        return self.now["reason"]

    def samples(self) -> list[Sample]:
        return []

    def request_reload(self) -> Outcome:
        return self.outcome

    def status(self) -> dict[str, Any]:
        return self.now

    def replicas(self) -> dict[str, Any]:
        return REPLICAS

    def change_replica(self, command: Command) -> Outcome:
        self.commands.append(command)
        return self.outcome

    def cache(self) -> dict[str, Any]:
        return CACHE

    def purge_cache(self, command: PurgeCommand) -> Purged:
        self.purges.append(command)
        return self.purged


class RouterAdmin:
    """The listener on a free port; `address` is what `--admin` takes."""

    def __init__(self, admin_key: Secret | None = None) -> None:
        bound = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{bound.getsockname()[1]}"
        self.answers = RouterAnswers()
        self._listener = AdminListener(bound, admin_key)

    def __enter__(self) -> "RouterAdmin":
        self._listener.start(self.answers)
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.close()
