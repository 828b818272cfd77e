"""Allocations per request and per stream event on both sides of the border, by the application in a process without a
server: both faces get a transport that does nothing, and a provider that answers at once. Python runs with the malloc
of `edgeroute-gates`, which counts what this thread allocates."""

import asyncio
import ctypes
import gc
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Awaitable, Callable
from itertools import pairwise
from pathlib import Path
from typing import Any, cast

import inputs
import msgspec
import uvloop
from baseline import Count

from edgeroute._native import Cells
from edgeroute.app import App
from edgeroute.worker import Worker

REQUESTS = 1_024
EVENTS = 64
"""More events in a long stream than in a short one."""
STREAMS = 64
ROUNDS = 4
"""The first warms up; of the others the least counts."""
PATIENCE = 120.0
"""Seconds: a guard against hanging."""


_Four = ctypes.c_uint64 * 4
"""`Allocated` of `src/lib.rs`."""


class Allocator(ctypes.Structure):
    """`PyMemAllocatorEx` of CPython."""

    _fields_ = tuple((name, ctypes.c_void_p) for name in ("context", "malloc", "calloc", "realloc", "free"))


def allocations(face: inputs.Face, directory: Path) -> dict[str, Count]:
    """Counts of one face, from a process of their own."""
    library = str(inputs.built("libedgeroute_gates.so"))
    command = [sys.executable, __file__, face, str(directory)]
    environment = {**os.environ, "LD_PRELOAD": library, "PYTHONHASHSEED": "0"}
    done = subprocess.run(command, stdout=subprocess.PIPE, env=environment, check=True, timeout=PATIENCE)
    return msgspec.json.decode(done.stdout, type=dict[str, Count])


class _Worker(Worker):
    """One that does nothing by the clock."""

    def _tick(self) -> None:
        pass


class _Provider:
    """Answers one request after the other on a thread; `go` lets the next event of a stream pass."""

    def __init__(self) -> None:
        self.go = threading.Semaphore(0)
        self.events: int | None = None
        """Events of a stream; None means a whole response."""
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        connection, _ = self._listener.accept()
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        while True:
            try:
                inputs.read_message(connection)
            except ConnectionError:
                return
            if self.events is None:
                connection.sendall(inputs.REPLY)
                continue
            connection.sendall(inputs.HEAD + inputs.EVENT)
            for _ in range(self.events - 1):
                self.go.acquire()
                connection.sendall(inputs.EVENT)
            self.go.acquire()
            connection.sendall(inputs.END)


class _Headers:
    """The part of RSGI's headers that is used."""

    def __init__(self, fields: dict[str, str]) -> None:
        self._fields = fields

    def get(self, name: str) -> str | None:
        return self._fields.get(name)

    def items(self) -> list[tuple[str, str]]:
        return list(self._fields.items())


class _RsgiScope:
    proto, method, path, query_string, client = "http", "POST", "/v1/chat/completions", "", "127.0.0.1:50000"

    def __init__(self, headers: _Headers) -> None:
        self.headers = headers


class _Protocol:
    """RSGI's protocol: it takes everything at once, and its client stays."""

    def __init__(self, body: bytes, sent: Callable[[], None], stays: "asyncio.Future[None]") -> None:
        self._body, self._sent, self._stays = body, sent, stays

    async def __call__(self) -> bytes:
        return self._body

    def response_bytes(self, status: int, _: list[tuple[str, str]], body: bytes) -> None:
        assert status == 200, body

    def response_stream(self, status: int, _: list[tuple[str, str]]) -> "_Protocol":
        assert status == 200
        return self

    async def send_bytes(self, _: bytes) -> None:
        self._sent()

    async def client_disconnect(self) -> None:
        await asyncio.shield(self._stays)


Ask = Callable[[App], Awaitable[None]]
"""Sends one request, and takes the response."""


def _asgi(bodies: list[bytes], sent: Callable[[], None], stays: "asyncio.Future[None]") -> list[Ask]:
    async def send(message: dict[str, Any]) -> None:
        if message["type"] == "http.response.body":
            sent()
        else:
            assert message["status"] == 200

    def request(body: bytes) -> Ask:
        headers = [(name.encode(), value.encode()) for name, value in inputs.fields(body).items()]
        scope = {
            "type": "http", "method": "POST", "path": "/v1/chat/completions", "query_string": b"", "headers": headers,
            "client": ("127.0.0.1", 50000), "root_path": "",
        }  # fmt: skip
        whole = {"type": "http.request", "body": body, "more_body": False}

        async def ask(app: App) -> None:
            messages = iter((whole,))

            async def receive() -> dict[str, Any]:
                for message in messages:
                    return message
                await asyncio.shield(stays)
                raise AssertionError

            await app(scope, receive, cast("Any", send))

        return ask

    return [request(body) for body in bodies]


def _rsgi(bodies: list[bytes], sent: Callable[[], None], stays: "asyncio.Future[None]") -> list[Ask]:
    def request(body: bytes) -> Ask:
        scope = _RsgiScope(_Headers(inputs.fields(body)))
        protocol = _Protocol(body, sent, stays)

        async def ask(app: App) -> None:
            await app.__rsgi__(cast("Any", scope), cast("Any", protocol))

        return ask

    return [request(body) for body in bodies]


async def _count(face: inputs.Face, directory: Path) -> dict[str, Count]:
    loop = asyncio.get_running_loop()
    provider = _Provider()
    published = inputs.normalised(directory, face, provider.address).read_bytes()
    cells = Cells.create(str(directory / f"cells-{face}"))
    cells.publish(1)
    app = App(lambda loop: _Worker(loop, cells, lambda _: published, json_log=True))
    app.__rsgi_init__(loop)
    stays: asyncio.Future[None] = loop.create_future()
    of_face = _asgi if face == "asgi" else _rsgi
    plain = of_face(inputs.bodies(stream=False), lambda: None, stays)
    streamed = of_face(inputs.bodies(stream=True)[:STREAMS], provider.go.release, stays)
    library = ctypes.CDLL(None)
    _wrap_python(library)

    async def allocated(asks: list[Ask], events: int | None) -> list[int]:
        provider.events = events
        totals = [_Four() for _ in range(ROUNDS + 1)]
        for total in totals[:-1]:
            library.edgeroute_allocated(total)
            for ask in asks:
                await ask(app)
        library.edgeroute_allocated(totals[-1])
        rounds = [[now - then for then, now in zip(*pair, strict=True)] for pair in pairwise(totals)]
        return [min(each) for each in zip(*rounds[1:], strict=True)]

    whole = await allocated(plain, None)
    short, long = await allocated(streamed, 8), await allocated(streamed, 8 + EVENTS)
    one = [more - less for more, less in zip(long, short, strict=True)]
    app.__rsgi_del__(loop)
    return {
        **_named(f"plain request, {face}", whole, REQUESTS),
        **_named(f"stream event, {face}", one, STREAMS * EVENTS),
    }


def _named(what: str, allocated: list[int], times: int) -> dict[str, Count]:
    names = (
        f"allocations: {what}, in Rust",
        f"bytes allocated: {what}, in Rust",
        f"allocations: {what}, in Python",
        f"bytes allocated: {what}, in Python",
    )
    return {name: Count(number / times) for name, number in zip(names, allocated, strict=True)}


_kept: list[Allocator] = []


def _wrap_python(library: ctypes.CDLL) -> None:
    """Put the counter in front of Python's allocators of memory and of objects."""
    for domain in (1, 2):  # PYMEM_DOMAIN_MEM, PYMEM_DOMAIN_OBJ
        inner = Allocator()
        ctypes.pythonapi.PyMem_GetAllocator(domain, ctypes.byref(inner))
        _kept.append(inner)
        functions = (
            ctypes.cast(library[f"edgeroute_python_{name}"], ctypes.c_void_p)
            for name in ("malloc", "calloc", "realloc", "free")
        )
        outer = Allocator(ctypes.cast(ctypes.pointer(inner), ctypes.c_void_p), *functions)
        ctypes.pythonapi.PyMem_SetAllocator(domain, ctypes.byref(outer))


if __name__ == "__main__":
    gc.disable()
    with Path(os.devnull).open("w") as sink, asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        out, sys.stdout = sys.stdout, sink
        found = runner.run(_count(cast("inputs.Face", sys.argv[1]), Path(sys.argv[2])))
    out.write(msgspec.json.encode(found).decode())
