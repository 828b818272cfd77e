"""What is measured: runs of the generator, CPU time and memory of all processes of a leg."""

import os
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
from legs import KEY, MODEL, BenchError, Leg, load_binary


class Load(msgspec.Struct, frozen=True):
    """What the generator is asked for."""

    name: str
    rate: int
    """Requests per second. More than a system can take means: as many as the connections carry."""
    connections: int = 256
    stream: bool = False
    saturates: bool = False
    """Whether the rate is meant to be out of reach."""


PLAIN = Load("plain", rate=2000)
SATURATED = Load("saturated", rate=1_000_000, connections=32, saturates=True)
STREAM = Load("stream", rate=100, stream=True)
LOADS = (PLAIN, SATURATED, STREAM)

DISTURBED = 0.25
"""Cores that others use in a round that is measured again: such rounds cost a stream up to 1.6 times its CPU."""
MOST_REPEATS = 25
"""So that a busy machine makes a run half a minute longer, and not endless."""


class Quantiles(msgspec.Struct, frozen=True):
    """Of a distribution, in microseconds."""

    count: int
    mean: float
    p50: float
    p90: float
    p99: float
    p999: float
    max: float


class Generated(msgspec.Struct, frozen=True):
    """What the generator says of a run (`bench/load/src/results.rs` says what each field means)."""

    due: int
    sent: int
    unsent: int
    completed: int
    errors: dict[str, int]
    events: int
    latency_us: Quantiles
    first_event_us: Quantiles
    gap_us: Quantiles
    send_delay_us: Quantiles
    connections: int
    behind: bool
    seconds: float
    cpu_seconds: float


class Round(msgspec.Struct, frozen=True):
    """One run of one load over one leg."""

    cpu_us: float
    """CPU time of all threads of all processes of the leg, per request."""
    generator_cores: float
    """CPU time of the generator per second; near 1 it is the bottleneck."""
    other_cores: float
    """CPU time of everything that is no part of the benchmark, per second, and what the host took away."""
    generated: Generated


def measure(leg: Leg, load: Load, seconds: float, legs: list[Leg]) -> Round:
    """One round; a failed request makes it worthless."""
    before, ours, busy, began = cpu_ns(leg.process.pid), _ours_ns(legs), _busy_ns(), time.monotonic_ns()
    generated = generate(leg, load, seconds)
    after, took = cpu_ns(leg.process.pid), time.monotonic_ns() - began
    # Of this process, the generator is the only child that has ended meanwhile.
    other = _busy_ns() - busy - (_ours_ns(legs) - ours)
    if generated.errors or not generated.completed:
        raise BenchError(
            f"{leg.key}, {load.name}: {generated.errors or 'nothing answered'}; a figure with errors is none"
        )
    return Round(
        cpu_us=(after - before) / generated.completed / 1000,
        generator_cores=generated.cpu_seconds / generated.seconds,
        other_cores=max(other, 0) / took,
        generated=generated,
    )


def undisturbed(take: Callable[[], Round], disturbed: list[Round]) -> Round:
    """A round that others left alone, as long as there are repeats left; `disturbed` gets those that they did not."""
    while (taken := take()).other_cores > DISTURBED and len(disturbed) < MOST_REPEATS:
        disturbed.append(taken)
    return taken


def generate(leg: Leg, load: Load, seconds: float) -> Generated:
    """Run the generator."""
    command = [
        str(load_binary()), "generate", f"http://{leg.address}/v1/chat/completions", "--model", MODEL, "--key", KEY,
        "--rate", str(load.rate), "--duration", str(seconds), "--connections", str(load.connections),
    ]  # fmt: skip
    if load.stream:
        command.append("--stream")
    done = subprocess.run(command, capture_output=True, check=False)
    if done.returncode:
        raise BenchError(done.stderr.decode().strip())
    return msgspec.json.decode(done.stdout, type=Generated)


def memory(leg: Leg) -> list[tuple[str, float]]:
    """Resident memory of each process, in MiB, with its role."""
    found: list[tuple[str, float]] = []
    for pid, depth in family(leg.process.pid):
        status = Path(f"/proc/{pid}/status").read_text()
        kib = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS:"))
        found.append((leg.roles[min(depth, len(leg.roles) - 1)], kib / 1024))
    return found


def cpu_ns(pid: int) -> int:
    """Run time of all threads of a process and of its descendants."""
    try:
        tasks = [task for process, _ in family(pid) for task in Path(f"/proc/{process}/task").iterdir()]
        return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks)
    except FileNotFoundError:
        raise BenchError(f"process {pid} or a part of it ended during the measurement") from None


def family(pid: int, depth: int = 0) -> Iterator[tuple[int, int]]:
    """A process and its descendants, each with its distance."""
    yield pid, depth
    for task in Path(f"/proc/{pid}/task").iterdir():
        for child in (task / "children").read_text().split():
            yield from family(int(child), depth + 1)


def _ours_ns(legs: list[Leg]) -> int:
    """CPU time of the benchmark: every leg, this process, and its children that have ended."""
    own = os.times()
    finished = own.user + own.system + own.children_user + own.children_system
    return sum(cpu_ns(leg.process.pid) for leg in legs) + int(finished * 1e9)


def _busy_ns() -> int:
    """CPU time of the whole machine that was not idle, stolen time included."""
    return busy_ns(Path("/proc/stat").read_text(), os.sysconf("SC_CLK_TCK"))


def busy_ns(stat: str, ticks: int) -> int:
    """The same from the text of /proc/stat: all of the first line's fields but idle, iowait and the guests'."""
    user, nice, system, _, _, irq, softirq, steal = (int(each) for each in stat.split("\n", 1)[0].split()[1:9])
    return (user + nice + system + irq + softirq + steal) * 1_000_000_000 // ticks
