"""`edgeroute check`."""

from collections.abc import Sized
from pathlib import Path

import click

from edgeroute.cli.options import load_or_exit


@click.command("check")
@click.argument("path", metavar="FILE", type=click.Path(path_type=Path))
def command(path: Path) -> None:
    """Check the configuration FILE, offline: every error is shown, with its place and what to do.

    Exit status: 0 valid (warnings included), 2 invalid.
    """
    loaded = load_or_exit(path)
    for warning in loaded.warnings:
        click.echo(f"{warning}\n", err=True)
    config = loaded.config
    click.echo(
        f"{path}: ok ({_count(config.models, 'model')}, {_count(config.rules, 'rule')}, "
        f"{_count(config.virtual_keys, 'virtual key')})"
    )


def _count(things: Sized, word: str) -> str:
    return f"{len(things)} {word}{'s' * (len(things) != 1)}"
