"""A small HTTP server in threads of the supervisor, so that it answers while the workers are saturated."""

import hmac
import ipaddress
import json
import socket
import sys
import threading
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Protocol, cast

import msgspec

from edgeroute import telemetry
from edgeroute.config import Secret
from edgeroute.replicas.changes import Command
from edgeroute.supervisor.caches import PurgeCommand

_TEXT = "text/plain; charset=utf-8"
_JSON = "application/json"
_CLIENT_SECONDS = 10
_LARGEST_BODY = 64 << 10
_OUTCOME_STATUS = {"applied": 200, "unchanged": 200, "invalid": 422, "unconfirmed": 503}


class Outcome(Protocol):
    """What became of a reload, or of a change."""

    @property
    def result(self) -> str:
        """A key of `_OUTCOME_STATUS`."""
        ...


class Answers(Protocol):
    """What the listener asks the supervisor, from its own threads."""

    def unready(self) -> str | None:
        """Why requests should not be sent here now; None if they should."""
        ...

    def samples(self) -> list[telemetry.Sample]:
        """Every metric with its value."""
        ...

    def request_reload(self) -> Outcome:
        """Reload and wait for it; TimeoutError if that takes too long, or will never be."""
        ...

    def change_replica(self, command: Command) -> Outcome:
        """Change a replica and wait for it, in the same way."""
        ...

    def replicas(self) -> dict[str, Any]:
        """Every replica, as JSON can hold it."""
        ...

    def cache(self) -> dict[str, Any]:
        """What the cache holds and does, as JSON can hold it."""
        ...

    def purge_cache(self, command: PurgeCommand) -> Outcome:
        """Remove answers from the cache, and wait until they are gone."""
        ...

    def status(self) -> dict[str, Any]:
        """Processes and generation, as JSON can hold them."""
        ...


Reply = tuple[int, str, str]
Body = Callable[[], bytes]
"""Reads the body of a request; raises RefusedBodyError."""


class RefusedBodyError(Exception):
    """A body that cannot be read; its text says what to do."""


def healthz(_: Answers, __: Body) -> Reply:
    """Alive, if it answers at all."""
    return 200, _TEXT, "ok\n"


def readyz(answers: Answers, _: Body) -> Reply:
    """Whether requests should be sent here, and if not, why."""
    reason = answers.unready()
    return (200, _TEXT, "ready\n") if reason is None else (503, _TEXT, f"{reason}\n")


def metrics(answers: Answers, _: Body) -> Reply:
    """Prometheus text exposition, true over all workers."""
    return 200, telemetry.CONTENT_TYPE, telemetry.exposition(answers.samples())


def status(answers: Answers, _: Body) -> Reply:
    """Processes and generation, as JSON."""
    return 200, _JSON, json.dumps(answers.status()) + "\n"


def reload(answers: Answers, _: Body) -> Reply:
    """Reload the configuration and say what became of it, as JSON."""
    return _told(answers.request_reload())


def replicas(answers: Answers, _: Body) -> Reply:
    """The replicas of every provider, as JSON."""
    return 200, _JSON, json.dumps(answers.replicas()) + "\n"


def change_replica(answers: Answers, body: Body) -> Reply:
    """Change one until the next restart and say what became of it, as JSON."""
    try:
        command = msgspec.json.decode(body(), type=Command)
    except (msgspec.DecodeError, UnicodeDecodeError, RefusedBodyError) as error:
        example = '{"action": "drain", "provider": "vllm", "replica": "http://gpu-0:8000/v1"}'
        return 400, _TEXT, f"this is no change of a replica: {error}; send JSON such as {example}\n"
    return _told(answers.change_replica(command))


def cache(answers: Answers, _: Body) -> Reply:
    """What the cache holds, how often it answers, and what speaks for and against it, as JSON."""
    return 200, _JSON, json.dumps(answers.cache()) + "\n"


def purge_cache(answers: Answers, body: Body) -> Reply:
    """Remove answers from the cache and say what became of it, as JSON."""
    try:
        command = msgspec.json.decode(body(), type=PurgeCommand)
    except (msgspec.DecodeError, UnicodeDecodeError, RefusedBodyError) as error:
        return 400, _TEXT, f'this says not what to purge: {error}; send JSON such as {{"model": "faq"}}\n'
    return _told(answers.purge_cache(command))


def _told(outcome: Outcome) -> Reply:
    return _OUTCOME_STATUS[outcome.result], _JSON, msgspec.json.encode(outcome).decode() + "\n"


ROUTES: dict[str, dict[str, Callable[[Answers, Body], Reply]]] = {
    "/healthz": {"GET": healthz},
    "/readyz": {"GET": readyz},
    "/metrics": {"GET": metrics},
    "/status": {"GET": status},
    "/replicas": {"GET": replicas, "POST": change_replica},
    "/cache": {"GET": cache},
    "/cache/purge": {"POST": purge_cache},
    "/reload": {"POST": reload},
}
"""Who answers at each path, by method."""

GUARDED = {"/status", "/replicas", "/cache", "/cache/purge", "/reload"}
"""What not everybody who reaches the listener may ask."""


class Asked(msgspec.Struct, frozen=True):
    """A request. Names of headers are in lower case; `peer` is the address of who sent it."""

    method: str
    path: str
    headers: Mapping[str, str]
    peer: str
    body: Body


def answer(asked: Asked, answers: Answers, admin_key: Secret | None) -> tuple[Reply, dict[str, str]]:
    """The reply to a request, and headers beside the usual ones."""
    path = asked.path.partition("?")[0]
    methods = ROUTES.get(path)
    if methods is None:
        return (404, _TEXT, f"no such path; there are {', '.join(ROUTES)}\n"), {}
    handler = methods.get("GET" if asked.method == "HEAD" else asked.method)
    if handler is None:
        return (405, _TEXT, f"use {' or '.join(methods)}\n"), {"allow": ", ".join(methods)}
    if path in GUARDED and (refusal := refuse(asked, admin_key)) is not None:
        return refusal
    try:
        return handler(answers, asked.body), {}
    except TimeoutError as error:
        return (503, _TEXT, f"{str(error) or 'the supervisor is busy; try again'}\n"), {}


def refuse(asked: Asked, admin_key: Secret | None) -> tuple[Reply, dict[str, str]] | None:
    """Why somebody may not ask what is guarded, or None: who has the key may; without one, who is on this machine.

    Browsers have no business here. They say so by `origin`; by the name in `host` where a page reached a loopback
    address under a name of its own (DNS rebinding).
    """
    if "origin" in asked.headers:
        return (403, _TEXT, "browsers are refused here: the request has an origin\n"), {}
    if admin_key is not None:
        scheme, _, given = asked.headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer" and hmac.compare_digest(given.strip().encode(), admin_key.reveal().encode()):
            return None
        sentence = "this needs the header `authorization: Bearer` with the `admin_key` of the configuration\n"
        return (401, _TEXT, sentence), {"www-authenticate": "Bearer"}
    if _is_loopback(asked.peer) and _is_loopback(_host(asked.headers.get("host", asked.peer))):
        return None
    return (403, _TEXT, "without `admin_key` in the configuration, only this machine itself is answered here\n"), {}


def _host(authority: str) -> str:
    """`[::1]:9400` → `::1`, `localhost:9400` → `localhost`."""
    if authority.startswith("["):
        return authority[1:].partition("]")[0]
    return authority if authority.count(":") > 1 else authority.partition(":")[0]


def _is_loopback(host: str) -> bool:
    if host.lower() == "localhost":
        return True
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return (mapped or address).is_loopback


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = _CLIENT_SECONDS
    # What the base class answers to bytes that are no request.
    error_content_type = _TEXT
    error_message_format = "%(message)s\n"

    def do_GET(self) -> None:
        self._answer()

    do_HEAD = do_POST = do_PUT = do_DELETE = do_PATCH = do_OPTIONS = do_GET  # noqa: N815

    def version_string(self) -> str:
        return "edgeroute"

    def _answer(self) -> None:
        server = cast(_Server, self.server)
        given = {name.lower(): value for name, value in self.headers.items()}
        asked = Asked(self.command, self.path, given, self.client_address[0], lambda: self._body(given))
        (code, content_type, text), headers = answer(asked, server.answers, server.admin_key)
        body = text.encode()
        # A body that came along may not have been read, so the connection cannot carry another request.
        if self.headers.get("content-length", "0") != "0" or "transfer-encoding" in self.headers:
            self.close_connection = True
            headers = headers | {"connection": "close"}
        self.send_response(code)
        for name, value in {
            "content-type": content_type,
            "content-length": str(len(body)),
            **headers,
        }.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _body(self, headers: Mapping[str, str]) -> bytes:
        length = headers.get("content-length", "")
        if not length.isdecimal() or "transfer-encoding" in headers:
            raise RefusedBodyError("it needs a content-length")
        if int(length) > _LARGEST_BODY:
            raise RefusedBodyError(f"it is longer than {_LARGEST_BODY >> 10} KiB")
        return self.rfile.read(int(length))

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Probes come every few seconds: they are not logged."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    answers: Answers
    admin_key: Secret | None

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that goes away is its own business; anything else is told."""
        if not isinstance(sys.exc_info()[1], (ConnectionError, TimeoutError)):
            super().handle_error(request, client_address)


class AdminListener:
    """Listens on a bound socket from `start` to `close`.

    What is `GUARDED` wants the `admin_key`; without one it answers this machine alone.
    """

    def __init__(self, bound: socket.socket, admin_key: Secret | None) -> None:
        self._server = _Server(bound.getsockname(), _Handler, bind_and_activate=False)
        self._server.admin_key = admin_key
        self._server.socket.close()
        self._server.socket = bound
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), name="admin", daemon=True)

    def start(self, answers: Answers) -> None:
        """Begin to answer, in threads."""
        self._server.answers = answers
        # Inherited by its connections, whose remains after a stop would otherwise hold the port for a minute.
        self._server.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._server.server_activate()
        self._thread.start()

    def close(self) -> None:
        """Stop listening."""
        if self._thread.is_alive():
            self._server.shutdown()
        self._server.server_close()
