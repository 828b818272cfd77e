"""CPU per plain request, policy on, beside nginx `proxy_pass` in the same run.

The provider is a second nginx with a fixed JSON reply, the load is wrk with 1,024 different requests in rotation.
CPU is the run time of all threads of the system under test (`/proc/PID/task/*/schedstat`), divided by requests.
Rounds are interleaved; the figure is the minimum over the rounds. Needs nginx and wrk (Debian packages).
"""

import argparse
import contextlib
import hashlib
import json
import os
import platform
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

HERE = Path(__file__).parent
KEY = "sk-bench-key"
REPLY = json.dumps(
    {
        "id": "chatcmpl-bench",
        "object": "chat.completion",
        "created": 1750000000,
        "model": "gpt-4o-mini",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "Hello!"}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 120, "completion_tokens": 3, "total_tokens": 123},
    }
)


@dataclass
class System:
    """One system under test."""

    name: str
    port: int
    process: "subprocess.Popen[bytes]"


@dataclass
class Round:
    """What one wrk run showed."""

    cpu_us: float
    requests_per_second: float
    p50_us: int
    p99_us: int


def main() -> None:
    options = arguments()
    for tool in ("nginx", "wrk"):
        if which(tool) is None:
            sys.exit(f"{tool} is not installed; on Debian: apt-get install nginx-light wrk")
    busy = os.getloadavg()[0]
    if busy > options.most_load:
        sys.exit(f"the machine is busy (load {busy:.1f}); figures would be worthless. --most-load overrides.")
    with tempfile.TemporaryDirectory() as directory, systems(Path(directory), options.workers) as running:
        rounds: dict[str, list[Round]] = {system.name: [] for system in running}
        for number in range(options.rounds + 1):
            for system in running:
                measured = measure(system, options.seconds if number else 2, options.connections)
                if number:  # the first round warms up
                    rounds[system.name].append(measured)
                    print(f"round {number} {system.name:16} {measured.cpu_us:7.1f} µs", file=sys.stderr)
    report(rounds, options, busy)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=5)
    parser.add_argument("--connections", type=int, default=32)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--most-load", type=float, default=0.7, help="refuse above this load average")
    parser.add_argument("--save", action="store_true", help="write the result to bench/results")
    return parser.parse_args()


@contextlib.contextmanager
def systems(directory: Path, workers: int) -> Generator[list[System]]:
    provider_port, nginx_port = free_port(), free_port()
    reply = f"default_type application/json; return 200 '{REPLY}';"
    proxy = (
        "proxy_pass http://provider; proxy_http_version 1.1; proxy_set_header connection ''; "
        "proxy_set_header host $host;"
    )
    with contextlib.ExitStack() as stack:
        started = [
            start_nginx(stack, directory, "provider", provider_port, provider_port, reply),
            start_nginx(stack, directory, "proxy", nginx_port, provider_port, proxy),
        ]
        faces = ("asgi", "rsgi")
        started += [start_edgeroute(stack, directory, face, provider_port, workers) for face in faces]
        for system in started:
            wait_for(system)
        yield started[1:]


def start_nginx(
    stack: contextlib.ExitStack, directory: Path, role: str, port: int, provider: int, action: str
) -> System:
    config = directory / f"nginx-{role}.conf"
    fill("nginx.conf", config, DIRECTORY=directory, ROLE=role, LISTEN=port, PROVIDER=provider, ACTION=action)
    command = [str(which("nginx")), "-c", str(config), "-p", str(directory)]
    return System("nginx", port, launch(stack, command))


def start_edgeroute(
    stack: contextlib.ExitStack, directory: Path, interface: str, provider: int, workers: int
) -> System:
    port = free_port()
    config = directory / f"{interface}.yaml"
    digest = hashlib.sha256(KEY.encode()).hexdigest()
    fill("policy.yaml", config, LISTEN=port, ADMIN=free_port(), INTERFACE=interface, PROVIDER=provider, HASH=digest)
    config.write_text(f"workers: {workers}\n{config.read_text()}")
    command = [sys.executable, "-m", "edgeroute", "run", "--config", str(config)]
    return System(f"edgeroute {interface}", port, launch(stack, command))


def fill(template: str, target: Path, **values: object) -> None:
    text = (HERE / template).read_text()
    target.write_text(re.sub("@([A-Z]+)@", lambda name: str(values[name[1]]), text))


def launch(stack: contextlib.ExitStack, command: list[str]) -> "subprocess.Popen[bytes]":
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    stack.callback(process.wait, 30)
    stack.callback(process.terminate)
    return process


def wait_for(system: System) -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        request = urllib.request.Request(
            f"http://127.0.0.1:{system.port}/v1/chat/completions",
            data=b'{"model":"gpt-4o-mini","messages":[{"role":"user","content":"hi"}]}',
            headers={"authorization": f"Bearer {KEY}", "content-type": "application/json"},
        )
        try:
            with urllib.request.urlopen(request, timeout=5) as response:
                if json.load(response)["id"] == "chatcmpl-bench":
                    return
        except OSError:
            time.sleep(0.05)
    sys.exit(f"{system.name} did not start")


def measure(system: System, seconds: int, connections: int) -> Round:
    before = cpu_ns(system.process.pid)
    output = subprocess.run(
        [
            str(which("wrk")), "-t1", f"-c{connections}", f"-d{seconds}s", "-s", str(HERE / "requests.lua"),
            f"http://127.0.0.1:{system.port}",
        ],
        check=True, capture_output=True, text=True,
    ).stdout  # fmt: skip
    used = cpu_ns(system.process.pid) - before
    found = re.search(r"RESULT (\d+) (\d+) (\d+) (\d+) (\d+)", output)
    if found is None:
        sys.exit(f"wrk said:\n{output}")
    requests, duration_us, errors, p50, p99 = map(int, found.groups())
    if errors:
        sys.exit(f"{system.name}: {errors} of {requests} requests failed; a figure with errors is none")
    return Round(used / requests / 1000, requests / duration_us * 1e6, p50, p99)


def cpu_ns(pid: int) -> int:
    """Run time of all threads of a process and its descendants, except the supervisor's mock."""
    total = 0
    for process in family(pid):
        for task in Path(f"/proc/{process}/task").iterdir():
            with contextlib.suppress(FileNotFoundError):
                total += int((task / "schedstat").read_text().split()[0])
    return total


def family(pid: int) -> Iterator[int]:
    yield pid
    for task in Path(f"/proc/{pid}/task").iterdir():
        for child in (task / "children").read_text().split():
            yield from family(int(child))


def report(rounds: dict[str, list[Round]], options: argparse.Namespace, busy: float) -> None:
    base = min(measured.cpu_us for measured in rounds["nginx"])
    lines = ["| system | CPU µs/request | over nginx | requests/s | p50 µs | p99 µs |", "|---|--:|--:|--:|--:|--:|"]
    for name, all_rounds in rounds.items():
        best = min(all_rounds, key=lambda measured: measured.cpu_us)
        lines.append(
            f"| {name} | {best.cpu_us:.1f} | {best.cpu_us / base:.2f} | {best.requests_per_second:,.0f} "
            f"| {best.p50_us} | {best.p99_us} |"
        )
    nginx = subprocess.run([str(which("nginx")), "-v"], check=True, capture_output=True, text=True).stderr
    facts = {
        "date": time.strftime("%Y-%m-%d"),
        "machine": f"{cpu_model()}, {os.cpu_count()} cores, Linux {platform.release()}",
        "load before": f"{busy:.2f}",
        "command": " ".join(["python", "bench/overhead.py", *sys.argv[1:]]),
        "versions": f"edgeroute {version('edgeroute')}, CPython {platform.python_version()}, "
        f"granian {version('granian')}, {nginx.strip().removeprefix('nginx version: ')}",
        "load": f"wrk -t1 -c{options.connections} -d{options.seconds}s, {options.rounds} interleaved rounds",
    }
    text = "\n".join([*lines, "", *(f"- {name}: {value}" for name, value in facts.items())])
    print(text)
    if options.save:
        results = HERE / "results" / f"{facts['date']}-overhead.md"
        raw = {name: [vars(measured) for measured in all_rounds] for name, all_rounds in rounds.items()}
        results.write_text(f"# CPU per plain request, policy on\n\n{text}\n\n```json\n{json.dumps(raw)}\n```\n")


def cpu_model() -> str:
    models = re.findall(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    return models[0] if models else platform.processor()


def which(tool: str) -> str | None:
    return shutil.which(tool, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


if __name__ == "__main__":
    main()
