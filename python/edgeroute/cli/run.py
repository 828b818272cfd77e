"""`edgeroute run`."""

import os
import sys
from functools import partial
from pathlib import Path

import click

from edgeroute.cli.options import config_option, find_config, with_key
from edgeroute.cli.usage import ExitStatus, refuse
from edgeroute.config import ConfigError, configuration_from, load, load_environment
from edgeroute.config.overrides import KEY_VARIABLE
from edgeroute.errors import StartError
from edgeroute.supervisor.generations import Read
from edgeroute.supervisor.main import run


@click.command("run", epilog="Example: edgeroute run -c edgeroute.yaml --listen 0.0.0.0:4000")
@config_option
@click.option("--listen", metavar="HOST:PORT", help="Instead of `listen` (or EDGEROUTE_LISTEN).")
@click.option("--admin", metavar="HOST:PORT", help="Instead of `admin` (or EDGEROUTE_ADMIN).")
@click.option("--workers", metavar="NUMBER", help="Instead of `workers` (or EDGEROUTE_WORKERS).")
@click.option("--log", metavar="text|json", help="Instead of `log` (or EDGEROUTE_LOG).")
def command(path: Path | None, **overrides: str | None) -> None:
    """Start the router.

    It stops on SIGTERM or Ctrl-C, when open responses have finished (setting `drain`); on a second Ctrl-C at once.
    The configuration is reloaded when it changes, on SIGHUP, and by `edgeroute reload`.

    Exit status: 0 stopped, 1 could not start or go on, 2 invalid configuration, 130 stopped at once.
    """
    given = {name: value for name, value in overrides.items() if value is not None}
    try:
        found = find_config(path)
        read = _from_environment(given) if found is None else partial(load, found, os.environ, given)
        status = run(read, os.environ)
    except ConfigError as error:
        refuse(str(error), ExitStatus.WRONG_USE)
    except StartError as error:
        refuse(f"error: {error}", ExitStatus.FAILED)
    sys.exit(status)


def _from_environment(overrides: dict[str, str]) -> Read:
    """Without a file: say what the environment amounts to, and with which key it is used."""
    environ = with_key(os.environ)
    read = partial(load_environment, environ, overrides)
    read()  # what cannot be used is refused before anything is promised
    click.echo(f"There is no edgeroute.yaml here. This is served instead:\n\n{configuration_from(environ)}")
    if not os.environ.get(KEY_VARIABLE):
        click.echo(f"Clients use this key until the router stops; set {KEY_VARIABLE} to one of your own:\n")
        click.echo(f"  {environ[KEY_VARIABLE]}\n")
    return read
