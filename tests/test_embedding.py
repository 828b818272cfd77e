"""`edgeroute.create_app` under a server that is not ours."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
from app_in_process import Client, Running, run
from openai import APIConnectionError, OpenAI, PermissionDeniedError, RateLimitError
from openai.types.chat import ChatCompletion
from waiting import PATIENCE, free_port, wait_for

import edgeroute
from edgeroute.config import load

CONFIG = """
providers:
  mock: {{dialect: openai-chat, url: "http://127.0.0.1:{mock}/v1"}}
models:
  fast: mock/gpt-5-mini
rules:
  - {{name: no-batch, when: '"x-purpose" in headers && headers["x-purpose"] == "batch"', reject: At night.}}
virtual_keys:
  test:
    hash: "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
    limits: {{requests_per_minute: 3}}
"""

APPLICATION = """
from pathlib import Path
from edgeroute import Config, create_app

app = create_app(Config.load(Path("edgeroute.yaml")))
"""


@contextmanager
def process(*command: str, folder: Path) -> Generator[Path]:
    """Runs a command in a folder; gives the file it writes to, and ends it as a person would."""
    output = folder / "output.txt"
    with output.open("w") as file:
        running = subprocess.Popen([sys.executable, "-m", *command], cwd=folder, stdout=file, stderr=file)
        try:
            yield output
        finally:
            running.send_signal(signal.SIGINT)
            running.wait(PATIENCE)


def listens(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)):
        return True
    return False


def test_an_sdk_is_served_under_uvicorn(tmp_path: Path) -> None:
    mock, port = free_port(), free_port()
    (tmp_path / "edgeroute.yaml").write_text(CONFIG.format(mock=mock))
    (tmp_path / "application.py").write_text(APPLICATION)
    other = tmp_path / "mock"
    other.mkdir()
    with (
        process("edgeroute.mock", f"--listen=127.0.0.1:{mock}", folder=other),
        process("uvicorn", "application:app", f"--port={port}", folder=tmp_path) as output,
    ):
        client = OpenAI(base_url=f"http://127.0.0.1:{port}/v1", api_key="test", max_retries=0)
        wait_for(lambda: listens(mock))

        def listed() -> list[str]:
            try:
                return [each.id for each in client.models.list()]
            except APIConnectionError:
                return []

        assert wait_for(listed) == ["fast"]

        def ask(**headers: str) -> ChatCompletion:
            return client.chat.completions.create(
                model="fast", messages=[{"role": "user", "content": "Hello"}], extra_headers=headers
            )

        assert ask().choices[0].message.content
        with pytest.raises(PermissionDeniedError, match=r"At night\."):
            ask(**{"x-purpose": "batch"})
        stream = client.chat.completions.create(
            model="fast", messages=[{"role": "user", "content": "Hello"}], stream=True
        )
        assert len(list(stream)) > 2

        def ask_five_times() -> None:
            for _ in range(5):
                ask()

        # Three a minute: of seven the fourth or, if a minute begins between them, the seventh is refused at the latest.
        with pytest.raises(RateLimitError):
            ask_five_times()
    said = output.read_text()
    assert "embedded: limits, health and metrics are of this process alone" in said
    assert "Traceback" not in said


def test_a_configuration_that_cannot_be_used_is_refused_at_once(tmp_path: Path) -> None:
    path = tmp_path / "edgeroute.yaml"
    path.write_text(CONFIG.format(mock=9))
    config = load(path, os.environ).config
    with pytest.raises(ValueError, match="names the model `nothing`"):
        edgeroute.create_app(msgspec.structs.replace(config, models={"fast": "nothing"}))


def test_what_is_no_configuration_is_told_how_to_become_one() -> None:
    with pytest.raises(TypeError, match=r"as Config.load\(path\) gives it, not str"):
        edgeroute.create_app("edgeroute.yaml")  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize(
    ("root", "path", "status"),
    [
        ("", "/v1/models", 200),
        ("/llm", "/llm/v1/models", 200),
        ("/llm", "/v1/models", 200),
        ("/llm", "/llm", 404),
        ("/llm", "/llmv1/models", 404),
        ("", "/llm/v1/models", 404),
        ("/v1", "/v1/v1/models", 200),
    ],
)
def test_it_can_be_mounted_below_a_path(root: str, path: str, status: int, tmp_path: Path) -> None:
    async def scenario(running: Running) -> None:
        client = await running.ask(Client("GET", path, root=root))
        assert client.status == status

    run(tmp_path, "asgi", scenario)


@pytest.mark.parametrize(
    ("extensions", "expected"),
    [
        (None, ["websocket.close"]),
        ({}, ["websocket.close"]),
        ({"websocket.http.response": {}}, ["websocket.http.response.start", "websocket.http.response.body"]),
    ],
)
def test_a_websocket_is_refused(extensions: dict[str, Any] | None, expected: list[str], tmp_path: Path) -> None:
    async def scenario(running: Running) -> None:
        sent: list[Any] = []

        async def receive() -> dict[str, Any]:
            return {"type": "websocket.connect"}

        async def send(message: Any) -> None:
            sent.append(message)

        scope: dict[str, Any] = {"type": "websocket", "path": "/v1/realtime", "query_string": b"", "headers": []}
        await running.app(scope | {"extensions": extensions}, receive, send)
        assert [message["type"] for message in sent] == expected
        assert sent[0].get("status", 404) == 404
        with pytest.raises(ValueError, match="not the ASGI scope 'mqtt'"):
            await running.app({"type": "mqtt"}, receive, send)

    run(tmp_path, "asgi", scenario)


def test_a_websocket_is_refused_by_rsgi(tmp_path: Path) -> None:
    class Websocket:
        proto = "ws"
        closed: int | None = None

        def close(self, status: int) -> None:
            self.closed = status

    async def scenario(running: Running) -> None:
        websocket: Any = Websocket()
        await running.app.__rsgi__(websocket, websocket)
        assert websocket.closed == 404

    run(tmp_path, "rsgi", scenario)


def test_the_package_names_what_it_offers() -> None:
    assert sorted(name for name in edgeroute.__all__ if hasattr(edgeroute, name)) == sorted(edgeroute.__all__)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        edgeroute.nothing  # noqa: B018  # pyright: ignore[reportAttributeAccessIssue]
