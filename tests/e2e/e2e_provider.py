"""A provider that says exactly what a test wants, and can be dead."""

import socketserver
import threading

JSON = b'{"object":"chat.completion"}'
OK = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b" % (len(JSON), JSON)


def whole(body: bytes, status: bytes = b"200 OK") -> bytes:
    """A whole reply of JSON."""
    return b"HTTP/1.1 %b\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b" % (status, len(body), body)


def streamed(events: bytes) -> bytes:
    """A stream that ends with its connection."""
    return b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n" + events


class Provider:
    """Refuses connections until it listens; keeps its port. Every request gets `reply`, byte for byte.

    The connection stays open after it, unless it says `connection: close`.
    """

    def __init__(self, reply: bytes = OK) -> None:
        self.reply = reply
        self.served = 0
        self.requests: list[tuple[str, dict[str, str], bytes]] = []
        """Path, headers and body of each request."""
        provider = self

        class Connection(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                while self._read():
                    provider.served += 1
                    self.wfile.write(provider.reply)
                    if b"connection: close" in provider.reply:
                        return

            def _read(self) -> bool:
                """Take one whole request; false when there is none."""
                first, headers = self.rfile.readline(), dict[str, str]()
                while (line := self.rfile.readline()) not in (b"\r\n", b""):
                    name, _, value = line.decode("latin-1").partition(":")
                    headers[name.lower()] = value.strip()
                length = int(headers.get("content-length", "0"))
                if line == b"" or len(body := self.rfile.read(length)) != length:
                    return False
                provider.requests.append((first.decode("latin-1").split(" ")[1], headers, body))
                return True

        self._server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Connection, bind_and_activate=False)
        self._server.daemon_threads = True
        self._server.server_bind()
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/v1"

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
