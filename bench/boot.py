"""How soon it serves, and how much memory it takes."""

import contextlib
import statistics
import time
from typing import NamedTuple

from asked import Case, Line, Setup, at_most
from legs import WITH_POLICY, Way, start_edgeroute, start_mock, wait_for
from measure import Load, generate, resident, tell, worker
from report import section

BOOTS = 7
REQUESTS = 1_000_000
LOAD = Load("million", rate=None, connections=32)


class Start(NamedTuple):
    """What one leg did."""

    seconds: list[float]
    """From the command to the first answer of a model, of each boot."""
    idle_mib: float
    """Resident memory of the worker, before any request but one."""
    after_mib: float


def boot(setup: Setup) -> Case:
    """Time to the first answer, and resident memory of a worker, idle and after a million requests."""
    count = int(REQUESTS * setup.scale)
    seen = {way.key: _start(setup, way, count) for way in WITH_POLICY}
    lines: list[Line] = []
    for leg, start in seen.items():
        lines += [
            at_most(f"{leg}, boot", statistics.median(start.seconds), 0.6, "s"),
            at_most(f"{leg}, RSS idle", start.idle_mib * 2**20 / 1e6, 60, "MB"),
            at_most(f"{leg}, RSS after {count:,} requests", start.after_mib * 2**20 / 1e6, 90, "MB"),
        ]
    rows = [
        [
            leg, f"{min(start.seconds):.2f}", f"{statistics.median(start.seconds):.2f}", f"{max(start.seconds):.2f}",
            f"{start.idle_mib:.1f}", f"{start.after_mib:.1f}",
        ]
        for leg, start in seen.items()
    ]  # fmt: skip
    head = ["leg", "boot s, least", "median", "most", "RSS MiB idle", "after"]
    return Case("boot and memory", lines, [section(f"{BOOTS} boots, {count:,} requests", head, rows)], seen)


def _start(setup: Setup, way: Way, count: int) -> Start:
    tell(way.key)
    seconds: list[float] = []
    idle = after = 0.0
    for number in range(BOOTS):
        with contextlib.ExitStack() as stack:
            mock = start_mock(stack)
            directory = setup.directory / f"{way.name} {number}"
            directory.mkdir()
            began = time.monotonic()
            leg = start_edgeroute(stack, directory, way, f"http://{mock.address}/v1")
            wait_for(leg, pause=0.005)
            seconds.append(time.monotonic() - began)
            if number == 0:
                time.sleep(1)
                idle = resident(worker(leg)) / 2**20
                generate(leg, LOAD, 3600, "--count", str(count))
                after = resident(worker(leg)) / 2**20
    return Start(seconds, idle, after)
