"""`edgeroute reload`."""

import sys

import click
import msgspec

from edgeroute.cli.admin import admin_option, ask, refuse_stranger
from edgeroute.cli.options import json_option
from edgeroute.cli.output import echo_json, printable
from edgeroute.cli.usage import ExitStatus
from edgeroute.config import Address

_PATIENCE_SECONDS = 60


class Outcome(msgspec.Struct, frozen=True):
    """What became of the reload, as the router tells it."""

    result: str
    generation: int
    message: str


@click.command("reload", epilog="Example: edgeroute reload --admin 127.0.0.1:9400")
@admin_option
@json_option
def command(admin: Address, as_json: bool) -> None:
    """Make a running router read its configuration again, now, and wait until every worker serves it.

    EDGEROUTE_ADMIN_KEY is sent as the router's `admin_key`.

    Exit status: 0 reloaded or nothing changed, 1 refused, or no router there.
    """
    try:
        outcome = msgspec.json.decode(ask("POST", "/reload", admin, _PATIENCE_SECONDS), type=Outcome)
    except msgspec.DecodeError:
        refuse_stranger(admin)
    reloaded = outcome.result in ("applied", "unchanged")
    if as_json:
        echo_json(msgspec.to_builtins(outcome))
    else:
        click.echo(printable(outcome.message), err=not reloaded)
    sys.exit(ExitStatus.DONE if reloaded else ExitStatus.FAILED)
