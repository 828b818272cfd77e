"""The application in this process, on either face, with a provider that follows a script; no granian."""

import asyncio
import contextlib
import json
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Generator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Literal, TypeVar

import uvloop
from granian.rsgi import ProtocolClosed  # pyright: ignore[reportPrivateImportUsage]

from edgeroute._native import Cells
from edgeroute.app import App
from edgeroute.config import load
from edgeroute.worker import Worker

Found = TypeVar("Found")
Face = Literal["asgi", "rsgi"]

PATIENCE = 60.0
"""Seconds: a guard against hanging, never a measurement."""
HANG = "hang"
"""In a script: nothing more comes until the router hangs up."""
CLOSE = "close"
"""In a script: the provider closes the connection."""
Script = list[bytes | asyncio.Event | str]

CONFIG = """
providers:
  one: {{dialect: openai-chat, url: "http://127.0.0.1:{port}/v1", api_key: upstream}}
  two: {{dialect: openai-chat, url: "http://127.0.0.1:{port}/v1"}}
  dead: {{dialect: openai-chat, url: "http://127.0.0.1:1/v1"}}
  claude: {{dialect: anthropic-messages, url: "http://127.0.0.1:{port}"}}
models:
  fast: {{targets: [one/small, two/small]}}
  dead: dead/small
  claude: claude/small
  one/*: one/*
virtual_keys:
  test: {{hash: "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"}}
max_body: 1MiB
max_stream: {max_stream}
"""


def head(content_type: str, *, status: int = 200, length: int | None = None, extra: bytes = b"") -> bytes:
    framing = "transfer-encoding: chunked" if length is None else f"content-length: {length}"
    return f"HTTP/1.1 {status} Said\r\ncontent-type: {content_type}\r\n{framing}\r\n".encode() + extra + b"\r\n"


def whole(body: bytes, status: int = 200, content_type: str = "application/json", extra: bytes = b"") -> bytes:
    return head(content_type, status=status, length=len(body), extra=extra) + body


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def event(text: str) -> bytes:
    """An OpenAI chunk."""
    data = {"object": "chat.completion.chunk", "choices": [{"index": 0, "delta": {"content": text}}]}
    return b"data: " + json.dumps(data).encode() + b"\n\n"


STREAM = head("text/event-stream")
USAGE = b'data: {"object":"chat.completion.chunk","choices":[],"usage":{"prompt_tokens":7,"completion_tokens":3}}\n\n'
DONE = b"data: [DONE]\n\n"
END = b"0\r\n\r\n"
ANSWER = b'{"object":"chat.completion","choices":[],"usage":{"prompt_tokens":7,"completion_tokens":3}}'


class Provider:
    """Answers each request with the next script, on a connection that it keeps."""

    def __init__(self) -> None:
        self.scripts: list[Script] = []
        self.requests: list[bytes] = []
        self.hung_up = 0
        self.connections = 0
        self.port = 0
        self._server: asyncio.Server | None = None

    async def listen(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    async def close(self) -> None:
        assert self._server is not None
        self._server.close()
        await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
                while await self._answer(reader, writer):
                    pass
        finally:
            self.connections -= 1
            writer.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        request = await reader.readuntil(b"\r\n\r\n")
        fields = dict(line.lower().split(b": ", 1) for line in request.split(b"\r\n")[1:-2])
        self.requests.append(request + await reader.readexactly(int(fields[b"content-length"])))
        for item in self.scripts.pop(0):
            if isinstance(item, bytes):
                writer.write(item)
                await writer.drain()
            elif isinstance(item, asyncio.Event):
                await item.wait()
            elif item == CLOSE:
                return False
            else:
                with contextlib.suppress(ConnectionError):
                    assert await reader.read() == b""
                self.hung_up += 1
                return False
        return True


@dataclass
class Client:
    """One request of a client, and what it has got so far."""

    method: str = "POST"
    path: str = "/v1/chat/completions"
    query: str = ""
    root: str = ""
    """Where the server has mounted the application (ASGI)."""
    headers: dict[str, str] = field(default_factory=lambda: {"authorization": "Bearer test"})
    body: bytes = b""
    parts: list[bytes] | None = None
    """The body in pieces, of undeclared length."""
    address: tuple[str, int] | None = ("192.0.2.7", 4711)
    """Where its connection comes from, if the server knows."""
    status: int | None = None
    fields: dict[str, str] = field(default_factory=dict[str, str])
    chunks: list[bytes] = field(default_factory=list[bytes])
    whole: bool = False
    """The response is complete."""
    fail_send: int | None = None
    """The number of the send, from 0, that fails because the client has left unnoticed."""
    reads: asyncio.Event = field(default_factory=asyncio.Event)
    """Cleared: sending waits, as for a client that does not read (ASGI)."""
    waits: bool = False
    """Something is being sent that the client does not read."""
    left: asyncio.Event = field(default_factory=asyncio.Event)
    _sends: int = 0

    def __post_init__(self) -> None:
        self.reads.set()

    @property
    def text(self) -> bytes:
        return b"".join(self.chunks)

    @property
    def json(self) -> Any:
        return json.loads(self.text)

    def _count_send(self) -> None:
        if self.fail_send == self._sends or self.left.is_set():
            self.left.set()
            raise ProtocolClosed
        self._sends += 1

    def start(self, app: App, face: Face) -> Coroutine[Any, Any, None]:
        """What the server would run."""
        return self._asgi(app) if face == "asgi" else app.__rsgi__(_Scope(self), _Protocol(self))  # pyright: ignore[reportArgumentType]

    async def _asgi(self, app: App) -> None:
        pieces = list(self.parts if self.parts is not None else [self.body])

        async def receive() -> dict[str, Any]:
            if pieces and not self.left.is_set():
                return {"type": "http.request", "body": pieces.pop(0), "more_body": bool(pieces)}
            await self.left.wait()
            return {"type": "http.disconnect"}

        async def send(message: Mapping[str, Any]) -> None:
            self.waits = not self.reads.is_set()
            await self.reads.wait()
            self._count_send()
            if message["type"] == "http.response.start":
                assert self.status is None
                self.status = message["status"]
                self.fields = {name.decode(): value.decode("latin-1") for name, value in message["headers"]}
                return
            assert self.status is not None
            assert not self.whole
            if message["body"]:
                self.chunks.append(message["body"])
            self.whole = not message["more_body"]

        headers = [(name.encode(), value.encode()) for name, value in self.headers.items()]
        scope = {"type": "http", "method": self.method, "path": self.path, "client": self.address}
        if self.root:
            scope["root_path"] = self.root
        await app(scope | {"query_string": self.query.encode(), "headers": headers}, receive, send)


class _Scope:
    def __init__(self, client: Client) -> None:
        self.proto = "http"
        self.method, self.path, self.query_string = client.method, client.path, client.query
        self.client = "" if client.address is None else f"{client.address[0]}:{client.address[1]}"
        length = {} if client.parts is not None else {"content-length": str(len(client.body))}
        self.headers = client.headers | length

        class Headers(dict[str, str]):
            def items(self) -> list[tuple[str, str]]:  # pyright: ignore[reportIncompatibleMethodOverride]
                return list(super().items())

        self.headers = Headers(self.headers)


class _Protocol:
    def __init__(self, client: Client) -> None:
        self._client = client

    async def __call__(self) -> bytes:
        if self._client.left.is_set():
            raise ProtocolClosed
        return self._client.body

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for part in self._client.parts or []:
            yield part

    async def client_disconnect(self) -> None:
        await self._client.left.wait()

    def response_bytes(self, status: int, headers: list[tuple[str, str]], body: bytes) -> None:
        self.response_stream(status, headers)
        self._client.chunks.append(body)
        self._client.whole = True

    def response_stream(self, status: int, headers: list[tuple[str, str]]) -> "_Protocol":
        assert self._client.status is None
        self._client._count_send()  # pyright: ignore[reportPrivateUsage]
        self._client.status, self._client.fields = status, dict(headers)
        return self

    async def send_bytes(self, data: bytes) -> None:
        self._client._count_send()  # pyright: ignore[reportPrivateUsage]
        self._client.chunks.append(data)


@dataclass
class Running:
    """An application that runs, with all that can be seen of it from outside."""

    app: App
    face: Face
    provider: Provider
    cells: Cells
    run_directory: Path
    log_file: Path
    config: dict[str, Any]
    mishaps: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    """What the loop's exception handler was told."""
    _tell: "asyncio.Queue[dict[str, Any]]" = field(default_factory=asyncio.Queue[dict[str, Any]])
    _lifespan: "asyncio.Task[None] | None" = None

    def serve(self, client: Client) -> "asyncio.Task[None]":
        return asyncio.ensure_future(client.start(self.app, self.face))

    async def ask(self, client: Client) -> Client:
        async with asyncio.timeout(PATIENCE):
            await self.serve(client)
        return client

    def publish(self, generation: int, **changes: object) -> None:
        """Hands the workers another generation, as the supervisor does."""
        changed = self.config | changes
        (self.run_directory / f"generation-{generation}.json").write_bytes(json.dumps(changed).encode())
        self.cells.publish(generation)

    def log(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.log_file.read_text().splitlines()]

    def sums(self, name: str) -> dict[str, int]:
        """The sums of one metric by their labels."""
        return {key[len(name) :]: value for key, value in self.cells.sums() if key.partition("{")[0] == name}

    def in_flight(self) -> int:
        return sum(value for _, value in self.cells.gauges())

    async def start(self) -> None:
        if self.face == "rsgi":
            self.app.__rsgi_init__(asyncio.get_running_loop())
            return
        said: asyncio.Queue[Mapping[str, Any]] = asyncio.Queue()
        self._lifespan = asyncio.ensure_future(self.app({"type": "lifespan"}, self._tell.get, said.put))
        self._tell.put_nowait({"type": "lifespan.startup"})
        assert (await said.get())["type"] == "lifespan.startup.complete"

    async def stop(self) -> None:
        if self.face == "rsgi":
            self.app.__rsgi_del__(asyncio.get_running_loop())
        elif self._lifespan is not None:
            self._tell.put_nowait({"type": "lifespan.shutdown"})
            await self._lifespan


Scenario = Callable[[Running], Awaitable[None]]


async def wait_for(what: Callable[[], Found]) -> Found:
    async with asyncio.timeout(PATIENCE):
        while not (found := what()):  # noqa: ASYNC110 (others do what is waited for)
            await asyncio.sleep(0.001)
    return found


def completion(model: str = "fast", **fields: object) -> bytes:
    return json.dumps({"model": model, "messages": [{"role": "user", "content": "Hello"}], **fields}).encode()


@contextlib.contextmanager
def _log_file(directory: Path) -> Generator[Path, None, None]:
    """The file that standard output is meanwhile."""
    stdout = sys.stdout
    log_file = directory / "log"
    try:
        with log_file.open("w") as sys.stdout:
            yield log_file
    finally:
        sys.stdout = stdout


def supervised_app(directory: Path) -> App:
    """The application as the server process makes it."""
    return App(partial(Worker.supervised, run_directory=directory, json_log=True))


def run(directory: Path, face: Face, scenario: Scenario, max_stream: str = "64KiB", *, config: str = CONFIG) -> Running:
    """Plays a scenario; gives back what is left when the application has stopped."""

    async def main() -> Running:
        provider = Provider()
        await provider.listen()
        written = directory / "edgeroute.yaml"
        written.write_text(config.format(port=provider.port, max_stream=max_stream))
        normalised = json.loads(load(written, {}).normalised)
        cells = Cells.create(str(directory / "cells"))
        running = Running(supervised_app(directory), face, provider, cells, directory, log_file, normalised)
        running.publish(1)
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, context: running.mishaps.append(context))
        await running.start()
        try:
            await scenario(running)
        finally:
            await running.stop()
            await provider.close()
        await wait_for(lambda: provider.connections == 0)
        return running

    with _log_file(directory) as log_file, asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(main())
