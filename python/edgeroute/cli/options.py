"""Options that several commands share, and reading the configuration for them."""

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import click

from edgeroute.cli.usage import ExitStatus, refuse
from edgeroute.config import ConfigError, Diagnostic, Loaded, load, load_environment
from edgeroute.config.overrides import KEY_VARIABLE
from edgeroute.config.virtual_key import new_key

T = TypeVar("T")

_ENVIRONMENT = click.core.ParameterSource.ENVIRONMENT

DEFAULT_CONFIG = Path("edgeroute.yaml")

config_option = click.option(
    "-c",
    "--config",
    "path",
    metavar="FILE",
    type=click.Path(path_type=Path),
    envvar="EDGEROUTE_CONFIG",
    show_envvar=True,
    help=f"The configuration file.  [default: {DEFAULT_CONFIG}, else the environment]",
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON for scripts.")


def find_config(path: Path | None) -> Path | None:
    """The named file, else the usual one if it is here; None for the environment. ConfigError without the named."""
    if path is None:
        return DEFAULT_CONFIG if DEFAULT_CONFIG.exists() else None
    try:
        path.stat()
    except FileNotFoundError:
        advice = "name one with -c FILE; the source tree has config/quickstart.yaml to try"
        missing = Diagnostic.about(str(path), "error", "there is no such configuration file", advice)
        raise ConfigError([missing], [path]) from None
    except OSError:
        pass  # told when it is read
    return path


def load_config(path: Path | None) -> Loaded:
    """The configuration; ConfigError with every diagnostic."""
    found = find_config(path)
    return load(found, os.environ) if found is not None else load_environment(with_key(os.environ))


def load_or_refuse(path: Path | None) -> Loaded:
    """The configuration, or every diagnostic on standard error and exit status 2."""
    try:
        return load_config(path)
    except ConfigError as error:
        refuse(str(error), ExitStatus.WRONG_USE)


def with_key(environ: Mapping[str, str]) -> Mapping[str, str]:
    """The environment with a virtual key for a configuration that is made from it: its own, or a fresh one."""
    return environ if environ.get(KEY_VARIABLE) else {**environ, KEY_VARIABLE: new_key()}


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
            # What a variable holds may be the credential of another one; what was typed can be seen anyway.
            typed = ctx is None or param is None or ctx.get_parameter_source(param.name or "") is not _ENVIRONMENT
            self.fail(f"{value!r}: {error}" if typed else str(error), param, ctx)
