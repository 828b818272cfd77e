"""The legs of a run: the mock provider, and what may stand between it and the generator."""

import contextlib
import hashlib
import json
import os
import re
import resource
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, NamedTuple

HERE = Path(__file__).parent
KEY = "sk-bench-key"
MODEL = "gpt-4o-mini"
EVENTS = 50
"""Events of a stream; the first comes after 20 ms, the others 10 ms apart."""
START_SECONDS = 60
_CACHED = """cached: {{targets: [provider/a], cache: exact}}
  understood: {{targets: [provider/a], cache: {{mode: semantic, serve: always}}}}
cache: {{path: {}/cache}}"""
"""Models with caches, beside those of `policy.yaml`, and where answers are kept."""
MOST_CONNECTIONS = 10_000
SPARE_DESCRIPTORS = 500


class BenchError(Exception):
    """The benchmark cannot go on; the message says why."""


class Way(NamedTuple):
    """What may stand between the generator and the mock provider."""

    name: str
    policy: str = "none"
    """`on`, `off`, `cached` (on, and with caches), or `none` where there is no policy to switch."""
    tls: bool = False
    """Whether the provider is reached over TLS."""

    @property
    def key(self) -> str:
        """Names the leg in tables and raw results."""
        policy = "" if self.policy == "none" else f", policy {self.policy}"
        return self.name + policy + (", TLS upstream" if self.tls else "")


DIRECT = Way("direct")
NGINX = Way("nginx")
ROUTERS = tuple(Way(f"edgeroute {face}", policy) for face in ("asgi", "rsgi") for policy in ("off", "on"))
WITH_POLICY = tuple(way for way in ROUTERS if way.policy == "on")
WITH_CACHE = tuple(way._replace(policy="cached") for way in WITH_POLICY)
WITH_TLS = tuple(way._replace(tls=True) for way in WITH_POLICY)
FLOORS = (Way("granian asgi"), Way("granian rsgi"))
"""The server alone, with an application that reads the request and answers (`bench/floor.py`)."""


@dataclass(frozen=True)
class Leg:
    """One way from the generator to the mock provider, running."""

    way: Way
    address: str
    process: "subprocess.Popen[bytes]" = field(repr=False)
    roles: tuple[str, ...]
    """What the process, its children and theirs are."""
    said: Path | None = None
    """Where its messages are, if not on the terminal."""
    admin: str = ""
    """Where edgeroute serves its metrics."""

    @property
    def key(self) -> str:
        """Names the leg in tables and raw results."""
        return self.way.key


class Cores(NamedTuple):
    """Who runs where, so that no leg shares a core with what drives it and its threads always meet the same ones."""

    ends: set[int]
    """The generator and the mock: the first core."""
    legs: set[int]
    """What stands between them: the others."""


def divide(cores: set[int]) -> Cores:
    """The cores of the machine, divided; where there is one, all share it."""
    first = {min(cores)}
    return Cores(first, cores - first or first)


CORES = divide(os.sched_getaffinity(0))


@contextlib.contextmanager
def on(cores: set[int]) -> Generator[None]:
    """Processes that are started here stay on these cores."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


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
def running(
    directory: Path, ways: Sequence[Way], workers: int = 1, max_in_flight: int | None = None
) -> Generator[list[Leg]]:
    """Start legs, and stop them in the end. nginx is left out where it is not installed.

    Without `max_in_flight`, edgeroute takes a request on every connection.
    """
    with contextlib.ExitStack() as stack:
        direct = start_mock(stack)
        tls = start_mock(stack, directory / "authority.pem") if any(way.tls for way in ways) else direct
        legs: list[Leg] = []
        for way in ways:
            nginx = find_nginx()
            if way == DIRECT:
                legs.append(direct)
            elif way == NGINX:
                if nginx is not None:
                    legs.append(_start_nginx(stack, nginx, directory, direct.address))
            elif way in FLOORS:
                legs.append(_start_floor(stack, way))
            else:
                provider = f"https://{tls.address}/v1" if way.tls else f"http://{direct.address}/v1"
                legs.append(start_edgeroute(stack, directory, way, provider, workers, max_in_flight))
        for leg in legs:
            wait_for(leg)
        yield legs


def start_mock(stack: contextlib.ExitStack, authority: Path | None = None) -> Leg:
    """The provider; over TLS if the certificate of its authority is to be written to a file."""
    tls = [] if authority is None else ["--tls", str(authority)]
    with on(CORES.ends):
        process, address = launch_mock(stack, *tls)
    return Leg(DIRECT, address, process, ("mock",))


def launch_mock(stack: contextlib.ExitStack, *options: str) -> tuple["subprocess.Popen[bytes]", str]:
    """A mock provider with these options, and its address."""
    process = launch(stack, [str(load_binary()), "mock", *options], output=subprocess.PIPE)
    assert process.stdout is not None
    with process.stdout as output:
        return process, output.readline().decode().strip()


def start_edgeroute(
    stack: contextlib.ExitStack,
    directory: Path,
    way: Way,
    provider: str,
    workers: int = 1,
    max_in_flight: int | None = None,
) -> Leg:
    """A router whose provider has this base URL."""
    listen, admin = free_address(), free_address()
    config = configure(directory, way, provider, listen, admin, workers, max_in_flight)
    command = [sys.executable, "-m", "edgeroute", "run", "--config", str(config)]
    said = stack.enter_context(config.with_name("said.txt").open("wb"))
    environment = {"EDGEROUTE_RUN_DIR": str(config.with_name("run")), "PROVIDER_KEY": "sk-provider"}
    with on(CORES.legs):
        process = launch(stack, command, said=said, environment=environment)
    return Leg(way, listen, process, ("supervisor", "server", "worker"), Path(said.name), admin)


def configure(
    directory: Path,
    way: Way,
    provider: str,
    listen: str = "127.0.0.1:1",
    admin: str = "127.0.0.1:2",
    workers: int = 1,
    max_in_flight: int | None = None,
) -> Path:
    """The configuration of a leg, in a folder of its own."""
    connections = most_connections(raise_limit())
    folder = Path(tempfile.mkdtemp(prefix=re.sub("[^a-z]+", "-", way.key) + "-", dir=directory))
    trust = f"ca_file: {directory}/authority.pem" if way.tls else ""
    config = folder / "edgeroute.yaml"
    _fill(
        "plain.yaml" if way.policy == "off" else "policy.yaml", config,
        LISTEN=listen, ADMIN=admin, INTERFACE=way.name.split()[-1], WORKERS=workers, PROVIDER=provider, TRUST=trust,
        CONNECTIONS=connections, REQUESTS=max_in_flight or connections,
        HASH=hashlib.sha256(KEY.encode()).hexdigest(),
        CACHED=_CACHED.format(folder) if way.policy == "cached" else "",
    )  # fmt: skip
    return config


def raise_limit() -> int:
    """Processes that are started from now on may have as many descriptors as the system lets them: how many."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    return most


def most_connections(descriptors: int) -> int:
    """Clients of a worker, each of which takes a connection to the provider, too."""
    return min(MOST_CONNECTIONS, (descriptors - SPARE_DESCRIPTORS) // 2)


def counters(leg: Leg) -> dict[str, float]:
    """The metrics of a router, by name with labels."""
    with urllib.request.urlopen(f"http://{leg.admin}/metrics", timeout=10) as answer:
        lines = answer.read().decode().splitlines()
    pairs = (line.rsplit(" ", 1) for line in lines if not line.startswith("#"))
    return {name: float(value) for name, value in pairs}


def _start_nginx(stack: contextlib.ExitStack, nginx: str, directory: Path, provider: str) -> Leg:
    listen = free_address()
    config = directory / "nginx.conf"
    _fill("nginx.conf", config, DIRECTORY=directory, LISTEN=listen, PROVIDER=provider)
    with on(CORES.legs):
        process = launch(stack, [nginx, "-c", str(config), "-p", str(directory)])
    return Leg(NGINX, listen, process, ("master", "worker"))


def _start_floor(stack: contextlib.ExitStack, way: Way) -> Leg:
    address = free_address()
    host, port = address.split(":")
    command = [
        sys.executable, "-m", "granian", "floor:app", "--working-dir", str(HERE), "--interface", way.name.split()[-1],
        "--host", host, "--port", port, "--loop", "uvloop", "--no-log",
    ]  # fmt: skip
    with on(CORES.legs):
        process = launch(stack, command)
    return Leg(way, address, process, ("server", "worker"))


def _fill(template: str, target: Path, **values: object) -> None:
    text = (HERE / template).read_text()
    target.write_text(re.sub("@([A-Z]+)@", lambda name: str(values[name[1]]), text))


def launch(
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


def free_address() -> str:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return f"127.0.0.1:{probe.getsockname()[1]}"


def example(leg: Leg, **more: object) -> urllib.request.Request:
    """A request to a leg, in whose body is more than has to be."""
    body = {"model": MODEL, "messages": [{"role": "user", "content": "hi"}], **more}
    headers = {"authorization": f"Bearer {KEY}", "content-type": "application/json"}
    return urllib.request.Request(f"http://{leg.address}/v1/chat/completions", json.dumps(body).encode(), headers)


def wait_for(leg: Leg, pause: float = 0.05) -> None:
    """Ask until there is an answer."""
    deadline = time.monotonic() + START_SECONDS
    request = example(leg)
    while time.monotonic() < deadline and leg.process.poll() is None:
        try:
            with urllib.request.urlopen(request, timeout=5):
                return
        except urllib.error.HTTPError as error:
            raise BenchError(f"{leg.key} answers {error.code}: {error.read().decode()}") from None
        except OSError:
            time.sleep(pause)
    raise BenchError(f"{leg.key} did not start\n{leg.said.read_text() if leg.said else ''}".strip())
