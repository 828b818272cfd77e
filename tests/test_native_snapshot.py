"""A compiled configuration: what it says of itself, and what it refuses."""

import json
from pathlib import Path
from typing import Any

import pytest
from app_in_process import CONFIG, Client, Face, Running, run, wait_for

from edgeroute._native import Cells, Snapshot
from edgeroute.config import load

Configured = dict[str, Any]


@pytest.fixture
def configured(tmp_path: Path) -> Configured:
    path = tmp_path / "edgeroute.yaml"
    path.write_text(CONFIG.format(port=9, max_stream="1MiB"))
    return json.loads(load(path, {}).normalised)


def compiled(configured: Configured, cells: Cells | None = None) -> Snapshot:
    return Snapshot.compile(json.dumps(configured).encode(), cells or Cells.anonymous(), 1)


def test_status(configured: Configured) -> None:
    configured["virtual_keys"][0]["limits"] |= {"requests_per_minute": 5}
    status = json.loads(compiled(configured).status(1_795_000_000_000))
    replica = {"url": "http://127.0.0.1:9/v1", "breaker": "closed", "open_ms": 0}
    assert status["targets"][0] == {"target": "one/small", "in_flight": 0, "replicas": [replica]}
    assert [each["target"] for each in status["targets"]] == [
        "one/small", "two/small", "dead/small", "claude/small", "one/*",
    ]  # fmt: skip
    limit = {"limit": "requests_per_minute", "most": 5, "used": 0, "reserved": 0}
    assert status["limits"] == [{"owner": "virtual key", "name": "test", "limits": [limit]}]


REPLICA = {"url": "https://x", "proxy": None, "weight": 1, "address": None}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"replicas": [REPLICA | {"url": "ftp://x"}]}, "ftp://x: a base URL must start with http"),
        ({"replicas": [REPLICA | {"url": "https://x", "proxy": "socks5://canary@x:1"}]}, "proxy: "),
        ({"replicas": [REPLICA | {"url": "https://x", "proxy": "http://canary@x"}]}, "proxy: "),
        ({"ca": "canary"}, "ca_file: "),
    ],
)
def test_a_provider_that_cannot_be_reached_so(configured: Configured, changes: Configured, message: str) -> None:
    configured["providers"][0] |= changes
    with pytest.raises(ValueError, match=f"provider `one`: {message}") as refused:
        compiled(configured)
    assert "canary" not in str(refused.value)


@pytest.mark.parametrize("face", ["asgi", "rsgi"])
def test_both_faces_know_who_asks(tmp_path: Path, face: Face) -> None:
    async def scenario(running: Running) -> None:
        await running.ask(Client(headers={"x-forwarded-for": "198.51.100.1"}))
        running.publish(2, trusted_proxies=["192.0.2.0/24", "fd00::/8"])
        await wait_for(lambda: running.cells.workers()[0].generation == 2)
        for address in [
            ("192.0.2.7", 80),
            ("203.0.113.9", 80),
            ("fd00::1" if face == "asgi" else "[fd00::1]", 80),
            None,
        ]:
            await running.ask(Client(address=address, headers={"x-forwarded-for": "198.51.100.1"}))

    left = run(tmp_path, face, scenario)
    clients = [record.get("client") for record in left.log()]
    assert clients == ["192.0.2.7", "198.51.100.1", "203.0.113.9", "198.51.100.1", None]
