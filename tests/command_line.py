"""The command `edgeroute`, in this process or as one of its own, and a list of all its commands."""

import contextlib
import os
import subprocess
import sys
from io import BytesIO, TextIOWrapper
from pathlib import Path

import click
import pytest
from waiting import PATIENCE

from edgeroute.cli import COMMANDS, commands, main

QUICKSTART = Path(__file__).parents[1] / "config" / "quickstart.yaml"
PROGRAM = [sys.executable, "-m", "edgeroute"]
ENVIRONMENT = {name: value for name, value in os.environ.items() if not name.startswith("EDGEROUTE_")}


def edgeroute(
    *arguments: str | Path, given: str = "", folder: Path | None = None, **environ: str
) -> tuple[int, str, str]:
    """Run the command line in this process: exit status, standard output, standard error."""
    written = [TextIOWrapper(BytesIO(), "utf-8") for _ in range(2)]
    with pytest.MonkeyPatch.context() as patch, contextlib.chdir(folder or Path.cwd()):
        patch.setattr(sys, "argv", ["edgeroute", *map(str, arguments)])
        for name, stream in zip(
            ("stdin", "stdout", "stderr"), [TextIOWrapper(BytesIO(given.encode())), *written], strict=True
        ):
            patch.setattr(sys, name, stream)
        for name in os.environ.keys() - ENVIRONMENT.keys():
            patch.delenv(name)
        for name, value in environ.items():
            patch.setenv(name, value)
        with pytest.raises(SystemExit) as exit_:
            main()
    out, error = (stream.buffer.getvalue().decode() for stream in written)
    assert isinstance(exit_.value.code, int)
    return exit_.value.code, out, error


def as_process(
    *arguments: str | Path, given: str = "", folder: Path | None = None, **environ: str
) -> tuple[int, str, str]:
    """The same as a process of its own."""
    finished = subprocess.run(
        [*PROGRAM, *arguments], env=ENVIRONMENT | environ,
        input=given, capture_output=True, text=True, timeout=PATIENCE, cwd=folder,
    )  # fmt: skip
    assert "Traceback" not in finished.stderr
    return finished.returncode, finished.stdout, finished.stderr


def _walk(command: click.Command, path: tuple[str, ...] = ()) -> dict[tuple[str, ...], click.Command]:
    """A command and those below it, by their names."""
    found = {path: command}
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context) if path else COMMANDS:
            below = command.get_command(context, name)
            assert below is not None
            found |= _walk(below, (*path, name))
    return found


EVERY_COMMAND = _walk(commands)
