"""`edgeroute mock`."""

import click

from edgeroute.cli.options import Parsed
from edgeroute.cli.usage import ExitStatus, refuse
from edgeroute.config.distributions import Distribution
from edgeroute.errors import StartError
from edgeroute.mock import MockSettings, serve
from edgeroute.mock.faults import describe

_TIME = Parsed("time", Distribution.parse)


def _print_faults(ctx: click.Context, _: click.Parameter, wanted: bool) -> None:
    if wanted:
        click.echo(describe())
        ctx.exit()


@click.command("mock", epilog="Example: edgeroute mock --first-token 'lognormal(200ms, 0.6)'")
@click.option(
    "--listen",
    default="127.0.0.1:4010",
    show_default=True,
    metavar="HOST:PORT",
    help="Where to listen; port 0 takes a free one.",
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
def command(listen: str, first_token: Distribution, token_interval: Distribution, seed: int) -> None:
    """Start the mock provider on its own: it speaks OpenAI and Anthropic, and fails on demand.

    It prints its URL once it listens; Ctrl-C stops it. A time is fixed (20ms) or drawn: uniform(50ms, 300ms) or
    lognormal(200ms, 0.6). Exit status: 0 stopped, 1 could not start.
    """
    try:
        serve(MockSettings(listen=listen, first_token=first_token, token_interval=token_interval, seed=seed))
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    except StartError as error:
        refuse(f"error: {error}", ExitStatus.FAILED)
