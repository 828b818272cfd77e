"""`edgeroute schema`."""

import click

from edgeroute.cli.output import echo_json
from edgeroute.config.schema_json import json_schema


@click.command("schema", epilog="Example: edgeroute schema > edgeroute.schema.json")
def command() -> None:
    """Print the JSON Schema of the configuration file, for editors."""
    echo_json(json_schema())
