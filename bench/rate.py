"""Three figures at 5,000 requests a second, the rate at which Bifrost published its 11 and 59 µs.

- *stages*: what that figure counts, which is choice of key, preparation and set-up (there is no queue to wait in), in
  this process, one request at a time: the decision without rules and limits, which that figure leaves out, and the
  provider's request up to its handing to the kernel. In the decision, reading the client's head and body and finding
  the virtual key are counted, too, although that figure leaves them out. Its write is in the measured call, so a write
  of about as many bytes to the same mock is measured in turns with it, after such a decision, and taken off. Both are
  called from Python, which costs the write more: its buffers are looked at there. Beside it stands the same with rules
  and limits.
- *overhead*: `x-edgeroute-overhead-us`, what edgeroute itself counts: from the decision's beginning to the response
  being handed to the server, less waiting for the provider.
- *end to end*: what a client sees, less what it sees of the mock without anything between. Between this and overhead
  lie the server (a leg of its own, *granian*), the kernel's sockets, and threads that wait for the core.
"""

import asyncio
import os
import socket
import time
from collections.abc import Sequence

import msgspec
from asked import Case, Line, Setup, at_most
from legs import CORES, DIRECT, FLOORS, KEY, MODEL, NGINX, WITH_POLICY, Leg, configure, on, running
from measure import Load, Round, awake, generate, interleaved
from ratios import generator
from report import median, raw, section

from edgeroute import _native
from edgeroute.config import Config
from edgeroute.config.normalise import normalise
from edgeroute.config.schema import Limits

RATES = (5000, 4000, 3000, 2000, 1000, 500)
"""The first that every leg and the generator can keep to."""
REQUESTS = 20_000
"""Calls of each stage."""
TURN = 1_000
"""So many of them before it is the other's turn."""


class Stages(msgspec.Struct, frozen=True):
    """Median times of stages, in microseconds."""

    decide_us: float
    attempt_us: float
    write_us: float
    """Such a write alone; it is part of the one before."""

    @property
    def counted_us(self) -> float:
        """What is left of both without the write."""
        return self.decide_us + self.attempt_us - self.write_us


def rate(setup: Setup) -> Case:
    """Three figures of overhead at 5,000 requests a second, or the most the box carries."""
    with running(setup.directory, (DIRECT, NGINX, *FLOORS, *WITH_POLICY)) as legs:
        load = _highest(legs, setup.seconds)
        taken, disturbed = interleaved(legs, [load], setup.rounds, setup.seconds)
        with awake(), on(CORES.legs):
            environment = {**os.environ, "PROVIDER_KEY": "sk-provider"}
            file = configure(setup.directory, WITH_POLICY[0], f"http://{legs[0].address}/v1")
            config = Config.load(file, environment)
            bare, whole = [
                asyncio.run(_stages(normalise(each, environment), legs[0].address, int(REQUESTS * setup.scale)))
                for each in (without_policy(config), config)
            ]
    rounds = {leg: by_load[load.name] for leg, by_load in taken.items()}
    counted = at_most("stages that Bifrost's figure counts", bare.counted_us, 5, "µs")
    beside = f"{counted.measured}; with rules and limits {whole.counted_us:.2f} µs"
    lines = [Line(counted.asked, beside, counted.met)]
    for way in WITH_POLICY:
        overhead = median(rounds[way.key], lambda each: each.generated.overhead_us.p50)
        beyond = _p50(rounds[way.key]) - _p50(rounds[DIRECT.key])
        floor = _p50(rounds[f"granian {way.name.split()[-1]}"]) - _p50(rounds[DIRECT.key])
        line = at_most(f"{way.name}, overhead p50", overhead, 60, "µs")
        explained = f"{line.measured}; end to end {beyond:+.0f} µs, of which granian alone {floor:+.0f} µs"
        lines.append(Line(line.asked, explained, line.met))
    if load.rate != RATES[0]:
        lines.append(Line(f"{RATES[0]} requests/s", f"{load.rate}: this machine does not carry more", met=False))
    tables = [
        section(
            "Stages, µs, median",
            ["", "decide", "attempt", "write alone", "left"],
            [["without rules and limits", *_cells(bare)], ["with them", *_cells(whole)]],
        ),
        section(f"{load.rate} requests/s, open loop", HEAD, _rows(rounds)),
    ]
    return Case(f"rate: {load.rate} requests a second", lines, tables, [bare, whole, rounds, disturbed])


def _highest(legs: Sequence[Leg], seconds: float) -> Load:
    loads = [Load("rate", rate=each) for each in RATES]
    for load in loads:
        # Twice of three times: a machine may stall once for reasons of its own.
        if all(sum(generate(leg, load, seconds).behind for _ in range(3)) < 2 for leg in legs):
            return load
    return loads[-1]


def without_policy(config: Config) -> Config:
    """The same without rules and limits; the choice among targets stays."""
    teams = {name: msgspec.structs.replace(team, limits=Limits()) for name, team in config.teams.items()}
    return msgspec.structs.replace(config, rules=[], teams=teams)


async def _stages(normalised: bytes, mock: str, count: int) -> Stages:
    cells = _native.Cells.anonymous()
    cells.publish(1)
    worker = _native.Worker(cells, 1, True)
    worker.configure(worker.compile(normalised, 1))
    loop = asyncio.get_running_loop()
    loop.add_reader(worker.fileno(), worker.serve)
    decide: list[int] = []
    attempt: list[int] = []
    write: list[int] = []
    # In turns, since a machine changes from second to second.
    for first in range(0, count, TURN):
        bodies = [body(number) for number in range(first, min(first + TURN, count))]
        attempt += await _attempts(worker, bodies, decide)
        write += await _writes(worker, bodies, mock)
    loop.remove_reader(worker.fileno())
    worker.close()
    return Stages(_middle(decide), _middle(attempt), _middle(write))


async def _attempts(worker: _native.Worker, bodies: Sequence[bytes], decide: list[int]) -> list[int]:
    loop = asyncio.get_running_loop()
    taken: list[int] = []
    for content in bodies:
        ticket, decided = _decide(worker, content)
        decide.append(decided)
        future = _native.DirectFuture(loop)
        began = time.perf_counter_ns()
        ticket.attempt(future, None)
        taken.append(time.perf_counter_ns() - began)
        await future
        ticket.response(False)
    worker.take_log()
    return taken


async def _writes(worker: _native.Worker, bodies: Sequence[bytes], mock: str) -> list[int]:
    loop = asyncio.get_running_loop()
    host, port = mock.split(":")
    taken: list[int] = []
    with socket.create_connection((host, int(port))) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.setblocking(False)
        answered = loop.create_future()
        loop.add_reader(connection, lambda: answered.set_result(connection.recv(65536)))
        for content in bodies:
            request = [_head(content), content]
            ticket, _ = _decide(worker, content)
            answered = loop.create_future()
            began = time.perf_counter_ns()
            connection.sendmsg(request)
            taken.append(time.perf_counter_ns() - began)
            await answered
            ticket.close()
        loop.remove_reader(connection)
    worker.take_log()
    return taken


def _decide(worker: _native.Worker, content: bytes) -> tuple[_native.Ticket, int]:
    headers = [*HEADERS, ("content-length", str(len(content)))]
    began = time.perf_counter_ns()
    ticket = worker.decide("POST", "/v1/chat/completions", "", headers, "127.0.0.1", content)
    return ticket, time.perf_counter_ns() - began


def _head(content: bytes) -> bytes:
    fields = "".join(f"{name}: {value}\r\n" for name, value in HEADERS)
    return f"POST /v1/chat/completions HTTP/1.1\r\n{fields}content-length: {len(content)}\r\n\r\n".encode()


HEADERS = [
    ("host", "127.0.0.1:4000"), ("user-agent", "edgeroute-load/1.0"), ("accept", "application/json"),
    ("content-type", "application/json"), ("x-request-tag", "t1"), ("authorization", f"Bearer {KEY}"),
]  # fmt: skip


def body(number: int) -> bytes:
    """A chat request of about 0.9 kB."""
    words = " ".join(WORDS[(number * 7 + place * place) % len(WORDS)] for place in range(110))
    message = {"role": "user", "content": f'Question {number}: "{words}"\n'}
    return msgspec.json.encode({"model": MODEL, "temperature": 0.5, "max_tokens": 300, "messages": [message]})


WORDS = ["ocean", "maple", "harbor", "canyon", "violet", "lantern", "meadow", "copper", "winter", "signal", "ember"]
HEAD = ["leg", "p50 µs", "over direct", "p99 µs", "overhead p50 µs", "p99", "CPU µs/request", "generator cores"]


def _cells(stages: Stages) -> list[str]:
    figures = (stages.decide_us, stages.attempt_us, stages.write_us, stages.counted_us)
    return [f"{figure:.1f}" for figure in figures]


def _rows(rounds: dict[str, list[Round]]) -> list[list[str]]:
    direct = _p50(rounds[DIRECT.key])
    return [
        [
            leg, f"{_p50(each):.0f}", f"{_p50(each) - direct:+.0f}" if leg != DIRECT.key else "",
            f"{median(each, lambda one: one.generated.latency_us.p99):.0f}",
            *_overhead(each), f"{raw(each):.1f}", generator(each),
        ]
        for leg, each in rounds.items()
    ]  # fmt: skip


def _overhead(rounds: Sequence[Round]) -> list[str]:
    if not rounds[0].generated.overhead_us.count:
        return ["", ""]
    p50 = median(rounds, lambda one: one.generated.overhead_us.p50)
    return [f"{p50:.0f}", f"{median(rounds, lambda one: one.generated.overhead_us.p99):.0f}"]


def _p50(rounds: Sequence[Round]) -> float:
    return median(rounds, lambda one: one.generated.latency_us.p50)


def _middle(times_ns: list[int]) -> float:
    return sorted(times_ns)[len(times_ns) // 2] / 1000
