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
@json_option
def command(path: Path | None, as_json: bool) -> None:
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
        echo_json({"valid": True, "diagnostics": [_as_json(each) for each in loaded.warnings]})
        return
    for warning in loaded.warnings:
        click.echo(f"{warning}\n", err=True)
    click.echo(f"{find_config(path) or ENVIRONMENT}: ok ({_summary(loaded.config)})")


def _as_json(diagnostic: Diagnostic) -> dict[str, Any]:
    """Line and column count from 1; null when it is about the file as a whole."""
    return {
        "file": str(diagnostic.path),
        "line": diagnostic.line or None,
        "column": diagnostic.column or None,
        "severity": diagnostic.severity,
        "message": diagnostic.message,
        "advice": diagnostic.advice,
    }


def _summary(config: Config) -> str:
    counts: list[tuple[Sized, str]] = [
        (config.models, "model"),
        (config.rules, "rule"),
        (config.virtual_keys, "virtual key"),
    ]
    return ", ".join(f"{len(things)} {word}{'s' * (len(things) != 1)}" for things, word in counts)
