"""System calls and wake-ups of a real worker, per plain request and per stream event.

One thread is the client and the provider at once, and waits at each step for the bytes that must come: the worker has
one thing to do at a time, whatever the machine. Wake-ups are the times at which a thread of the worker had to wait
(voluntary context switches); system calls are counted by strace, which needs the right to trace.
"""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Generator
from pathlib import Path

import inputs
from baseline import Count

REQUESTS = 512
EVENTS = 512
"""More events in the long stream than in the short one."""
ROUNDS = 3
"""Of which the one that took least counts: disturbance only adds."""
PATIENCE = 60.0
"""Seconds: a guard against hanging."""


def count(face: inputs.Face, directory: Path) -> tuple[dict[str, Count], str | None]:
    """What is counted on one face, and why system calls are not, if so."""
    with _serving(face, directory) as (pid, exchange):
        counts = _counts("wake-ups", face, exchange, lambda work: _wake_ups(pid, work))
        why = _traceable(pid)
        if why is None:
            calls = _counts("system calls", face, exchange, lambda work: _system_calls(pid, work, directory))
            counts |= _without_waits(calls)
        return counts, why


_WAITS = ("epoll_wait", "epoll_pwait", "futex", "sched_yield")
"""System calls by which threads wait: how many depends on which of them is faster."""

Counts = dict[str, int]
Work = Callable[[], None]


def _counts(what: str, face: inputs.Face, exchange: "_Exchange", counted: Callable[[Work], Counts]) -> dict[str, Count]:
    exchange.plain(REQUESTS)  # warm
    plain = _least(lambda: counted(lambda: exchange.plain(REQUESTS)))
    exchange.stream(EVENTS)
    short = _least(lambda: counted(lambda: exchange.stream(1)))
    long = _least(lambda: counted(lambda: exchange.stream(1 + EVENTS)))
    events = {part: long[part] - short.get(part, 0) for part in long}
    return {
        f"{what}: plain request, {face}": _each(plain, REQUESTS),
        f"{what}: stream event, {face}": _each(events, EVENTS),
    }


def _least(round_of: Callable[[], Counts]) -> Counts:
    return min((round_of() for _ in range(ROUNDS)), key=lambda counts: sum(counts.values()))


def _without_waits(counts: dict[str, Count]) -> dict[str, Count]:
    """System calls, and apart from them those that wait."""
    apart: dict[str, Count] = {}
    for name, count in counts.items():
        waits = {part: value for part, value in count.parts.items() if part in _WAITS}
        others = {part: value for part, value in count.parts.items() if part not in _WAITS}
        apart[name] = Count(count.count - sum(waits.values()), others)
        apart[name.replace("system calls", "waits")] = Count(sum(waits.values()), waits)
    return apart


def _each(counts: Counts, times: int) -> Count:
    # What comes by the clock (a tick every 50 ms) is less than a hundredth of a request's.
    parts = {part: value / times for part, value in counts.items() if value / times >= 0.1}
    return Count(sum(counts.values()) / times, parts)


class _Exchange:
    """A client's connection, and a provider's."""

    def __init__(self, client: socket.socket, listener: socket.socket) -> None:
        self._client = client
        self._listener = listener
        self._provider: socket.socket | None = None
        self._plain = _requests(stream=False)
        self._streams = _requests(stream=True)

    def plain(self, times: int) -> None:
        """Whole exchanges, one after the other."""
        for number in range(times):
            provider = self._ask(self._plain[number % len(self._plain)])
            provider.sendall(inputs.REPLY)
            inputs.read_message(self._client)

    def stream(self, events: int) -> None:
        """One stream, event by event."""
        provider = self._ask(self._streams[0])
        provider.sendall(inputs.HEAD)
        for _ in range(events):
            provider.sendall(inputs.EVENT)
            self._receive_until(b"\n\n\r\n")
        provider.sendall(inputs.END)
        self._receive_until(b"\r\n0\r\n\r\n")

    def _receive_until(self, end: bytes) -> None:
        received = b""
        while not received.endswith(end):
            received += inputs.some(self._client)

    def _ask(self, request: bytes) -> socket.socket:
        self._client.sendall(request)
        if self._provider is None:
            self._provider, _ = self._listener.accept()
            self._provider.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._provider.settimeout(PATIENCE)
        inputs.read_message(self._provider)
        return self._provider


def _requests(*, stream: bool) -> list[bytes]:
    def request(body: bytes) -> bytes:
        fields = "".join(f"{name}: {value}\r\n" for name, value in inputs.fields(body).items())
        return f"POST /v1/chat/completions HTTP/1.1\r\n{fields}\r\n".encode() + body

    return [request(body) for body in inputs.bodies(stream=stream)]


@contextlib.contextmanager
def _serving(face: inputs.Face, directory: Path) -> Generator[tuple[int, _Exchange]]:
    """A router with one worker: its process, and both of its ends."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        listener.settimeout(PATIENCE)
        listen, admin = _free_address(), _free_address()
        provider = f"127.0.0.1:{listener.getsockname()[1]}"
        configuration = inputs.configuration(directory, face, listen=listen, admin=admin, provider=provider)
        environment = {"EDGEROUTE_RUN_DIR": str(directory / f"run-{face}"), "PROVIDER_KEY": "sk-provider"}
        said = stack.enter_context((directory / f"said-{face}").open("wb"))
        router = subprocess.Popen(
            [sys.executable, "-m", "edgeroute", "run", "--config", str(configuration)],
            stdout=subprocess.DEVNULL, stderr=said, env={**os.environ, **environment},
        )  # fmt: skip
        stack.callback(router.wait, PATIENCE)
        stack.callback(router.terminate)
        host, _, port = listen.partition(":")
        client = stack.enter_context(_connect(host, int(port), router, Path(said.name)))
        client.settimeout(PATIENCE)
        exchange = _Exchange(client, listener)
        exchange.plain(1)
        yield _youngest(router.pid), exchange


def _connect(host: str, port: int, router: "subprocess.Popen[bytes]", said: Path) -> socket.socket:
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline and router.poll() is None:
        with contextlib.suppress(ConnectionRefusedError):
            return socket.create_connection((host, port))
        time.sleep(0.02)
    raise SystemExit(f"the router did not start\n{said.read_text()}")


def _free_address() -> str:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return f"127.0.0.1:{probe.getsockname()[1]}"


def _youngest(pid: int) -> int:
    """The last of a line of processes: supervisor, server, worker."""
    children = [child for task in _tasks(pid) for child in (task / "children").read_text().split()]
    return _youngest(int(children[-1])) if children else pid


def _tasks(pid: int) -> list[Path]:
    return list(Path(f"/proc/{pid}/task").iterdir())


def _wake_ups(pid: int, work: Work) -> Counts:
    before = _waited(pid)
    work()
    return {thread: times - before.get(thread, 0) for thread, times in _waited(pid).items()}


def _waited(pid: int) -> Counts:
    """How often threads have waited, by their names; that of the event loop is the first."""
    waited: Counts = {}
    for task in _tasks(pid):
        fields = dict(line.split(":\t", 1) for line in (task / "status").read_text().splitlines() if ":\t" in line)
        name = "event loop" if task.name == str(pid) else fields["Name"]
        waited[name] = waited.get(name, 0) + int(fields["voluntary_ctxt_switches"])
    return waited


def _traceable(pid: int) -> str | None:
    """Why the process cannot be traced, if so."""
    if shutil.which("strace") is None:
        return "strace is not installed"
    try:
        with _traced(pid, Path(os.devnull)):
            return None
    except PermissionError as error:
        return str(error)


def _system_calls(pid: int, work: Work, directory: Path) -> Counts:
    table = directory / "strace"
    with _traced(pid, table):
        work()
    return by_name(table.read_text())


def by_name(table: str) -> Counts:
    """What `strace -c -U calls,name` counted."""
    rows = (line.split() for line in table.splitlines())
    return {row[1]: int(row[0]) for row in rows if len(row) == 2 and row[0].isdigit() and row[1] != "total"}


@contextlib.contextmanager
def _traced(pid: int, table: Path) -> Generator[None]:
    """Count the system calls of all threads. Raises PermissionError if that is not allowed here."""
    command = ["strace", "-f", "-c", "-U", "calls,name", "-o", str(table), "-p", str(pid)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as strace:
        assert strace.stderr is not None
        try:
            said = strace.stderr.readline()  # "Process N attached …", for each thread or once for all
            if "attached" not in said:
                raise PermissionError(f"strace says: {said.strip()}")
            yield
        finally:
            strace.send_signal(signal.SIGINT)
            strace.stderr.read()
