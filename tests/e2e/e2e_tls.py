"""An authority of the test's own, and a proxy on the way to a provider."""

import contextlib
import socket
import socketserver
import ssl
import subprocess
import threading
from pathlib import Path

from waiting import PATIENCE

_CONFIG = """
[req]
distinguished_name = name
prompt = no
[name]
CN = {name}
[authority]
basicConstraints = critical, CA:TRUE
[server]
basicConstraints = critical, CA:FALSE
subjectAltName = IP:127.0.0.1, DNS:localhost
"""
_KEY = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]


class Authority:
    """Signs the certificate of one server on 127.0.0.1; `file` is what has to be trusted. Needs `openssl`."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self._folder = folder
        self.file = folder / "authority.pem"
        self.certificate = folder / "server.pem"
        self.key = folder / "server.key"
        for kind, extra in [("authority", []), ("server", ["-CA", "authority.pem", "-CAkey", "authority.key"])]:
            (folder / f"{kind}.cnf").write_text(_CONFIG.format(name=f"edgeroute test {kind}"))
            self._openssl(
                "req", "-new", *_KEY, "-config", f"{kind}.cnf", "-keyout", f"{kind}.key", "-out", f"{kind}.csr"
            )
            signed = extra or ["-signkey", f"{kind}.key"]
            self._openssl(
                "x509", "-req", "-in", f"{kind}.csr", *signed, "-days", "2", "-set_serial", str(len(signed)),
                "-extfile", f"{kind}.cnf", "-extensions", kind, "-out", f"{kind}.pem",
            )  # fmt: skip

    def server(self) -> ssl.SSLContext:
        """What a server shows its certificate with."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.certificate, self.key)
        return context

    def client(self) -> ssl.SSLContext:
        """What a client trusts the server with."""
        return ssl.create_default_context(cafile=str(self.file))

    def _openssl(self, *arguments: str) -> None:
        done = subprocess.run(["openssl", *arguments], cwd=self._folder, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr


class Proxy:
    """Takes CONNECT requests with the right credentials, and passes on what is sent; remembers where to."""

    def __init__(self, authorization: str) -> None:
        self.targets: list[str] = []
        self.received: list[bytes] = []
        """The lines of all requests."""
        proxy = self

        class Connection(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                first, *headers = iter(self.rfile.readline, b"\r\n")
                proxy.received += [first, *headers]
                method, target, _ = first.decode().split(" ")
                fields = [line.decode().strip().lower() for line in headers]
                if method != "CONNECT" or f"proxy-authorization: {authorization}".lower() not in fields:
                    self.wfile.write(b"HTTP/1.1 407 Proxy Authentication Required\r\ncontent-length: 0\r\n\r\n")
                    return
                proxy.targets.append(target)
                host, _, port = target.rpartition(":")
                with socket.create_connection((host, int(port)), timeout=PATIENCE) as there:
                    self.wfile.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
                    back = threading.Thread(target=_pump, args=(there, self.connection))
                    back.start()
                    _pump(self.connection, there)
                    back.join()

        self._server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Connection)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)
        self._thread.start()
        self.address = f"127.0.0.1:{self._server.server_address[1]}"

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


def _pump(source: socket.socket, sink: socket.socket) -> None:
    """Pass bytes on until one side has ended."""
    with contextlib.suppress(OSError):
        while received := source.recv(65_536):
            sink.sendall(received)
        sink.shutdown(socket.SHUT_WR)
