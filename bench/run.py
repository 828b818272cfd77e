"""The benchmark: overhead of edgeroute beside nginx and nothing, and its behaviour under mixed users.

Every leg runs at the same time, mostly idle; the generator visits them in turn, round after round, so that whatever
disturbs the machine disturbs all of them.
"""

import argparse
import os
import platform
import re
import shlex
import subprocess
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path

import msgspec
from behaviour import Behaviour, behave
from legs import CORES, DIRECT, HERE, NGINX, ROUTERS, BenchError, Leg, find_nginx, running
from measure import DISTURBED, LOADS, busy_cores, interleaved, memory, tell
from report import LegResults, Results, render

PATIENCE_SECONDS = 60
LOOK_SECONDS = 2.0
"""How long the machine is looked at before it is called calm."""


class Options(argparse.Namespace):
    """The command line."""

    rounds: int
    seconds: float
    locust_seconds: int
    workers: int
    force: bool
    output: Path


def calm(force: bool) -> float:
    """How many cores others use, once what `make bench` has just built is done.

    Ends the program if the machine stays busy, unless `force` says that this does not matter.
    """
    deadline = time.monotonic() + PATIENCE_SECONDS
    while (busy := busy_cores(LOOK_SECONDS)) > DISTURBED and not force:
        if time.monotonic() > deadline:
            sys.exit(f"the machine is busy ({busy:.2f} cores); figures would be worthless. --force overrides.")
        print(f"waiting for the machine to calm down: {busy:.2f} cores, at most {DISTURBED}", file=sys.stderr)
    return busy


def main() -> None:
    options = arguments()
    busy = calm(options.force)
    try:
        results = run(options, facts(options, busy))
    except BenchError as error:
        sys.exit(f"bench: {error}")
    text = render(results)
    print(text)
    saved = save(results, text, options.output)
    print(f"saved: {saved} and {saved.with_suffix('.json').name}", file=sys.stderr)


def arguments() -> Options:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--rounds", type=int, default=16, help="how often each leg is measured under each load; default 16"
    )
    parser.add_argument("--seconds", type=float, default=0.35, help="how long each of these takes; default 0.35")
    parser.add_argument("--locust-seconds", type=int, default=6, help="per leg; 0 leaves locust out; default 6")
    parser.add_argument("--workers", type=int, default=1, help="workers of edgeroute; default 1")
    parser.add_argument("--force", action="store_true", help=f"also on a busy machine (over {DISTURBED} cores)")
    parser.add_argument("--output", type=Path, default=HERE / "results", help="folder for the report and the raw data")
    return parser.parse_args(namespace=Options())


def run(options: Options, described: dict[str, str]) -> Results:
    """Start everything, measure, and stop everything."""
    ways = (DIRECT, NGINX, *ROUTERS)
    with tempfile.TemporaryDirectory() as directory, running(Path(directory), ways, options.workers) as legs:
        taken, disturbed = interleaved(legs, LOADS, options.rounds, options.seconds)
        results = {leg.key: LegResults(leg.key, taken[leg.key]) for leg in legs}
        for leg in legs:
            results[leg.key].memory_mib = memory(leg)
        if options.locust_seconds:
            for leg in legs:
                if leg.way in ROUTERS:
                    tell(f"locust: {leg.key}")
                    results[leg.key].behaviour = flawless(leg, behave(leg, options.locust_seconds))
    return Results(described, list(results.values()), disturbed)


def flawless(leg: Leg, seen: Behaviour) -> Behaviour:
    """The same, if there was no failure."""
    if seen.errors:
        raise BenchError(f"{leg.key}: {seen.failures} of {seen.requests} requests of locust failed:\n{seen.errors}")
    return seen


def facts(options: Options, busy: float) -> dict[str, str]:
    """When, where, with what and how."""
    rounds = f"{options.rounds} of {options.seconds} s (streams: twice as long) per load and leg, interleaved"
    figures = "CPU: means, latency: medians; spread is the interquartile range of CPU at nominal speed"
    return surroundings(busy) | {
        "rounds": f"{rounds}; {figures}",
        "workers": str(options.workers),
    }


def surroundings(busy: float) -> dict[str, str]:
    """When, where and with what."""
    return {
        "date": time.strftime("%Y-%m-%d %H:%M"),
        "machine": f"{cpu_model()}, {os.cpu_count()} cores, Linux {platform.release()}",
        "cores that others used before": f"{busy:.2f}",
        "versions": ", ".join([
            f"edgeroute {version('edgeroute')} ({revision()})", f"CPython {platform.python_version()}",
            f"granian {version('granian')}", f"locust {version('locust')}", nginx_version(),
        ]),
        "command": shlex.join(["python", f"bench/{Path(sys.argv[0]).name}", *sys.argv[1:]]),
        "cores": f"generator and mock {sorted(CORES.ends)}, legs {sorted(CORES.legs)}",
    }  # fmt: skip


def save(results: Results, text: str, folder: Path) -> Path:
    """Write the report and the raw data; named by date and time."""
    folder.mkdir(parents=True, exist_ok=True)
    report = folder / (re.sub("[^0-9-]", "", results.facts["date"].replace(" ", "-")) + ".md")
    report.write_text(text)
    report.with_suffix(".json").write_bytes(msgspec.json.encode(results) + b"\n")
    return report


def cpu_model() -> str:
    models = re.findall(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    return models[0] if models else platform.processor()


def nginx_version() -> str:
    nginx = find_nginx()
    if nginx is None:
        return "no nginx"
    said = subprocess.run([nginx, "-v"], check=True, capture_output=True, text=True).stderr
    return said.strip().removeprefix("nginx version: ")


def revision() -> str:
    """The commit of the tree, marked if the tree has been changed since."""
    said = subprocess.run(
        ["git", "describe", "--always", "--dirty", "--exclude=*"], capture_output=True, text=True, check=False, cwd=HERE
    )
    return said.stdout.strip() or "no git"


if __name__ == "__main__":
    main()
