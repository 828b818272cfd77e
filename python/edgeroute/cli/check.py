"""`edgeroute check`."""

import sys
from collections.abc import Sized
from pathlib import Path
from typing import Any

import click

from edgeroute.cli.options import config_option, find_config, json_option, load_config
from edgeroute.cli.output import echo_json
from edgeroute.cli.usage import ExitStatus, refuse
from edgeroute.config import Config, ConfigError, Diagnostic
from edgeroute.config.from_environment import ENVIRONMENT


@click.command("check", epilog="Example: edgeroute check -c edgeroute.yaml")
@config_option
@click.option("--notes", is_flag=True, help="Show notes too: what is good to know about rules that are right.")
@json_option
def command(path: Path | None, notes: bool, as_json: bool) -> None:
    """Check a configuration file, offline: every mistake is shown, with its place and what to do.

    Exit status: 0 valid (warnings included), 2 invalid.
    """
    try:
        loaded = load_config(path)
    except ConfigError as error:
        if not as_json:
            refuse(str(error), ExitStatus.WRONG_USE)
        echo_json({"valid": False, "diagnostics": [_as_json(each) for each in error.diagnostics]})
        sys.exit(ExitStatus.WRONG_USE)
    if as_json:
        found = [*loaded.warnings, *loaded.notes]
        echo_json({"valid": True, "diagnostics": [_as_json(each) for each in found]})
        return
    for each in [*loaded.warnings, *(loaded.notes if notes else ())]:
        click.echo(f"{each}\n", err=True)
    click.echo(f"{find_config(path) or ENVIRONMENT}: ok ({_summary(loaded.config)}){_hint(loaded.notes, notes)}")


def _as_json(diagnostic: Diagnostic) -> dict[str, Any]:
    """Line and column count from 1; null when it is about the file as a whole. Widths are in characters."""
    return {
        "file": str(diagnostic.path),
        "line": diagnostic.line or None,
        "column": diagnostic.column or None,
        "width": diagnostic.width or None,
        "severity": diagnostic.severity,
        "code": diagnostic.code,
        "message": diagnostic.message,
        "labels": [
            {"line": each.line, "column": each.column, "width": each.width, "text": each.text}
            for each in diagnostic.labels
        ],
        "advice": diagnostic.advice,
    }


def _hint(notes: list[Diagnostic], shown: bool) -> str:
    if not notes or shown:
        return ""
    return f"; --notes shows {len(notes)} note{'s' * (len(notes) != 1)} on rules"


def _summary(config: Config) -> str:
    counts: list[tuple[Sized, str]] = [
        (config.models, "model"),
        (config.rules, "rule"),
        (config.virtual_keys, "virtual key"),
    ]
    return ", ".join(f"{len(things)} {word}{'s' * (len(things) != 1)}" for things, word in counts)
