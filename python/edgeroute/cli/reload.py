"""`edgeroute reload`."""

import click

from edgeroute.cli.admin import admin_option, ask, tell_outcome
from edgeroute.cli.options import json_option
from edgeroute.config import Address

_PATIENCE_SECONDS = 60


@click.command("reload", epilog="Example: edgeroute reload --admin 127.0.0.1:9400")
@admin_option
@json_option
def command(admin: Address, as_json: bool) -> None:
    """Make a running router read its configuration again, now, and wait until every worker serves it.

    EDGEROUTE_ADMIN_KEY is sent as the router's `admin_key`.

    Exit status: 0 reloaded or nothing changed, 1 refused, or no router there.
    """
    tell_outcome(ask("POST", "/reload", admin, _PATIENCE_SECONDS), admin, as_json)
