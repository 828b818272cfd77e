"""What was asked of edgeroute, beside what was measured."""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import msgspec
from report import section


class Line(msgspec.Struct, frozen=True):
    """One thing that was asked."""

    asked: str
    measured: str
    met: bool


class Case(msgspec.Struct, frozen=True):
    """One measurement: its tables, its lines, and everything they come from."""

    title: str
    lines: list[Line]
    tables: list[str]
    """In Markdown."""
    raw: object


class Setup(NamedTuple):
    """What all measurements are told."""

    directory: Path
    """For configurations, sockets and logs; empty."""
    rounds: int
    seconds: float
    scale: float
    """Multiplies counts of requests and streams: less than 1 for a look at whether it runs."""


class Options(argparse.Namespace):
    """The command line of what measures cases."""

    only: str
    rounds: int
    seconds: float
    scale: float
    force: bool
    output: Path


class Results(msgspec.Struct):
    """A run, as the raw file has it."""

    facts: dict[str, str]
    cases: dict[str, Case]


Measure = Callable[[Setup], Case]


def at_most(name: str, measured: float, most: float, unit: str) -> Line:
    """What must not be exceeded."""
    return Line(f"{name} ≤ {most:g} {unit}", f"{measured:.2f} {unit}", measured <= most)


def at_least(name: str, measured: float, least: float, unit: str) -> Line:
    """What must be reached."""
    return Line(f"{name} ≥ {least:g} {unit}", f"{measured:.2f} {unit}", measured >= least)


def render(case: Case) -> str:
    """A chapter of the report."""
    rows = [[line.asked, line.measured, "yes" if line.met else "**no**"] for line in case.lines]
    asked = section(case.title, ["asked", "measured", "met"], rows)
    return "\n\n".join([asked, *(table.replace("## ", "### ", 1) for table in case.tables)])
