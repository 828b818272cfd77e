"""`edgeroute schema`."""

import json

import click

from edgeroute.config.schema_json import json_schema


@click.command("schema")
def command() -> None:
    """Print the JSON Schema of the configuration file, for editors."""
    click.echo(json.dumps(json_schema(), indent=2, ensure_ascii=False))
