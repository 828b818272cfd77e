"""Asking a running router: what `status`, `replicas`, `cache` and `reload` share."""

import http.client
import json
import os
import sys
from collections.abc import Mapping
from contextlib import closing
from typing import Any, NoReturn, TypeVar

import click
import msgspec

from edgeroute.cli.options import Parsed
from edgeroute.cli.output import echo_json, printable
from edgeroute.cli.usage import ExitStatus, refuse
from edgeroute.config import Address
from edgeroute.config.values import Secret
from edgeroute.supervisor.addresses import reachable_host

KEY_VARIABLE = "EDGEROUTE_ADMIN_KEY"

Answer = TypeVar("Answer")

_LARGEST_ANSWER = 64 << 20
_LONGEST_SENTENCE = 500

admin_option = click.option(
    "--admin",
    type=Parsed("address", Address.parse),
    envvar="EDGEROUTE_ADMIN",
    default="127.0.0.1:9400",
    show_default=True,
    show_envvar=True,
    metavar="HOST:PORT",
    help="The router's `admin` address.",
)


class Outcome(msgspec.Struct, frozen=True):
    """What became of a reload or a change, as the router tells it, with more for scripts."""

    result: str
    message: str


def ask(method: str, path: str, admin: Address, seconds: float, wanted: Mapping[str, Any] | None = None) -> bytes:
    """What the router answers, whatever the status; exits when there is none, or it wants another key.

    `wanted` is sent as JSON.

    The `admin_key` is taken from EDGEROUTE_ADMIN_KEY. `seconds` are the longest silence.
    """
    headers = {"authorization": f"Bearer {key}"} if (key := _admin_key()) else {}
    try:
        connection = http.client.HTTPConnection(reachable_host(admin.host), admin.port, timeout=seconds)
        with closing(connection):
            connection.request(method, path, None if wanted is None else msgspec.json.encode(wanted), headers)
            answer = connection.getresponse()
            body = answer.read(_LARGEST_ANSWER)
    except (OSError, http.client.HTTPException) as error:
        refuse(
            f"error: no router answers on {admin}: {getattr(error, 'strerror', None) or error or type(error).__name__}",
            ExitStatus.FAILED,
            "--admin takes the `admin` address of the configuration that the router was started with",
        )
    sentence = printable(body.decode("utf-8", "replace").strip()[:_LONGEST_SENTENCE])
    if answer.status in (401, 403):
        advice = f"export {KEY_VARIABLE} with the `admin_key` of its configuration"
        refuse(f"error: the router on {admin} refuses: {sentence}", ExitStatus.FAILED, advice)
    if answer.status == 503 and answer.getheader("content-type", "").startswith("text/plain"):
        refuse(f"error: the router on {admin} cannot do this now: {sentence}", ExitStatus.FAILED)
    return body


def tell_outcome(body: bytes, admin: Address, as_json: bool) -> NoReturn:
    """Print what became of a reload or a change, and exit: 0 if it is done, 1 if it was refused."""
    outcome = understood(body, Outcome, admin)
    done = outcome.result in ("applied", "unchanged")
    if as_json:
        echo_json(json.loads(body))
    else:
        click.echo(printable(outcome.message), err=not done)
    sys.exit(ExitStatus.DONE if done else ExitStatus.FAILED)


def understood(body: bytes, answer: type[Answer], admin: Address) -> Answer:
    """What the router on `admin` has answered; exits if it is not what this version expects."""
    try:
        return msgspec.json.decode(body, type=answer)
    except msgspec.DecodeError:
        advice = f"`edgeroute --version` here and the router's may differ, or {admin} is not its `admin` address"
        refuse(f"error: what answers on {admin} is not understood", ExitStatus.FAILED, advice)


def _admin_key() -> str | None:
    text = os.environ.get(KEY_VARIABLE)
    try:
        return Secret.parse(text).reveal() if text else None
    except ValueError as error:
        refuse(f"error: {KEY_VARIABLE}: {error}", ExitStatus.WRONG_USE)
