"""An upgrade behind HAProxy with traffic on: two instances on one host take turns, and no request fails."""

import contextlib
import hashlib
import http.client
import json
import shutil
import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Generator
from pathlib import Path

import pytest
from waiting import PATIENCE, free_port, wait_for

DEPLOY = Path(__file__).parent.parent.parent / "deploy"
CLIENTS = 6

pytestmark = pytest.mark.skipif(shutil.which("haproxy") is None, reason="needs haproxy (Debian: haproxy)")


class Traffic:
    """Clients that ask one after the other until told to stop, each on a connection that it keeps if it can."""

    def __init__(self, port: int) -> None:
        self.outcomes: Counter[str] = Counter()
        self._port = port
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._ask, args=(bool(i % 2),)) for i in range(CLIENTS)]
        for thread in self._threads:
            thread.start()

    def _ask(self, stream: bool) -> None:
        body = json.dumps({"model": "fast", "messages": [{"role": "user", "content": "Hello"}], "stream": stream})
        headers = {"authorization": "Bearer sk-test", "content-type": "application/json"}
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=PATIENCE)
        with contextlib.closing(connection):
            while not self._stop.is_set():
                try:
                    connection.request("POST", "/v1/chat/completions", body, headers)
                    answer = connection.getresponse()
                    whole = answer.read()
                except (OSError, http.client.HTTPException) as error:
                    self.outcomes[f"stream={stream}: {error!r}"] += 1
                    connection.close()
                    continue
                good = answer.status == 200 and (not stream or whole.endswith(b"data: [DONE]\n\n"))
                self.outcomes["good" if good else f"stream={stream}: {answer.status} {whole[-200:]!r}"] += 1

    def stop(self) -> Counter[str]:
        self._stop.set()
        for thread in self._threads:
            thread.join(PATIENCE)
        return self.outcomes


CONFIG = """
listen: 127.0.0.1:{listen}
admin: 127.0.0.1:{admin}
workers: 2
drain_delay: 3s
providers:
  mock: {{dialect: openai-chat, url: "http://127.0.0.1:{mock}/v1"}}
models:
  fast: mock/gpt-5-mini
virtual_keys:
  test: {{hash: "sha256:{hash}"}}
"""


class Instance:
    """`edgeroute run` on the same two ports each time it is started."""

    def __init__(self, folder: Path, mock: int) -> None:
        folder.mkdir()
        self.listen, self.admin = free_port(), free_port()
        key = hashlib.sha256(b"sk-test").hexdigest()
        text = CONFIG.format(listen=self.listen, admin=self.admin, mock=mock, hash=key)
        (folder / "edgeroute.yaml").write_text(text)
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, and wait for its /readyz."""
        with (self._folder / "output.txt").open("ab") as output:
            command = [sys.executable, "-m", "edgeroute", "run"]
            self._process = subprocess.Popen(command, cwd=self._folder, stdout=output, stderr=output)
        wait_for(lambda: status(self.admin, "/readyz") == 200)

    def stop(self) -> None:
        """Ask it to leave, and wait until it has."""
        if self._process is not None:
            self._process.send_signal(signal.SIGTERM)
            assert self._process.wait(PATIENCE) == 0, (self._folder / "output.txt").read_text()
            self._process = None


@contextlib.contextmanager
def running(*command: str, folder: Path) -> Generator[None]:
    process = subprocess.Popen(command, cwd=folder)
    try:
        yield
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(PATIENCE)


def status(port: int, path: str) -> int:
    """What a GET is answered with; 0 when nobody answers."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
    with contextlib.closing(connection):
        try:
            connection.request("GET", path)
            return connection.getresponse().status
        except (OSError, http.client.HTTPException):
            return 0


def test_no_request_fails_while_instances_take_turns(tmp_path: Path) -> None:
    front, mock = free_port(), free_port()
    blue, green = Instance(tmp_path / "blue", mock), Instance(tmp_path / "green", mock)
    settings = (DEPLOY / "haproxy.cfg").read_text()
    for written, here in {
        "127.0.0.1:8080": f"127.0.0.1:{front}",
        "127.0.0.1:4000 port 9400": f"127.0.0.1:{blue.listen} port {blue.admin}",
        "127.0.0.1:4001 port 9401": f"127.0.0.1:{green.listen} port {green.admin}",
    }.items():
        assert written in settings
        settings = settings.replace(written, here)
    (tmp_path / "haproxy.cfg").write_text(settings)
    mock_provider = (sys.executable, "-m", "edgeroute.mock", f"--listen=127.0.0.1:{mock}")
    with contextlib.ExitStack() as stack:
        stack.enter_context(running(*mock_provider, folder=tmp_path))
        stack.callback(green.stop)
        stack.callback(blue.stop)
        blue.start()
        stack.enter_context(running("haproxy", "-db", "-f", "haproxy.cfg", folder=tmp_path))
        wait_for(lambda: status(front, "/v1/models") == 401)
        traffic = Traffic(front)
        stack.callback(traffic.stop)
        for old, new in ((blue, green), (green, blue)):
            new.start()
            before = traffic.outcomes["good"]
            wait_for(lambda before=before: traffic.outcomes["good"] >= before + 100)
            old.stop()
        outcomes = traffic.stop()
    assert set(outcomes) == {"good"}, outcomes
