"""A raw HTTP client for the mock provider, and what it says it received."""

import http.client
import json
import socket
import time
from collections.abc import Callable
from typing import Any

HANG = 30.0
"""Seconds after which a test has hung."""


class Mock:
    """What the tests see of a running mock provider: its address, and what it says it received."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.url = f"http://127.0.0.1:{port}"

    def call(
        self, method: str, path: str, body: bytes | None = None, headers: dict[str, str] | None = None
    ) -> tuple[int, http.client.HTTPMessage, bytes]:
        """One request on a connection of its own: status, headers, body."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=HANG)
        try:
            connection.request(method, path, body, headers or {})
            response = connection.getresponse()
            return response.status, response.headers, response.read()
        finally:
            connection.close()

    def connect(self) -> socket.socket:
        """A raw connection."""
        return socket.create_connection(("127.0.0.1", self.port), timeout=HANG)

    def raw(self, sent: bytes) -> bytes:
        """Everything that comes back for ``sent``, until the server closes."""
        with self.connect() as connection:
            connection.sendall(sent)
            return b"".join(iter(lambda: connection.recv(65536), b""))

    def requests(self) -> list[dict[str, Any]]:
        """The requests it keeps, oldest first."""
        return json.loads(self.call("GET", "/mock/requests")[2])["requests"]

    def stats(self) -> dict[str, int]:
        """Its counters."""
        return json.loads(self.call("GET", "/mock/stats")[2])

    def until(self, seen: Callable[[dict[str, int]], bool]) -> dict[str, int]:
        """Ask for the counters until ``seen`` says yes."""
        deadline = time.monotonic() + HANG
        while not seen(stats := self.stats()):
            assert time.monotonic() < deadline, stats
        return stats
