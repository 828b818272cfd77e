"""`edgeroute mock`."""

from typing import Any

import click

from edgeroute.cli.options import refuse
from edgeroute.config.distributions import Distribution
from edgeroute.errors import StartError
from edgeroute.mock import MockSettings, serve
from edgeroute.mock.faults import describe


class _Time(click.ParamType[Distribution]):
    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Distribution:
        try:
            return Distribution.parse(value)
        except ValueError as problem:
            self.fail(f"{value!r}: {problem}", param, ctx)


@click.command("mock", epilog="\b\n" + describe())
@click.option("--listen", default="127.0.0.1:4010", show_default=True, metavar="HOST:PORT", help="Where to listen.")
@click.option("--first-token", type=_Time(), default="20ms", show_default=True, help="Time to the first token.")
@click.option("--token-interval", type=_Time(), default="5ms", show_default=True, help="Time between tokens.")
@click.option("--seed", type=int, default=1, show_default=True, help="Same seed and request: same reply.")
def command(listen: str, first_token: Distribution, token_interval: Distribution, seed: int) -> None:
    """Start the mock provider on its own: it speaks OpenAI and Anthropic, and fails on demand."""
    try:
        serve(MockSettings(listen=listen, first_token=first_token, token_interval=token_interval, seed=seed))
    except (ValueError, StartError) as error:
        refuse(f"error: {error}", 1)
