"""`edgeroute import`."""

import os
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from edgeroute.cli.usage import ExitStatus, refuse
from edgeroute.config import ConfigError
from edgeroute.migrate import Draft, Exports, import_bifrost, import_litellm, read_source, write

_Command = Callable[..., Any]
_FILE = click.Path(path_type=Path)


def _shared(command: _Command) -> _Command:
    for option in (
        click.option("--strict", is_flag=True, help="Exit with 1 if anything was left out or changed."),
        click.option("--json", "as_json", is_flag=True, help="Print the report as JSON."),
        click.option("-o", "--output", type=_FILE, metavar="OUT", help="Write to OUT, a new file."),
        click.argument("path", metavar="FILE", type=_FILE),
    ):
        command = option(command)
    return command


@click.group("import")
def command() -> None:
    """Turn another gateway's configuration into ours.

    \b
    edgeroute import litellm config.yaml -o edgeroute.yaml
    edgeroute import bifrost config.json -o edgeroute.yaml

    Standard error gets a report of all that could not be carried as it was,
    each with its line, the reason, and what to do. Credentials are not copied.

    Exit status: 0 written, 1 nothing to write (or --strict), 2 unreadable.
    """  # noqa: D301 (click wants the character itself)


@command.command("litellm")
@_shared
@click.option("--keys", type=_FILE, metavar="KEYS", help="Export of LiteLLM_VerificationToken, CSV or JSON.")
@click.option("--teams", type=_FILE, metavar="TEAMS", help="Export of LiteLLM_TeamTable, CSV or JSON.")
def litellm(
    path: Path, output: Path | None, as_json: bool, strict: bool, keys: Path | None, teams: Path | None
) -> None:
    """Turn LiteLLM's config.yaml FILE into a configuration of ours.

    \b
    edgeroute import litellm config.yaml --keys keys.csv -o edgeroute.yaml

    With --keys clients keep their keys: both gateways store a key's SHA-256.
    """  # noqa: D301

    def read() -> Draft:
        exports = Exports(*(None if each is None else read_source(each) for each in (keys, teams)))
        return import_litellm(read_source(path), os.environ, datetime.now(UTC), exports)

    _import(read, f"LiteLLM's {path.name}", output, as_json=as_json, strict=strict)


@command.command("bifrost")
@_shared
def bifrost(path: Path, output: Path | None, as_json: bool, strict: bool) -> None:
    """Turn Bifrost's config.json FILE into a configuration of ours.

    \b
    edgeroute import bifrost config.json -o edgeroute.yaml

    Virtual keys in the file or in the environment keep working: they are
    hashed. Those that only Bifrost's database knows have to be made anew.
    """  # noqa: D301
    _import(
        lambda: import_bifrost(read_source(path), os.environ, datetime.now(UTC)),
        f"Bifrost's {path.name}", output, as_json=as_json, strict=strict,
    )  # fmt: skip


def _import(read: Callable[[], Draft], origin: str, output: Path | None, *, as_json: bool, strict: bool) -> None:
    """Write the configuration to OUT or standard output, and the report to standard error."""
    try:
        draft = read()
    except ConfigError as error:
        refuse(str(error), ExitStatus.WRONG_USE)
    click.echo(draft.report.json() if as_json else draft.report.text(), err=True)
    if not draft.models:
        refuse("error: no model could be carried, so there is no configuration to write", ExitStatus.FAILED)
    text = write(draft, origin)
    if output is None:
        click.echo(text, nl=False)
    else:
        try:
            with output.open("x", encoding="utf-8") as file:
                file.write(text)
        except FileExistsError:
            refuse(f"error: {output} exists already", ExitStatus.FAILED, "name a new file, or remove that one")
        except OSError as error:
            refuse(f"error: cannot write {output}: {error.strerror}", ExitStatus.FAILED)
    if strict and not draft.report.is_complete:
        refuse("error: --strict, and not everything was carried as it was", ExitStatus.FAILED)
