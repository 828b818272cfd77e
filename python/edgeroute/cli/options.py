"""Options that several commands share, and reading the configuration for them."""

import os
import sys
from pathlib import Path
from typing import NoReturn

import click

from edgeroute.config import ConfigError, Loaded, load

DEFAULT_CONFIG = Path("edgeroute.yaml")
INVALID_CONFIG = 2
"""Exit status when the configuration is invalid, as for a wrong command line."""

config_option = click.option(
    "--config",
    "path",
    metavar="FILE",
    type=click.Path(path_type=Path),
    default=DEFAULT_CONFIG,
    show_default=True,
    help="The configuration file.",
)


def load_or_exit(path: Path) -> Loaded:
    """The configuration, or every diagnostic on standard error and exit status 2."""
    require_config(path)
    try:
        return load(path, os.environ)
    except ConfigError as error:
        refuse(str(error), INVALID_CONFIG)


def require_config(path: Path) -> None:
    """Exit with a hint when there is no such file."""
    if not path.exists():
        refuse(
            f"error: there is no configuration file {path}\n"
            "  help: name one with --config FILE; the source tree has config/quickstart.yaml to try",
            INVALID_CONFIG,
        )


def refuse(text: str, status: int) -> NoReturn:
    """Say why on standard error, and exit."""
    click.echo(text, err=True)
    sys.exit(status)
