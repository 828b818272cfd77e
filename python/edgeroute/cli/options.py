"""Options that several commands share, and reading the configuration for them."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from edgeroute.cli.usage import ExitStatus, refuse
from edgeroute.config import ConfigError, Diagnostic, Loaded, load

T = TypeVar("T")

DEFAULT_CONFIG = Path("edgeroute.yaml")

config_option = click.option(
    "-c",
    "--config",
    "path",
    metavar="FILE",
    type=click.Path(path_type=Path),
    envvar="EDGEROUTE_CONFIG",
    default=DEFAULT_CONFIG,
    show_default=True,
    show_envvar=True,
    help="The configuration file.",
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON for scripts.")


def load_config(path: Path) -> Loaded:
    """The configuration; ConfigError with every diagnostic."""
    require_config(path)
    return load(path, os.environ)


def require_config(path: Path) -> None:
    """ConfigError, with what to do, when there is no such file; other trouble shows when it is read."""
    try:
        path.stat()
    except FileNotFoundError:
        advice = "name one with -c FILE; the source tree has config/quickstart.yaml to try"
        missing = Diagnostic("error", "there is no such configuration file", path, 0, 0, "", 0, advice)
        raise ConfigError([missing], [path]) from None
    except OSError:
        pass


def load_or_refuse(path: Path) -> Loaded:
    """The configuration, or every diagnostic on standard error and exit status 2."""
    try:
        return load_config(path)
    except ConfigError as error:
        refuse(str(error), ExitStatus.WRONG_USE)


class Parsed(click.ParamType[T]):
    """An option that is written as in the configuration; `parse` raises ValueError with what it takes."""

    def __init__(self, name: str, parse: Callable[[str], T]) -> None:
        self.name = name
        self._parse = parse

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> T:
        """What `parse` makes of it, or a usage error."""
        try:
            return self._parse(value)
        except ValueError as error:
            self.fail(f"{value!r}: {error}", param, ctx)
