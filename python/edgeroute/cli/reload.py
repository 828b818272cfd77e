"""`edgeroute reload`."""

import http.client
import json
import sys

import click

from edgeroute.cli.options import refuse


@click.command("reload")
@click.option(
    "--admin",
    default="127.0.0.1:9400",
    show_default=True,
    metavar="HOST:PORT",
    help="The router's `admin` address.",
)
def command(admin: str) -> None:
    """Make a running router read its configuration again, now.

    Exit status: 0 reloaded or nothing changed, 1 refused, or no router there.
    """
    try:
        connection = http.client.HTTPConnection(admin, timeout=60)
        connection.request("POST", "/reload")
        answer = connection.getresponse()
        outcome = json.loads(answer.read())
        result, message = outcome["result"], outcome["message"]
    except (OSError, http.client.HTTPException, ValueError, KeyError, TypeError) as error:
        refuse(
            f"error: no router answers on {admin}: {error}\n"
            "  help: --admin takes the `admin` address of the configuration that the router was started with",
            1,
        )
    click.echo(message, err=answer.status != 200)
    sys.exit(0 if result in ("applied", "unchanged") else 1)
