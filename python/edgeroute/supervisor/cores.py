"""How many cores this process may use: `workers: auto`."""

import math
import os
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

_CGROUPS = Path("/sys/fs/cgroup")
_OWN = Path("/proc/self/cgroup")


def usable_cores(own: Path = _OWN, cgroups: Path = _CGROUPS) -> int:
    """The cores that this process may run on, or fewer, as the quotas of its control groups allow; at least 1.

    `own` and `cgroups` are where Linux shows the groups of the process and what they may use.
    """
    quotas = [math.ceil(quota) for quota in _quotas(own, cgroups)]
    return max(1, min([_affine(), *quotas]))


def _affine() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _quotas(own: Path, cgroups: Path) -> Iterator[float]:
    """The cores that each group around this process may use, of those that are limited (cgroups(7), version 1 and 2).

    In a container the path may be that of the host, which is not there; the container's own group is the root then.
    """
    try:
        lines = own.read_text().splitlines()
    except OSError:
        return
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers and "cpu" not in controllers.split(","):
            continue
        root = cgroups / controllers if controllers else cgroups
        inside = PurePosixPath(path.lstrip("/"))
        for group in (inside, *inside.parents):
            quota = _quota(root / group)
            if quota is not None:
                yield quota


def _quota(group: Path) -> float | None:
    for names in (("cpu.max",), ("cpu.cfs_quota_us", "cpu.cfs_period_us")):
        try:
            quota, period = " ".join((group / name).read_text() for name in names).split()
            if quota not in ("max", "-1"):
                return int(quota) / int(period)
        except (OSError, ValueError, ZeroDivisionError):  # there is no such file, or none that says so
            continue
    return None
