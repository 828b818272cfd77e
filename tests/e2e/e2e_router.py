"""A real router with its embedded mock provider, as the end-to-end tests see it: a process, ports, bytes."""

import base64
import contextlib
import hashlib
import http.client
import json
import os
import signal
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

import anthropic
import openai
from waiting import PATIENCE, free_port, wait_for

Found = TypeVar("Found")
Config = dict[str, Any]

KEY = "sk-everything"
"""The virtual key without team and limits that every configuration of these tests has."""


def in_one_minute(run: Callable[[int], Found]) -> Found:
    """The outcome of something that happened within one window of the limits, which begin with each minute.

    It is called with 0, and with 1 if a minute ended meanwhile: use another key then.
    """
    for turn in (0, 1):
        minute = time.time() // 60
        outcome = run(turn)
        if time.time() // 60 == minute:
            return outcome
    raise AssertionError("this takes longer than a minute")


def hashed(key: str) -> str:
    """A key as the configuration wants it."""
    return "sha256:" + hashlib.sha256(key.encode()).hexdigest()


@dataclass(frozen=True)
class Answer:
    """A whole response; header names are in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def data(self) -> list[bytes]:
        """The data of each event of a stream; a body that ends inside an event is refused."""
        assert self.body.endswith(b"\n\n"), self.body[-200:]
        fields = [line for event in self.body.split(b"\n\n") for line in event.split(b"\n")]
        return [line.removeprefix(b"data: ") for line in fields if line.startswith(b"data: ")]

    def chosen(self) -> tuple[str, str, str]:
        """Model, target and rule that the headers name; empty where there is none."""
        model, target, rule = (self.headers.get(f"x-edgeroute-{name}", "") for name in ("model", "target", "rule"))
        return model, target, rule


class Http:
    """Somebody who listens on a port of this machine."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.tls: ssl.SSLContext | None = None
        """Whom to trust, where TLS is spoken."""

    def connect(self) -> http.client.HTTPConnection:
        """A connection that may be used for several requests."""
        where = ("127.0.0.1", self.port)
        connection = (
            http.client.HTTPConnection(*where, timeout=PATIENCE)
            if self.tls is None
            else http.client.HTTPSConnection(*where, timeout=PATIENCE, context=self.tls)
        )
        connection.connect()
        return connection

    def raw(self) -> socket.socket:
        """A connection without HTTP."""
        return socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE)

    def ask(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        connection: http.client.HTTPConnection | None = None,
    ) -> Answer:
        """One request, on a connection of its own unless one is given."""
        used = connection or self.connect()
        try:
            used.request(method, path, body, dict(headers or {}))
            response = used.getresponse()
            fields = {name.lower(): value for name, value in response.getheaders()}
            return Answer(response.status, fields, response.read())
        finally:
            if connection is None:
                used.close()


class Mock(Http):
    """The mock provider, and what it says it received."""

    def requests(self) -> list[dict[str, Any]]:
        """The open requests and the last 100 that ended, oldest first, with their bodies as bytes."""
        requests: list[dict[str, Any]] = self.ask("GET", "/mock/requests").json["requests"]
        return [each | {"body": base64.b64decode(each["body"])} for each in requests]

    def stats(self) -> dict[str, int]:
        return self.ask("GET", "/mock/stats").json

    def reset(self) -> None:
        self.ask("POST", "/mock/reset")


class Router(Http):
    """`edgeroute run` in a folder of its own. `config` lacks only the addresses."""

    def __init__(self, folder: Path, config: Config, environment: Mapping[str, str] | None = None) -> None:
        super().__init__(free_port())
        self.admin = Http(free_port())
        self.mock = Mock(free_port())
        self.folder = folder
        self.file = folder / "edgeroute.yaml"
        self.output = folder / "output.txt"
        self.admin_headers: dict[str, str] = {}
        """What `/status` wants to see."""
        self._clients = contextlib.ExitStack()
        self.configure(config)
        given = {
            "ONE_KEY": "sk-secret-of-one",
            "TWO_KEY": "sk-secret-of-two",
            "CLAUDE_KEY": "sk-secret-of-claude",
            "EDGEROUTE_RUN_DIR": str(folder / "run"),
            **(environment or {}),
        }
        with self.output.open("wb") as output:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "edgeroute", "run", "--config", str(self.file)],
                cwd=folder, stdout=output, stderr=subprocess.STDOUT, start_new_session=True,
                env={**os.environ, **given},
            )  # fmt: skip
        self.pid = self._process.pid

    def configure(self, config: Config) -> None:
        """Write the configuration, whole or not at all. JSON is YAML; `MOCK` stands for the mock's address."""
        addresses = {
            "listen": f"127.0.0.1:{self.port}",
            "admin": f"127.0.0.1:{self.admin.port}",
            "mock": {"listen": f"127.0.0.1:{self.mock.port}"} | config.get("mock", {}),
        }
        text = json.dumps(config | addresses, indent=1).replace("MOCK", f"127.0.0.1:{self.mock.port}")
        draft = self.folder / "draft"
        draft.write_text(text)
        draft.rename(self.file)

    def ready(self) -> "Router":
        """Wait until every worker serves."""

        def look() -> bool:
            assert self._process.poll() is None, self.said()
            with contextlib.suppress(OSError):
                return self.admin.ask("GET", "/readyz").status == 200
            return False

        wait_for(look)
        workers = json.loads(self.file.read_text())["workers"]
        wait_for(lambda: len(self.workers()) == workers)
        return self

    def stop(self) -> None:
        """Ask it to stop; what it says on the way is kept in `output`."""
        self._clients.close()
        self._process.send_signal(signal.SIGTERM)

    def close(self) -> None:
        """Stop it, and wait until it is gone."""
        self.stop()
        try:
            self._process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(PATIENCE)
            raise
        assert "Traceback" not in self.said()

    def said(self) -> str:
        return self.output.read_text()

    def status(self) -> dict[str, Any]:
        return self.admin.ask("GET", "/status", headers=self.admin_headers).json

    def workers(self) -> list[int]:
        """Process ids of the workers, in ascending order."""
        return sorted(each["pid"] for each in self.status()["workers"])

    def metrics(self) -> dict[str, float]:
        """Every sample by its full name."""
        lines = self.admin.ask("GET", "/metrics").body.decode().splitlines()
        return {line.rpartition(" ")[0]: float(line.rpartition(" ")[2]) for line in lines if line[0] != "#"}

    def in_flight(self) -> float:
        """Exchanges with providers that are open, over all workers."""
        return sum(value for name, value in self.metrics().items() if name.startswith("edgeroute_in_flight"))

    def idle(self) -> None:
        """Wait until nothing is in flight, neither here nor at the mock."""
        wait_for(lambda: self.in_flight() == 0 and self.mock.stats()["open"] == 0)

    # As a client.

    def post(
        self,
        path: str,
        fields: Mapping[str, Any],
        *,
        key: str = KEY,
        headers: Mapping[str, str] | None = None,
        connection: http.client.HTTPConnection | None = None,
    ) -> Answer:
        """Send a JSON body as a client with this key."""
        sent = {"authorization": f"Bearer {key}", "content-type": "application/json", **(headers or {})}
        return self.ask("POST", path, json.dumps(fields).encode(), sent, connection)

    def chat(
        self,
        model: str,
        *,
        key: str = KEY,
        headers: Mapping[str, str] | None = None,
        connection: http.client.HTTPConnection | None = None,
        **fields: Any,
    ) -> Answer:
        """A chat completion in OpenAI's dialect."""
        body = {"model": model, "messages": [{"role": "user", "content": "Hello"}]} | fields
        return self.post("/v1/chat/completions", body, key=key, headers=headers, connection=connection)

    def messages(
        self, model: str, *, key: str = KEY, headers: Mapping[str, str] | None = None, **fields: Any
    ) -> Answer:
        """A message in Anthropic's dialect."""
        body = {"model": model, "max_tokens": 64, "messages": [{"role": "user", "content": "Hello"}]} | fields
        return self.post("/v1/messages", body, key=key, headers=headers)

    @cache  # noqa: B019 (a router lives as long as its tests)
    def openai(self, key: str = KEY, base: str = "/v1") -> openai.OpenAI:
        """OpenAI's SDK as people use it, with retries off; closed with the router."""
        url = f"http://127.0.0.1:{self.port}{base}"
        return self._clients.enter_context(openai.OpenAI(api_key=key, base_url=url, max_retries=0))

    @cache  # noqa: B019
    def anthropic(self, key: str = KEY, base: str = "") -> anthropic.Anthropic:
        """Anthropic's SDK as people use it, with retries off; closed with the router."""
        url = f"http://127.0.0.1:{self.port}{base}"
        return self._clients.enter_context(anthropic.Anthropic(api_key=key, base_url=url, max_retries=0))

    @contextlib.contextmanager
    def stream(
        self,
        path: str,
        fields: Mapping[str, Any],
        *,
        key: str = KEY,
        connection: http.client.HTTPConnection | None = None,
    ) -> Generator[http.client.HTTPResponse]:
        """A response that is read piece by piece; leaving the block disconnects."""
        used = connection or self.connect()
        with contextlib.closing(used):
            headers = {"authorization": f"Bearer {key}", "content-type": "application/json"}
            used.request("POST", path, json.dumps({**fields, "stream": True}), headers)
            yield used.getresponse()

    def held(self, key: str = KEY, **fields: Any) -> contextlib.AbstractContextManager[http.client.HTTPResponse]:
        """A chat stream that begins and then waits for ever."""
        body = {"model": "one/mock-stall-3", "messages": [{"role": "user", "content": "Hello"}]} | fields
        return self.stream("/v1/chat/completions", body, key=key)

    @contextlib.contextmanager
    def connection_to_each_worker(self) -> Generator[dict[int, http.client.HTTPConnection]]:
        """An open connection to every worker, by process id."""
        with contextlib.ExitStack() as stack:
            found: dict[int, http.client.HTTPConnection] = {}

            def look() -> bool:
                connection = self.connect()
                stack.callback(connection.close)
                found.setdefault(wait_for(lambda: self._served_by(connection)), connection)
                return len(found) == len(self.workers())

            wait_for(look)
            yield found

    def _served_by(self, connection: http.client.HTTPConnection) -> int:
        """The worker that has accepted a connection; 0 while none has. Linux tells: /proc/net/tcp names the inode."""
        ours = f"{connection.sock.getsockname()[1]:04X}"
        inode = next(
            line.split()[9]
            for line in Path("/proc/net/tcp").read_text().splitlines()[1:]
            if line.split()[1].endswith(f":{self.port:04X}") and line.split()[2].endswith(f":{ours}")
        )
        for pid in self.workers():
            for descriptor in Path(f"/proc/{pid}/fd").iterdir():
                with contextlib.suppress(OSError):
                    if str(descriptor.readlink()) == f"socket:[{inode}]":
                        return pid
        return 0
