"""`edgeroute version`."""

import json

import click

from edgeroute import __version__


@click.command("version", epilog="Example: edgeroute version --json")
@click.option("--json", "as_json", is_flag=True, help="Print JSON for scripts.")
def command(as_json: bool) -> None:
    """Print the version."""
    click.echo(json.dumps({"version": __version__}) if as_json else f"edgeroute {__version__}")
