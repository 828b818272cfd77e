"""The legs of a run: the mock provider, and what may stand between it and the generator."""

import contextlib
import hashlib
import os
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Generator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

HERE = Path(__file__).parent
KEY = "sk-bench-key"
MODEL = "gpt-4o-mini"
EVENTS = 50
"""Events of a stream; the first comes after 20 ms, the others 10 ms apart."""
START_SECONDS = 60


class BenchError(Exception):
    """The benchmark cannot go on; the message says why."""


@dataclass(frozen=True)
class Leg:
    """One way from the generator to the mock provider."""

    name: str
    policy: str
    """`on`, `off`, or `none` where there is no policy to switch."""
    address: str
    process: "subprocess.Popen[bytes]" = field(repr=False)
    roles: tuple[str, ...]
    """What the process, its children and theirs are."""
    said: Path | None = None
    """Where its messages are, if not on the terminal."""

    @property
    def key(self) -> str:
        """Names the leg in tables and raw results."""
        return self.name if self.policy == "none" else f"{self.name}, policy {self.policy}"


def find_nginx() -> str | None:
    """The path of nginx; Debian keeps it where users have no path."""
    return shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")


def load_binary() -> Path:
    """`edgeroute-load`, as `cargo build --release -p edgeroute-load` leaves it, or as EDGEROUTE_LOAD names it."""
    target = Path(os.environ.get("CARGO_TARGET_DIR", HERE.parent / "target"))
    binary = Path(os.environ.get("EDGEROUTE_LOAD", target / "release" / "edgeroute-load"))
    if not binary.is_file():
        raise BenchError(f"{binary} is missing; `cargo build --release -p edgeroute-load` makes it")
    return binary


@contextlib.contextmanager
def running(directory: Path, workers: int) -> Generator[list[Leg]]:
    """Start every leg, and stop them in the end: `direct` first, then nginx where it is installed, then edgeroute."""
    with contextlib.ExitStack() as stack:
        direct = _start_mock(stack)
        legs = [direct]
        nginx = find_nginx()
        if nginx is not None:
            legs.append(_start_nginx(stack, nginx, directory, direct.address))
        legs += [
            _start_edgeroute(stack, directory, face, policy, direct.address, workers)
            for face in ("asgi", "rsgi")
            for policy in ("off", "on")
        ]
        for leg in legs:
            _wait_for(leg)
        yield legs


def _start_mock(stack: contextlib.ExitStack) -> Leg:
    process = _launch(stack, [str(load_binary()), "mock", "--events", str(EVENTS)], output=subprocess.PIPE)
    assert process.stdout is not None
    with process.stdout as output:
        address = output.readline().decode().strip()
    return Leg("direct", "none", address, process, ("mock",))


def _start_nginx(stack: contextlib.ExitStack, nginx: str, directory: Path, provider: str) -> Leg:
    listen = _free_address()
    config = directory / "nginx.conf"
    _fill("nginx.conf", config, DIRECTORY=directory, LISTEN=listen, PROVIDER=provider)
    process = _launch(stack, [nginx, "-c", str(config), "-p", str(directory)])
    return Leg("nginx", "none", listen, process, ("master", "worker"))


def _start_edgeroute(
    stack: contextlib.ExitStack, directory: Path, face: str, policy: str, provider: str, workers: int
) -> Leg:
    listen = _free_address()
    folder = directory / f"{face}-{policy}"
    folder.mkdir()
    config = folder / "edgeroute.yaml"
    _fill(
        "policy.yaml" if policy == "on" else "plain.yaml", config,
        LISTEN=listen, ADMIN=_free_address(), INTERFACE=face, WORKERS=workers, PROVIDER=provider,
        HASH=hashlib.sha256(KEY.encode()).hexdigest(),
    )  # fmt: skip
    command = [sys.executable, "-m", "edgeroute", "run", "--config", str(config)]
    said = stack.enter_context((folder / "said.txt").open("wb"))
    environment = {"EDGEROUTE_RUN_DIR": str(folder / "run"), "PROVIDER_KEY": "sk-provider"}
    process = _launch(stack, command, said=said, environment=environment)
    roles = ("supervisor", "server", "worker")
    return Leg(f"edgeroute {face}", policy, listen, process, roles, Path(said.name))


def _fill(template: str, target: Path, **values: object) -> None:
    text = (HERE / template).read_text()
    target.write_text(re.sub("@([A-Z]+)@", lambda name: str(values[name[1]]), text))


def _launch(
    stack: contextlib.ExitStack,
    command: list[str],
    *,
    output: int = subprocess.DEVNULL,
    said: IO[bytes] | None = None,
    environment: Mapping[str, str] | None = None,
) -> "subprocess.Popen[bytes]":
    """Start a process that stops with the stack; `said` takes what it complains of, `output` the rest."""
    process = subprocess.Popen(command, stdout=output, stderr=said, env={**os.environ, **(environment or {})})
    stack.callback(process.wait, START_SECONDS)
    stack.callback(process.terminate)
    return process


def _free_address() -> str:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return f"127.0.0.1:{probe.getsockname()[1]}"


def _wait_for(leg: Leg) -> None:
    """Ask until there is an answer."""
    deadline = time.monotonic() + START_SECONDS
    request = urllib.request.Request(
        f"http://{leg.address}/v1/chat/completions",
        data=f'{{"model":"{MODEL}","messages":[{{"role":"user","content":"hi"}}]}}'.encode(),
        headers={"authorization": f"Bearer {KEY}", "content-type": "application/json"},
    )
    while time.monotonic() < deadline and leg.process.poll() is None:
        try:
            with urllib.request.urlopen(request, timeout=5):
                return
        except urllib.error.HTTPError as error:
            raise BenchError(f"{leg.key} answers {error.code}: {error.read().decode()}") from None
        except OSError:
            time.sleep(0.05)
    raise BenchError(f"{leg.key} did not start\n{leg.said.read_text() if leg.said else ''}".strip())
