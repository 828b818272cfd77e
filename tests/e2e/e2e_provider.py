"""A provider that says exactly what a test wants, and can be dead."""

import socketserver
import threading

JSON = b'{"object":"chat.completion"}'
OK = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b" % (len(JSON), JSON)


class Provider:
    """Refuses connections until it listens; keeps its port. Every request gets `reply`, byte for byte.

    The connection stays open after it, unless it says `connection: close`.
    """

    def __init__(self, reply: bytes = OK) -> None:
        self.reply = reply
        self.served = 0
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
                length = 0
                while (line := self.rfile.readline()) not in (b"\r\n", b""):
                    name, _, value = line.partition(b":")
                    if name.lower() == b"content-length":
                        length = int(value)
                return line != b"" and len(self.rfile.read(length)) == length

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
