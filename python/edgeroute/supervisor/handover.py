"""What the supervisor hands to the server process and its workers: environment variables, and files."""

from pathlib import Path
from typing import Literal

import msgspec

SERVER = "EDGEROUTE_INTERNAL_SERVER"
"""The server's settings, as JSON."""
RUN_DIR = "EDGEROUTE_INTERNAL_RUN_DIR"
"""The run directory, where workers find the memory file and the generations."""
LOG = "EDGEROUTE_INTERNAL_LOG"
"""The form of log lines: `text` or `json`."""


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
