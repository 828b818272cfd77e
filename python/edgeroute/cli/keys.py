"""`edgeroute keys`."""

import getpass
import json
import re
import sys
from typing import get_args

import click
import msgspec

from edgeroute.cli.options import Parsed, json_option
from edgeroute.cli.output import echo_json
from edgeroute.cli.usage import ExitStatus, refuse
from edgeroute.config.schema import Name
from edgeroute.config.values import Secret
from edgeroute.config.virtual_key import hash_key, new_key

_NAME_FORM: str = get_args(Name)[1].extra["form"]
_LONGEST_KEY = 64 << 10
_LIKELY_NOT_TEXT = re.compile(r"(?i)[0-9.].*|true|false|yes|no|on|off|null|y|n")
"""Names that YAML may take for a number, a truth value or nothing when they are not quoted."""


def _parse_name(text: str) -> str:
    try:
        return msgspec.convert(text, Name)
    except msgspec.ValidationError:
        raise ValueError(f"a name is {_NAME_FORM}") from None


@click.group("keys", epilog="Example: edgeroute keys new search-prod --team search")
def command() -> None:
    """Make and hash virtual keys, the credentials that clients use. The configuration holds only hashes."""


@command.command("new", epilog="Example: edgeroute keys new search-prod --team search")
@click.argument("name", type=Parsed("name", _parse_name))
@click.option("--team", type=Parsed("name", _parse_name), metavar="TEAM", help="The team it belongs to.")
@json_option
def new(name: str, team: str | None, as_json: bool) -> None:
    """Make a key for NAME, and the line for `virtual_keys`. The key is shown once and stored nowhere."""
    key = new_key()
    if as_json:
        echo_json({"name": name, "team": team, "key": key, "hash": hash_key(key)})
        return
    settings = ([f"team: {_quoted(team)}"] if team else []) + [f'hash: "{hash_key(key)}"']
    click.echo(
        f"key for the client, shown this once:\n  {key}\n"
        f"line for `virtual_keys`:\n  {_quoted(name)}: {{{', '.join(settings)}}}"
    )


@command.command("hash", epilog="Example: edgeroute keys hash < key.txt")
@click.argument("refused", nargs=-1, metavar="")
@json_option
def hash_given(refused: tuple[str, ...], as_json: bool) -> None:
    """Print the hash of a key that you have, for `virtual_keys`.

    The key is read from standard input; from a terminal it is not shown.
    """
    if refused:  # not repeated: it may be the key
        advice = "run it without, and type the key; or: edgeroute keys hash < key.txt"
        refuse("error: a key is no argument: it would stay in the shell's history", ExitStatus.WRONG_USE, advice)
    try:
        key = Secret.parse(_read_key())
    except ValueError as error:
        refuse(f"error: {error}", ExitStatus.WRONG_USE)
    hashed = hash_key(key.reveal())
    if as_json:
        echo_json({"hash": hashed})
    else:
        click.echo(hashed)


def _read_key() -> str:
    """One line of standard input, without its end. Raises ValueError when it cannot be a key."""
    if sys.stdin.isatty():
        try:
            return getpass.getpass("key: ").strip()
        except EOFError:
            raise ValueError("there is no key") from None
    text = sys.stdin.buffer.read(_LONGEST_KEY + 1).decode("ascii", "replace").strip()
    if not text:
        raise ValueError("there is no key in standard input")
    if len(text) > _LONGEST_KEY:
        raise ValueError("standard input is too long for a key")
    return text


def _quoted(name: str) -> str:
    return json.dumps(name) if _LIKELY_NOT_TEXT.fullmatch(name) else name
