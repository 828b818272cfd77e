"""`edgeroute mock`."""

import click

from edgeroute.cli.options import Milliseconds, refuse
from edgeroute.errors import StartError
from edgeroute.mock import MockSettings, serve
from edgeroute.mock.faults import describe


@click.command("mock", epilog="\b\n" + describe())
@click.option("--listen", default="127.0.0.1:4010", show_default=True, metavar="HOST:PORT", help="Where to listen.")
@click.option("--first-token", type=Milliseconds(), default="20ms", show_default=True, help="Time to the first token.")
@click.option("--token-interval", type=Milliseconds(), default="5ms", show_default=True, help="Time between tokens.")
@click.option("--seed", type=int, default=1, show_default=True, help="Same seed and request: same reply.")
def command(listen: str, first_token: int, token_interval: int, seed: int) -> None:
    """Start the mock provider on its own: it speaks OpenAI and Anthropic, and fails on demand."""
    try:
        settings = MockSettings(
            listen=listen, first_token=first_token / 1000, token_interval=token_interval / 1000, seed=seed
        )
        click.echo(f"mock provider on http://{listen}/v1 (Ctrl-C stops it)", err=True)
        serve(settings)
    except (ValueError, StartError) as error:
        refuse(f"error: {error}", 1)
