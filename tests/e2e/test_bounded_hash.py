"""Consistent hashing with bounded loads beside HAProxy's, over the same backends."""

import contextlib
import math
import shutil
import subprocess
import threading
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import pytest
from e2e_config import basic_config
from e2e_provider import OK, Headers, Provider
from e2e_router import KEY, Answer, Config, Http, Router
from waiting import PATIENCE, free_port, wait_for

START = Callable[[Config], Router]
BACKENDS = 4
REQUESTS = 24
FACTOR = 125
HEADER = "x-session-id"

HAPROXY = """
global
    nbthread 1
defaults
    mode http
    timeout connect {patience}s
    timeout client {patience}s
    timeout server {patience}s
frontend clients
    bind 127.0.0.1:{port}
    default_backend replicas
backend replicas
    balance hdr({header})
    hash-type consistent
    hash-balance-factor {factor}
{servers}
"""


class Backends:
    """Backends that answer nobody until all may go."""

    def __init__(self) -> None:
        self._gate = threading.Event()
        self.all = [Provider(self._answer).listen() for _ in range(BACKENDS)]

    def _answer(self, _: Headers) -> bytes:
        assert self._gate.wait(PATIENCE)
        return OK

    @property
    def served(self) -> list[int]:
        return [each.served for each in self.all]

    @contextlib.contextmanager
    def holding(self) -> Generator[list[int]]:
        """What each had served before; requests wait until the end of the block."""
        self._gate.clear()
        try:
            yield self.served
        finally:
            self._gate.set()


@pytest.fixture(scope="module")
def backends() -> Iterator[Backends]:
    made = Backends()
    yield made
    for each in made.all:
        each.close()


@pytest.fixture(scope="module")
def router(start: START, backends: Backends) -> Http:
    config = basic_config(workers=2)
    config["providers"]["hosted"] = {"dialect": "openai-chat", "urls": [each.url for each in backends.all]}
    strategy = {"name": "bounded-hash", "key": [f"header:{HEADER}"], "load_factor": FACTOR / 100}
    config["models"]["hosted"] = {"targets": ["hosted/llama"], "strategy": strategy}
    return start(config)


@pytest.fixture(scope="module")
def haproxy(backends: Backends, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Http]:
    program = shutil.which("haproxy", path="/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin")
    if program is None:
        pytest.skip("needs haproxy (Debian: haproxy)")
    port = free_port()
    servers = "\n".join(f"    server s{number} {each.address}" for number, each in enumerate(backends.all))
    file = tmp_path_factory.mktemp("haproxy") / "haproxy.cfg"
    file.write_text(HAPROXY.format(port=port, header=HEADER, factor=FACTOR, servers=servers, patience=PATIENCE))
    process = subprocess.Popen([program, "-f", str(file)], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)

    def listens() -> bool:
        assert process.poll() is None, process.communicate()[1]
        with contextlib.suppress(OSError), Http(port).raw():
            return True
        return False

    try:
        wait_for(listens)
        yield Http(port)
    finally:
        process.terminate()
        process.communicate(timeout=PATIENCE)


def most_loaded(proxy: Http, backends: Backends, sessions: int) -> list[int]:
    """Requests that the most loaded backend has, after each of those that are sent one by one and stay open."""
    most: list[int] = []
    with ThreadPoolExecutor(REQUESTS) as pool:
        with backends.holding() as before:

            def loads() -> list[int]:
                return [served - sooner for served, sooner in zip(backends.served, before, strict=True)]

            asked: list[Future[Answer]] = []
            for number in range(REQUESTS):
                asked.append(pool.submit(ask, proxy, f"session {number % sessions}"))
                wait_for(lambda number=number: sum(loads()) == number + 1)
                most.append(max(loads()))
        assert [each.result().status for each in asked] == [200] * REQUESTS
    return most


def ask(proxy: Http, session: str) -> Answer:
    body = b'{"model":"hosted","messages":[{"role":"user","content":"Hello"}]}'
    headers = {"authorization": f"Bearer {KEY}", "content-type": "application/json", HEADER: session}
    return proxy.ask("POST", "/v1/chat/completions", body, headers)


BOUNDS = [math.ceil(FACTOR * open_requests / 100 / BACKENDS) for open_requests in range(1, REQUESTS + 1)]
"""What the most loaded backend may have, after each request."""


@pytest.mark.parametrize("sessions", [1, 3, REQUESTS])
def test_no_replica_is_above_its_bound(router: Http, backends: Backends, sessions: int) -> None:
    most = most_loaded(router, backends, sessions)
    assert all(loaded <= bound for loaded, bound in zip(most, BOUNDS, strict=True)), (most, BOUNDS)
    if sessions == 1:
        assert most == BOUNDS, "one session fills its replica up to the bound, and then the next"


@pytest.mark.parametrize("sessions", [1, 3, REQUESTS])
def test_haproxy_keeps_the_same_bound(haproxy: Http, router: Http, backends: Backends, sessions: int) -> None:
    theirs, ours = (most_loaded(proxy, backends, sessions) for proxy in (haproxy, router))
    assert all(loaded <= bound + 1 for loaded, bound in zip(theirs, BOUNDS, strict=True)), (theirs, BOUNDS)
    if sessions == 1:
        assert all(abs(a - b) <= 1 for a, b in zip(theirs, ours, strict=True)), (theirs, ours)
