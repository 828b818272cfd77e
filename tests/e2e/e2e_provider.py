"""A provider that says exactly what a test wants, and can be dead."""

import socketserver
import ssl
import threading
from collections.abc import Callable, Iterable

JSON = b'{"object":"chat.completion"}'
OK = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b" % (len(JSON), JSON)


Headers = dict[str, str]
"""The header fields of a request, names in lower case."""


def whole(body: bytes, status: bytes = b"200 OK") -> bytes:
    """A whole reply of JSON."""
    return b"HTTP/1.1 %b\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b" % (status, len(body), body)


def streamed(events: bytes) -> bytes:
    """A stream that ends with its connection."""
    return b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n" + events


class Provider:
    """Refuses connections until it listens; keeps its port. Every request gets `reply`, byte for byte.

    A reply may come in pieces. The connection stays open after it, unless it says `connection: close`. With `tls` it
    speaks https.
    """

    def __init__(
        self,
        reply: bytes | Callable[[Headers], bytes | Iterable[bytes]] = OK,
        tls: ssl.SSLContext | None = None,
        address: tuple[str, int] = ("127.0.0.1", 0),
    ) -> None:
        self.reply = reply
        self.requests: list[tuple[str, Headers, bytes]] = []
        """Path, headers and body of each request."""
        provider = self

        class Connection(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                while (headers := self._read()) is not None:
                    reply = provider.reply
                    answer = reply if isinstance(reply, bytes) else reply(headers)
                    closes = False
                    for piece in [answer] if isinstance(answer, bytes) else answer:
                        self.wfile.write(piece)
                        closes |= b"connection: close" in piece
                    if closes:
                        return

            def _read(self) -> Headers | None:
                """Take one whole request; None when there is none."""
                first, headers = self.rfile.readline(), Headers()
                while (line := self.rfile.readline()) not in (b"\r\n", b""):
                    name, _, value = line.decode("latin-1").partition(":")
                    headers[name.lower()] = value.strip()
                length = int(headers.get("content-length", "0"))
                if line == b"" or len(body := self.rfile.read(length)) != length:
                    return None
                provider.requests.append((first.decode("latin-1").split(" ")[1], headers, body))
                return headers

        self._server = socketserver.ThreadingTCPServer(address, Connection, bind_and_activate=False)
        self._server.daemon_threads = True
        self._server.server_bind()
        if tls is not None:
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True, do_handshake_on_connect=False)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self.address = f"{address[0]}:{self._server.server_address[1]}"
        self.url = f"{'http' if tls is None else 'https'}://{self.address}/v1"

    @property
    def received(self) -> list[Headers]:
        """The header fields of each request."""
        return [headers for _, headers, _ in self.requests]

    @property
    def served(self) -> int:
        """Requests so far."""
        return len(self.requests)

    def listen(self) -> "Provider":
        """Accept connections from now on."""
        self._server.server_activate()
        self._thread.start()
        return self

    def close(self) -> None:
        if self._thread.is_alive():
            self._server.shutdown()
            self._thread.join()
        self._server.server_close()
