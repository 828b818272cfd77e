"""A small HTTP server in threads of the supervisor, so that it answers while the workers are saturated."""

import json
import socket
import sys
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Protocol, cast

import msgspec

from edgeroute import telemetry

_TEXT = "text/plain; charset=utf-8"
_JSON = "application/json"
_CLIENT_SECONDS = 10
_RELOAD_STATUS = {"applied": 200, "unchanged": 200, "invalid": 422, "unconfirmed": 503}


class ReloadOutcome(Protocol):
    """What became of a reload."""

    @property
    def result(self) -> str:
        """A key of `_RELOAD_STATUS`."""
        ...


class Answers(Protocol):
    """What the listener asks the supervisor, from its own threads."""

    def unready(self) -> str | None:
        """Why requests should not be sent here now; None if they should."""
        ...

    def samples(self) -> list[telemetry.Sample]:
        """Every metric with its value."""
        ...

    def request_reload(self) -> ReloadOutcome:
        """Reload and wait for it; TimeoutError if that takes too long."""
        ...

    def status(self) -> dict[str, Any]:
        """Processes and generation, as JSON can hold them."""
        ...


Reply = tuple[int, str, str]


def healthz(_: Answers) -> Reply:
    """Alive, if it answers at all."""
    return 200, _TEXT, "ok\n"


def readyz(answers: Answers) -> Reply:
    """Whether requests should be sent here, and if not, why."""
    reason = answers.unready()
    return (200, _TEXT, "ready\n") if reason is None else (503, _TEXT, f"{reason}\n")


def metrics(answers: Answers) -> Reply:
    """Prometheus text exposition, true over all workers."""
    return 200, telemetry.CONTENT_TYPE, telemetry.exposition(answers.samples())


def status(answers: Answers) -> Reply:
    """Processes and generation, as JSON."""
    return 200, _JSON, json.dumps(answers.status()) + "\n"


def reload(answers: Answers) -> Reply:
    """Reload the configuration and say what became of it, as JSON."""
    outcome = answers.request_reload()
    return _RELOAD_STATUS[outcome.result], _JSON, msgspec.json.encode(outcome).decode() + "\n"


ROUTES: dict[str, tuple[str, Callable[[Answers], Reply]]] = {
    "/healthz": ("GET", healthz),
    "/readyz": ("GET", readyz),
    "/metrics": ("GET", metrics),
    "/status": ("GET", status),
    "/reload": ("POST", reload),
}


def answer(method: str, path: str, answers: Answers) -> tuple[Reply, dict[str, str]]:
    """The reply to a request, and headers beside the usual ones."""
    allowed, handler = ROUTES.get(path.partition("?")[0], (None, None))
    if handler is None or allowed is None:
        return (404, _TEXT, f"no such path; there are {', '.join(ROUTES)}\n"), {}
    if method != allowed and not (method == "HEAD" and allowed == "GET"):
        return (405, _TEXT, f"use {allowed}\n"), {"allow": allowed}
    try:
        return handler(answers), {}
    except TimeoutError:
        return (503, _TEXT, "the supervisor is busy; try again\n"), {}


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version = "edgeroute"
    sys_version = ""
    timeout = _CLIENT_SECONDS

    def do_GET(self) -> None:
        self._answer()

    do_HEAD = do_POST = do_PUT = do_DELETE = do_PATCH = do_OPTIONS = do_GET  # noqa: N815

    def _answer(self) -> None:
        (code, content_type, text), headers = answer(self.command, self.path, cast(_Server, self.server).answers)
        body = text.encode()
        # A body that came along is not read, so the connection cannot carry another request.
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

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Probes come every few seconds: they are not logged."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    answers: Answers

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that goes away is its own business; anything else is told."""
        if not isinstance(sys.exc_info()[1], (ConnectionError, TimeoutError)):
            super().handle_error(request, client_address)


class AdminListener:
    """Listens on a bound socket from `start` to `close`."""

    def __init__(self, bound: socket.socket) -> None:
        self._server = _Server(bound.getsockname(), _Handler, bind_and_activate=False)
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
