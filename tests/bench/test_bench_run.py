"""The whole benchmark with tiny counts: everything starts, answers and is reported. Speed is not looked at."""

import subprocess
from pathlib import Path

import msgspec
import pytest
from legs import BenchError, Leg, Way
from measure import LOADS, PLAIN, STREAM, measure
from report import Results
from run import Options, run, save
from waiting import free_port

pytestmark = pytest.mark.usefixtures("load_binary")


def test_a_figure_with_errors_is_none() -> None:
    with subprocess.Popen(["sleep", "60"]) as process:
        gone = Leg(Way("gone"), f"127.0.0.1:{free_port()}", process, ("nobody",))
        with pytest.raises(BenchError, match=r"gone, plain: .*connect"):
            measure(gone, PLAIN, 0.1)
        process.terminate()


def options(output: Path) -> Options:
    return Options(rounds=1, seconds=0.1, locust_seconds=2, workers=1, force=True, output=output)


def test_every_leg_is_measured_under_every_load(tmp_path: Path) -> None:
    results = run(options(tmp_path), {"date": "2026-11-21 12:00"})
    found = {leg.leg: leg for leg in results.legs}
    routers = [f"edgeroute {face}, policy {policy}" for face in ("asgi", "rsgi") for policy in ("off", "on")]
    assert set(found) - {"nginx"} == {"direct", *routers}
    for leg in results.legs:
        assert {name: len(rounds) for name, rounds in leg.rounds.items()} == {load.name: 1 for load in LOADS}
        for [measured] in leg.rounds.values():
            assert measured.cpu_us > 0
            assert not measured.generated.errors
        [stream] = leg.rounds[STREAM.name]
        assert stream.generated.events == 50 * stream.generated.completed
    for router in routers:
        assert [role for role, _ in found[router].memory_mib] == ["supervisor", "server", "worker"]
        seen = found[router].behaviour
        assert seen is not None
        assert seen.requests > 0
        assert seen.failures == 0
    report = save(results, "# Benchmark\n", tmp_path)
    assert report.name == "2026-11-21-1200.md"
    assert msgspec.json.decode(report.with_suffix(".json").read_bytes(), type=Results) == results
