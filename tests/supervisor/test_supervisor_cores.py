"""`workers: auto`: cores as affinity and control groups allow."""

import os
from pathlib import Path

import pytest

from edgeroute.supervisor import cores

UNIFIED = "0::/system.slice/edgeroute.service\n"
QUOTA, PERIOD = "cpu.cfs_quota_us", "cpu.cfs_period_us"
SPLIT = "5:memory:/pod/one\n4:cpu,cpuacct:/pod/one\n1:name=systemd:/pod\n0::/pod\n"


def _eight(_: int) -> set[int]:
    return set(range(8))


@pytest.mark.parametrize(
    ("groups", "files", "expected"),
    [
        (None, {}, 8),
        (UNIFIED, {}, 8),
        (UNIFIED, {"system.slice/edgeroute.service/cpu.max": "max 100000"}, 8),
        (UNIFIED, {"system.slice/edgeroute.service/cpu.max": "200000 100000"}, 2),
        (UNIFIED, {"system.slice/edgeroute.service/cpu.max": "150000 100000"}, 2),
        (UNIFIED, {"system.slice/edgeroute.service/cpu.max": "10000 100000"}, 1),
        (UNIFIED, {"system.slice/edgeroute.service/cpu.max": "1600000 100000"}, 8),
        (UNIFIED, {"system.slice/cpu.max": "300000 100000", "system.slice/edgeroute.service/cpu.max": "max 5"}, 3),
        (UNIFIED, {"cpu.max": "400000 100000"}, 4),  # in a container that sees the path of its host
        ("0::/\n", {"cpu.max": "400000 100000"}, 4),
        (UNIFIED, {"cpu.max": "what?"}, 8),
        (SPLIT, {f"cpu,cpuacct/pod/one/{QUOTA}": "-1", f"cpu,cpuacct/pod/one/{PERIOD}": "100000"}, 8),
        (SPLIT, {f"cpu,cpuacct/pod/one/{QUOTA}": "250000", f"cpu,cpuacct/pod/one/{PERIOD}": "100000"}, 3),
        (SPLIT, {f"cpu,cpuacct/{QUOTA}": "50000", f"cpu,cpuacct/{PERIOD}": "50000"}, 1),
        (SPLIT, {f"cpu,cpuacct/{QUOTA}": "50000", f"cpu,cpuacct/{PERIOD}": "0"}, 8),
    ],
)  # fmt: skip
def test_cores(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, groups: str | None, files: dict[str, str], expected: int
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", _eight)
    own = tmp_path / "own"
    if groups is not None:
        own.write_text(groups)
    for name, content in files.items():
        file = tmp_path / "cgroup" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content + "\n")
    assert cores.usable_cores(own, tmp_path / "cgroup") == expected


def test_this_machine_has_cores() -> None:
    assert 1 <= cores.usable_cores() <= len(os.sched_getaffinity(0))
