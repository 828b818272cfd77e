"""`edgeroute run`."""

import os
import sys
from pathlib import Path

import click

from edgeroute.cli.options import INVALID_CONFIG, config_option, refuse, require_config
from edgeroute.config import ConfigError
from edgeroute.errors import StartError
from edgeroute.supervisor.main import run


@click.command("run")
@config_option
def command(path: Path) -> None:
    """Start the router.

    Stops on SIGTERM or Ctrl-C, when open responses have finished (setting `drain`); on a second Ctrl-C at once.
    The configuration is reloaded when it changes, on SIGHUP, and by `edgeroute reload`.

    Exit status: 0 stopped, 1 could not start or go on, 2 invalid configuration.
    """
    require_config(path)
    try:
        status = run(path, os.environ)
    except ConfigError as error:
        refuse(str(error), INVALID_CONFIG)
    except StartError as error:
        refuse(f"error: {error}", 1)
    sys.exit(status)
