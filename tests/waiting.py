"""Free ports, and waiting for what another process does."""

import contextlib
import random
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

Found = TypeVar("Found")

PATIENCE = 60
"""Seconds: a guard against hanging, never a measurement."""


_given: set[int] = set()


def free_port() -> int:
    """A port that nobody listens on, and that was not given before: it may still be waiting for its listener.

    Below the range that the kernel takes the ports of outgoing connections from, so that it stays free meanwhile.
    """
    while True:
        port = random.randrange(10_000, 32_768)
        if port not in _given:
            _given.add(port)
            with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", port)):
                return port


def wait_for(what: Callable[[], Found]) -> Found:
    """Ask again and again until the answer is true; fail when it never is."""
    deadline = time.monotonic() + PATIENCE
    while not (found := what()):
        assert time.monotonic() < deadline, f"never: {what}"
        time.sleep(0.01)
    return found


def alive(pid: int) -> bool:
    """Whether a process runs; a zombie does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False
