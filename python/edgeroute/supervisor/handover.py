"""What the supervisor hands to the server process and its workers: environment variables, and files."""

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import msgspec

SERVER = "EDGEROUTE_INTERNAL_SERVER"
"""The server's settings, as JSON."""
RUN_DIR = "EDGEROUTE_INTERNAL_RUN_DIR"
"""The run directory, where workers find the memory file and the generations."""
LOG = "EDGEROUTE_INTERNAL_LOG"
"""The form of log lines: `text` or `json`."""

_ALLOCATOR = {"MALLOC_MMAP_THRESHOLD_": str(1 << 20), "MALLOC_TRIM_THRESHOLD_": str(8 << 20)}
"""glibc's allocator (mallopt(3)) gives memory back to the system whenever some hundred kB are free at the end of its
heap: a worker with bodies of 200 kB then spends a third of its time on page faults. With these values it keeps up to
8 MiB per heap. NOTE: 264 → 185 µs of CPU per request with a body of 194 kB (RSGI, 2026-11; nginx 68).
"""


def with_allocator(environ: Mapping[str, str]) -> dict[str, str]:
    """The environment with our settings of the allocator, where it has none of its own."""
    if any(name in environ for name in (*_ALLOCATOR, "GLIBC_TUNABLES")):
        return dict(environ)
    return {**environ, **_ALLOCATOR}


def cells_file(run_directory: Path) -> Path:
    """Where the memory file is."""
    return run_directory / "cells"


def generation_file(run_directory: Path, number: int) -> Path:
    """Where a generation of the configuration is, in the form that workers compile."""
    return run_directory / f"generation-{number}.json"


def tls_file(run_directory: Path) -> Path:
    """Where the server's certificates and private key are: one PEM file, so that both change at once."""
    return run_directory / "tls.pem"


class ServerSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What the server is started with; none of it changes before a restart."""

    host: str
    port: int
    interface: Literal["asgi", "rsgi"]
    workers: int
    max_connections: int
    """Connections per worker; more wait in the kernel's queue."""
    tls: bool
    """Whether clients speak TLS; then `tls_file` is there."""
    drain: int
    """Whole seconds that open responses may take after SIGTERM."""
    supervisor: int
    """Process id of the supervisor."""
