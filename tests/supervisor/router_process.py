"""A real router on free ports: `edgeroute run` as a process, and ways to look at it."""

import contextlib
import hashlib
import http.client
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

from waiting import PATIENCE, free_port, wait_for

BASE = """
drain: 10m
providers:
  stub: {{dialect: openai-chat, url: http://127.0.0.1:9/v1}}
models:
  {model}: stub/one
virtual_keys:
  demo: {{hash: "sha256:{hash}"}}
"""


class Router:
    """`edgeroute run` in a folder of its own."""

    def __init__(self, folder: Path, **settings: str | int) -> None:
        self.folder = folder
        self.config = folder / "edgeroute.yaml"
        self.settings = {
            "listen": f"127.0.0.1:{free_port()}", "admin": f"127.0.0.1:{free_port()}", **settings
        }  # fmt: skip
        self.listen, self.admin = (int(str(self.settings[each]).rpartition(":")[2]) for each in ("listen", "admin"))
        self.configure("first")
        self.output = folder / "output.txt"
        self.process: subprocess.Popen[bytes] | None = None

    def configure(self, model: str, **changes: object) -> None:
        """Write a configuration with one model of this name, whole or not at all."""
        self.replace(self.text(model, **changes))

    def text(self, model: str, **changes: object) -> str:
        settings = self.settings | changes
        key = hashlib.sha256(b"sk-test").hexdigest()
        return "".join(f"{name}: {value}\n" for name, value in settings.items()) + BASE.format(model=model, hash=key)

    def replace(self, text: str) -> None:
        draft = self.folder / "draft"
        draft.write_text(text)
        draft.rename(self.config)

    def start(self) -> "Router":
        with self.output.open("wb") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "edgeroute", "run"],
                cwd=self.folder, stdout=output, stderr=subprocess.STDOUT, start_new_session=True,
                env={**os.environ, "EDGEROUTE_RUN_DIR": str(self.folder / "run")},
            )  # fmt: skip
        return self

    def ready(self) -> "Router":
        def look() -> bool:
            assert self.process is not None
            assert self.process.poll() is None, self.said()
            return self.ask("GET", "/readyz")[0] == 200

        wait_for(look)
        return self

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    def said(self) -> str:
        return self.output.read_text()

    def ask(self, method: str, path: str) -> tuple[int, str]:
        """Ask the admin listener; status 0 when nobody answers."""
        connection = http.client.HTTPConnection("127.0.0.1", self.admin, timeout=PATIENCE)
        with contextlib.closing(connection):
            try:
                connection.request(method, path)
                answer = connection.getresponse()
                return answer.status, answer.read().decode()
            except (OSError, http.client.HTTPException):
                return 0, ""

    def status(self) -> dict[str, Any]:
        return json.loads(self.ask("GET", "/status")[1])

    def workers(self) -> list[int]:
        return [each["pid"] for each in self.status()["workers"]]

    def metric(self, sample: str) -> float:
        for line in self.ask("GET", "/metrics")[1].splitlines():
            if line.startswith(sample + " "):
                return float(line.removeprefix(sample))
        return 0

    def models(self) -> list[str]:
        """The models that the workers serve now, asked as a client on a new connection."""
        connection = http.client.HTTPConnection("127.0.0.1", self.listen, timeout=PATIENCE)
        with contextlib.closing(connection):
            connection.request("GET", "/v1/models", headers={"authorization": "Bearer sk-test"})
            return [each["id"] for each in json.loads(connection.getresponse().read())["data"]]

    def family(self) -> set[int]:
        """Every process below the router, by way of the kernel."""
        found: set[int] = set()
        frontier = [self.pid]
        while frontier:
            pid = frontier.pop()
            with contextlib.suppress(OSError):
                for task in Path(f"/proc/{pid}/task").iterdir():
                    frontier += (children := [int(each) for each in (task / "children").read_text().split()])
                    found.update(children)
        return found

    def mock_pid(self) -> int:
        """The mock provider, which is a process of the router's."""
        (found,) = (
            pid for pid in self.family() if b"edgeroute.mock" in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        )
        return found

    def send(self, number: signal.Signals) -> None:
        os.kill(self.pid, number)

    def wait(self) -> int:
        assert self.process is not None
        return self.process.wait(PATIENCE)

    def close(self) -> None:
        """End it by force, with what it started."""
        if self.process is not None and self.process.poll() is None:
            family = self.family()
            self.process.kill()
            self.process.wait(PATIENCE)
            for pid in family:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
