"""What commands print: JSON for scripts, tables for people."""

import io
import json
import os
import shutil
import sys
from collections.abc import Container, Sequence
from dataclasses import dataclass
from typing import Any

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

_UNBOUNDED = 10_000
"""Columns where nobody looks: rows are not folded in pipes and files."""


@dataclass(frozen=True, slots=True)
class Screen:
    """Where tables are shown."""

    width: int
    colour: bool

    @staticmethod
    def current() -> "Screen":
        """Standard output: as wide as the terminal, in colour unless NO_COLOR is set; plain elsewhere."""
        if not sys.stdout.isatty():
            return Screen(_UNBOUNDED, colour=False)
        return Screen(shutil.get_terminal_size().columns, colour=not os.environ.get("NO_COLOR"))


def echo_json(value: Any) -> None:
    """Print a value as JSON."""
    click.echo(json.dumps(value, indent=2, ensure_ascii=False))


def table(
    screen: Screen,
    headings: Sequence[str],
    rows: Sequence[Sequence[str | Text]],
    numbers: Container[str] = (),
) -> str:
    """Columns below their headings, those in `numbers` flush right; what is too wide is folded, never cut.

    Without rows there is no table: empty text.
    """
    if not rows:
        return ""
    grid = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0), header_style="bold")
    for heading in headings:
        grid.add_column(heading, justify="right" if heading in numbers else "left", overflow="fold")
    for row in rows:
        grid.add_row(*(Text(printable(cell)) if isinstance(cell, str) else cell for cell in row))
    console = Console(
        file=io.StringIO(),
        width=screen.width,
        force_terminal=screen.colour,
        color_system="standard" if screen.colour else None,
    )
    with console.capture() as capture:
        console.print(grid)
    return "\n".join(line.rstrip() for line in capture.get().splitlines())


def printable(text: str) -> str:
    """Text that cannot command a terminal: line breaks stay, other control characters are replaced."""
    return "".join(each if each.isprintable() or each == "\n" else "\ufffd" for each in text)
