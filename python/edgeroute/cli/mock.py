"""`edgeroute mock`."""

from functools import partial

import click

from edgeroute.cli.options import Parsed
from edgeroute.cli.usage import ExitStatus, refuse
from edgeroute.config import Address
from edgeroute.config.values import parse_quantity
from edgeroute.errors import StartError
from edgeroute.mock import MockSettings, serve
from edgeroute.mock.faults import describe

_TIME = Parsed("time", partial(parse_quantity, unit="milliseconds"))


def _print_faults(ctx: click.Context, _: click.Parameter, wanted: bool) -> None:
    if wanted:
        click.echo(describe())
        ctx.exit()


@click.command("mock", epilog="Example: edgeroute mock --listen 127.0.0.1:4010 --first-token 200ms")
@click.option(
    "--listen",
    type=Parsed("address", Address.parse),
    default="127.0.0.1:4010",
    show_default=True,
    metavar="HOST:PORT",
    help="Where to listen.",
)
@click.option("--first-token", type=_TIME, default="20ms", show_default=True, help="Time to the first token.")
@click.option("--token-interval", type=_TIME, default="5ms", show_default=True, help="Time between tokens.")
@click.option("--seed", type=int, default=1, show_default=True, help="Same seed and request: same reply.")
@click.option(
    "--faults",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_print_faults,
    help="List the faults that requests may ask for, and exit.",
)
def command(listen: Address, first_token: int, token_interval: int, seed: int) -> None:
    """Start the mock provider on its own: it speaks OpenAI and Anthropic, and fails on demand.

    Ctrl-C stops it. Exit status: 0 stopped, 1 could not start.
    """
    settings = MockSettings(
        listen=listen, first_token=first_token / 1000, token_interval=token_interval / 1000, seed=seed
    )
    try:
        serve(settings)
    except StartError as error:
        refuse(f"error: {error}", ExitStatus.FAILED)
