"""Instructions of each computed phase of a request, by callgrind, and what it allocates, by its driver.

Valgrind shows programs a processor of its own (AVX2 where the host has it; no AVX-512, no SHA), so what glibc and our
libraries choose at run time is the same on all processors with AVX2. Counts depend on the compiler, not on the clock.
"""

import re
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec
from baseline import Count

PHASES = ("scan", "decide", "forward", "advance", "record", "event")
_MEASURED = "edgeroute_gates::measured"


class _Ran(msgspec.Struct):
    """What the driver prints."""

    count: int
    allocations: int
    bytes: int


def missing() -> str | None:
    """Why instructions cannot be counted here, if so."""
    if shutil.which("valgrind") is None:
        return "valgrind is not installed"
    if "avx2" not in Path("/proc/cpuinfo").read_text().split():
        return "this processor has no AVX2, and other code would be counted than in the baseline"
    return None


def instructions(driver: Path, configuration: Path, directory: Path) -> dict[str, Count]:
    """Per phase, with the functions where they are spent. Raises CalledProcessError if valgrind or the driver fails."""

    def of(phase: str) -> Count:
        return _instructions(phase, driver, configuration, directory / phase)

    with ThreadPoolExecutor(2) as pool:
        counts = pool.map(of, PHASES)
        return {f"instructions: {phase}": count for phase, count in zip(PHASES, counts, strict=True)}


def allocations(driver: Path, configuration: Path) -> dict[str, Count]:
    """Per phase: how often it allocates, and how many bytes."""
    found: dict[str, Count] = {}
    for phase in PHASES:
        ran = _run([driver, phase, configuration])
        found[f"allocations: {phase}"] = Count(ran.allocations / ran.count)
        found[f"bytes allocated: {phase}"] = Count(ran.bytes / ran.count)
    return found


def _instructions(phase: str, driver: Path, configuration: Path, profile: Path) -> Count:
    options = [
        "--quiet", "--tool=callgrind", f"--toggle-collect={_MEASURED}", f"--callgrind-out-file={profile}",
        "--compress-strings=no", "--compress-pos=no",
    ]  # fmt: skip
    ran = _run(["valgrind", *options, driver, phase, configuration])
    functions = {name: cost / ran.count for name, cost in by_function(profile.read_text()).items()}
    return Count(sum(functions.values()), functions)


def by_function(profile: str) -> dict[str, int]:
    """What a profile of callgrind says of each function itself, without those that it calls."""
    costs: dict[str, int] = {}
    function, of_call = "", False
    for line in profile.splitlines():
        if line.startswith("fn="):
            function = re.sub(r"::h[0-9a-f]{16}|'\d+$", "", line[3:])
        elif line.startswith("calls="):
            of_call = True
        elif line[:1].isdigit():
            if not of_call:
                costs[function] = costs.get(function, 0) + int(line.split()[1])
            of_call = False
    return costs


def _run(command: list[str | Path]) -> _Ran:
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True)
    return msgspec.json.decode(done.stdout, type=_Ran)
