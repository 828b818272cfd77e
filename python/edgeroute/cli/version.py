"""`edgeroute version`."""

import click

from edgeroute import __version__


@click.command("version")
def command() -> None:
    """Print the version."""
    click.echo(f"edgeroute {__version__}")
