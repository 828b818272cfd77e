"""What is measured: runs of the generator, CPU time and memory of all processes of a leg."""

import contextlib
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from functools import partial
from pathlib import Path

import msgspec
from legs import CORES, HERE, KEY, MODEL, BenchError, Leg, launch, load_binary, on


class Load(msgspec.Struct, frozen=True):
    """What the generator is asked for."""

    name: str
    rate: int | None
    """Requests per second, sent whatever became of the earlier ones. None: as many as the connections carry, each of
    which sends when it has an answer."""
    connections: int = 256
    connected: bool = False
    """Whether all connections are open before the first request is due, instead of each when no other is free."""
    stream: bool = False
    body: int = 0
    """The least bytes of a request's body; 0 gives about 900."""
    mock: dict[str, int] | None = None
    """How the mock is to reply, if not as usual (`bench/load/src/reply.rs`)."""
    length: int = 1
    """How many times as long as those of other loads its rounds are."""
    prompts: str = "texts"
    """What is asked (`bench/load/src/requests.rs`)."""
    model: str = MODEL
    path: str = "/v1/chat/completions"


PLAIN = Load("plain", rate=2000)
SATURATED = Load("saturated", rate=None, connections=32)
STREAM = Load("stream", rate=97, stream=True, length=2)
"""Events of different streams come apart. At 100 a second, and 10 ms between events, all of them would come at once,
and chance would say which are taken up together."""
LOADS = (PLAIN, SATURATED, STREAM)
"""Those of `make bench`; the others are of `make bench-limits`."""
BURST = Load("burst", rate=None, connections=32, stream=True, mock={"events": 100, "first_ms": 0, "gap_ms": 0})
SPACED = Load("spaced", rate=None, connections=32, stream=True, mock={"events": 100, "first_ms": 1, "gap_ms": 1})
BODY = Load("body", rate=None, connections=32, body=200_000)
ALONE = Load("alone", rate=None, connections=1)

DISTURBED = 0.25
"""Cores in others' use from which on the machine is busy, and a round is measured again: such rounds cost a stream up
to 1.6 times its CPU."""
NOMINAL_US = 12_000
"""CPU time of the yardstick's work (waking apart) at its nominal speed: about that of the machine of our results."""
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
    meant: dict[str, int]
    errors: dict[str, int]
    events: int
    latency_us: Quantiles
    overhead_us: Quantiles
    refused_us: Quantiles
    first_event_us: Quantiles
    gap_us: Quantiles
    event_delay_us: Quantiles
    send_delay_us: Quantiles
    connections: int
    behind: bool
    sending_seconds: float
    completed_meanwhile: int
    seconds: float
    cpu_seconds: float


class Yardstick(msgspec.Struct, frozen=True):
    """CPU time of a fixed amount of work, in microseconds (`bench/load/src/yardstick.rs` says what it is)."""

    arithmetic_us: float
    system_us: float
    wake_us: float

    @property
    def slowness(self) -> float:
        """How much slower than nominal the cores are now. Waking is left out: how often it happens depends on more."""
        return (self.arithmetic_us + self.system_us) / NOMINAL_US


class Round(msgspec.Struct, frozen=True):
    """One run of one load over one leg."""

    cpu_us: float
    """CPU time of all threads of all processes of the leg, per request."""
    nominal_us: float
    """The same at the yardstick's nominal speed: divided by its slowness just before and after."""
    beside: tuple[Yardstick, Yardstick]
    """The yardstick before and after."""
    generator_cores: float
    """CPU time of the generator per second; near 1 it is the bottleneck."""
    other_cores: float
    """CPU time of everything that is no part of the benchmark, per second, and what the host took away."""
    generated: Generated


def measure(leg: Leg, load: Load, seconds: float) -> Round:
    """One round; a failed request makes it worthless."""
    sooner = yardstick()
    before, ours, busy, began = cpu_ns(leg.process.pid), _ours_ns(), _busy_ns(), time.monotonic_ns()
    generated = generate(leg, load, load.length * seconds)
    after, took = cpu_ns(leg.process.pid), time.monotonic_ns() - began
    # Of this process, the generator is the only child that has ended meanwhile.
    other = _busy_ns() - busy - (_ours_ns() - ours)
    if generated.errors or not generated.completed:
        raise BenchError(
            f"{leg.key}, {load.name}: {generated.errors or 'nothing answered'}; a figure with errors is none"
        )
    # The kernel may not have accounted for a few requests yet; nothing is divided by zero for that.
    cpu_us = max(after - before, 1) / generated.completed / 1000
    beside = (sooner, yardstick())
    return Round(
        cpu_us=cpu_us,
        nominal_us=cpu_us / slowness(beside),
        beside=beside,
        generator_cores=generated.cpu_seconds / generated.seconds,
        other_cores=max(other, 0) / took,
        generated=generated,
    )


def yardstick() -> Yardstick:
    """How fast the machine is now."""
    return msgspec.json.decode(_load("yardstick"), type=Yardstick)


def slowness(beside: Sequence[Yardstick]) -> float:
    """The mean of some yardsticks' slowness."""
    return statistics.mean(each.slowness for each in beside)


def interleaved(
    legs: list[Leg], loads: Sequence[Load], rounds: int, seconds: float
) -> tuple[dict[str, dict[str, list[Round]]], list[Round]]:
    """Rounds by leg and load, and those that others disturbed. Legs take turns, after a round to warm up.

    A load with a rate leaves cores idle, which are kept awake; one without keeps them awake itself.
    """
    taken = {leg.key: {load.name: list[Round]() for load in loads} for leg in legs}
    disturbed: list[Round] = []
    for number in range(rounds + 1):
        tell("warming up" if number == 0 else f"round {number} of {rounds}")
        for load in loads:
            with contextlib.nullcontext() if load.rate is None else awake():
                for leg in in_turn(legs, number):
                    seen = undisturbed(partial(measure, leg, load, seconds), disturbed)
                    if number:
                        taken[leg.key][load.name].append(seen)
    return taken, disturbed


@contextlib.contextmanager
def awake() -> Generator[None]:
    """Cores do not sleep: see `awake.py`.

    NOTE: without it two runs of `make bench`, one after the other, differed by 18 to 33 % in streams, nginx among them,
    whose many wakes find an idle machine; with it by 5 % or 14 %, and by 3 % where streams do not start in step either.
    """
    with contextlib.ExitStack() as stack:
        for core in CORES.ends | CORES.legs:
            command = [sys.executable, "-S", str(HERE / "awake.py"), str(core)]
            output = launch(stack, command, output=subprocess.PIPE).stdout
            assert output is not None
            stack.enter_context(output).readline()
        yield


def in_turn(legs: list[Leg], number: int) -> list[Leg]:
    """The legs, another one first each round: none has always the same neighbours in time."""
    first = number % len(legs)
    return legs[first:] + legs[:first]


def tell(progress: str) -> None:
    """What goes on, for who waits."""
    print(f"==> {progress}", file=sys.stderr, flush=True)


def undisturbed(take: Callable[[], Round], disturbed: list[Round]) -> Round:
    """A round that others left alone, as long as there are repeats left; `disturbed` gets those that they did not."""
    while (taken := take()).other_cores > DISTURBED and len(disturbed) < MOST_REPEATS:
        disturbed.append(taken)
    return taken


def generate(leg: Leg, load: Load, seconds: float, *more: str) -> Generated:
    """Run the generator; more of its options may be given."""
    options = [
        f"http://{leg.address}{load.path}", "--model", load.model, "--key", KEY, "--prompts", load.prompts,
        "--duration", str(seconds), "--connections", str(load.connections), "--body", str(load.body), *more,
    ]  # fmt: skip
    if load.rate is not None:
        options += ["--rate", str(load.rate)]
    if load.connected:
        options.append("--connected")
    if load.stream:
        options.append("--stream")
    if load.mock is not None:
        options += ["--mock", json.dumps(load.mock)]
    with on(CORES.ends):
        return msgspec.json.decode(_load("generate", *options), type=Generated)


def _load(*arguments: str) -> bytes:
    """What a command of `edgeroute-load` prints."""
    done = subprocess.run([str(load_binary()), *arguments], capture_output=True, check=False)
    if done.returncode:
        raise BenchError(done.stderr.decode().strip())
    return done.stdout


def memory(leg: Leg) -> list[tuple[str, float]]:
    """Resident memory of each process, in MiB, with its role."""
    return [(role, resident(pid) / 2**20) for role, pid in processes(leg)]


def resident(pid: int) -> int:
    """Resident memory of a process, in bytes."""
    status = Path(f"/proc/{pid}/status").read_text()
    return next(int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("VmRSS:"))


def processes(leg: Leg) -> list[tuple[str, int]]:
    """The processes of a leg, by role and id."""
    return [(leg.roles[min(depth, len(leg.roles) - 1)], pid) for pid, depth in family(leg.process.pid)]


def worker(leg: Leg) -> int:
    """The id of the process that serves; of several, the first."""
    return next(pid for role, pid in processes(leg) if role == leg.roles[-1])


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


def _ours_ns() -> int:
    """CPU time of the benchmark: this process, all that it has started, and its children that have ended."""
    ended = os.times()
    return cpu_ns(os.getpid()) + int((ended.children_user + ended.children_system) * 1e9)


def busy_cores(seconds: float) -> float:
    """CPU time that the machine spends per second, of all its cores, while this waits."""
    before, began = _busy_ns(), time.monotonic_ns()
    time.sleep(seconds)
    return (_busy_ns() - before) / (time.monotonic_ns() - began)


def _busy_ns() -> int:
    """CPU time of the whole machine that was not idle, stolen time included."""
    return busy_ns(Path("/proc/stat").read_text(), os.sysconf("SC_CLK_TCK"))


def busy_ns(stat: str, ticks: int) -> int:
    """The same from the text of /proc/stat: all of the first line's fields but idle, iowait and the guests'."""
    user, nice, system, _, _, irq, softirq, steal = (int(each) for each in stat.split("\n", 1)[0].split()[1:9])
    return (user + nice + system + irq + softirq + steal) * 1_000_000_000 // ticks
