"""`edgeroute run`."""

import os
import sys
from pathlib import Path

import click

from edgeroute.cli.options import config_option, require_config
from edgeroute.cli.usage import ExitStatus, refuse
from edgeroute.config import ConfigError
from edgeroute.errors import StartError
from edgeroute.supervisor.main import run


@click.command("run", epilog="Example: edgeroute run -c edgeroute.yaml --listen 0.0.0.0:4000")
@config_option
@click.option("--listen", metavar="HOST:PORT", help="Instead of `listen` (or EDGEROUTE_LISTEN).")
@click.option("--admin", metavar="HOST:PORT", help="Instead of `admin` (or EDGEROUTE_ADMIN).")
@click.option("--workers", metavar="NUMBER", help="Instead of `workers` (or EDGEROUTE_WORKERS).")
@click.option("--log", metavar="text|json", help="Instead of `log` (or EDGEROUTE_LOG).")
def command(path: Path, **overrides: str | None) -> None:
    """Start the router.

    It stops on SIGTERM or Ctrl-C, when open responses have finished (setting `drain`); on a second Ctrl-C at once. The
    configuration is reloaded when it changes, on SIGHUP, and by `edgeroute reload`.

    Exit status: 0 stopped, 1 could not start or go on, 2 invalid configuration, 130 stopped at once.
    """
    given = {f"EDGEROUTE_{name.upper()}": value for name, value in overrides.items() if value is not None}
    try:
        require_config(path)
        status = run(path, os.environ | given)
    except ConfigError as error:
        refuse(str(error), ExitStatus.WRONG_USE)
    except StartError as error:
        refuse(f"error: {error}", ExitStatus.FAILED)
    sys.exit(status)
