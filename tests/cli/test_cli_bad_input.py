"""What every command does with files that cannot be read, output that cannot be written, and Ctrl-C: no traceback."""

import fcntl
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from command_line import ENVIRONMENT, PRESENT, PROGRAM, QUICKSTART, as_process, edgeroute
from waiting import PATIENCE, free_port, wait_for

from edgeroute.admin import AdminListener
from edgeroute.cli import COMMANDS

REQUEST = '{"path": "/v1/models"}'

READS = {
    "run": ["run -c {file}"],
    "check": ["check -c {file}", "check --json -c {file}"],
    "explain": ["explain -c {file} -", "explain -c {quickstart} {file}"],
    "models": ["models -c {file}"],
    "import": ["import litellm {file}", "import bifrost {file}"],
}
"""How each command reads a file."""

PRINTS = {
    "run": ["run --help"],
    "check": ["check -c {quickstart}", "check --json -c {quickstart}"],
    "explain": ["explain -c {quickstart} {request}"],
    "models": ["models -c {quickstart}", "models --json -c {quickstart}"],
    "keys": ["keys new me", "keys --help"],
    "status": ["status --admin {admin}", "status --json --admin {admin}"],
    "reload": ["reload --admin {admin}"],
    "import": ["import --help"],
    "mock": ["mock --faults"],
    "schema": ["schema"],
    "completion": ["completion zsh"],
    "version": ["version", "--version"],
}
"""How each command prints something and ends."""


class _Answers:
    """A router that is ready."""

    def unready(self) -> None:
        return None

    def samples(self) -> list[tuple[str, float]]:
        return []

    def request_reload(self) -> None:
        raise TimeoutError

    def status(self) -> dict[str, object]:
        return STATUS


def lines(table: dict[str, list[str]]) -> list[str]:
    return [line for name, each in table.items() if name in PRESENT for line in each]


def test_every_command_is_tried_here():
    assert list(PRINTS) == list(COMMANDS)
