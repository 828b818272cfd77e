"""`edgeroute replicas`."""

import json
from collections.abc import Callable
from typing import Any

import click
import msgspec
from rich.text import Text

from edgeroute.cli.admin import admin_option, ask, tell_outcome, understood
from edgeroute.cli.options import json_option
from edgeroute.cli.output import Screen, echo_json, table
from edgeroute.config import Address
from edgeroute.config.schema import MOST_WEIGHT

_PATIENCE_SECONDS = 60


class Replica(msgspec.Struct, frozen=True):
    """One of those who serve a provider's models."""

    provider: str
    replica: str
    weight: int
    """Its share of requests; 0 while it is drained."""
    origin: str
    """`configured`, `discovered` or `added`."""
    breaker: str


class Change(msgspec.Struct, frozen=True):
    """What an operator changed; without effect where it does not fit what is configured and discovered."""

    provider: str
    replica: str
    change: str
    fits: bool


class Source(msgspec.Struct, frozen=True):
    """Where replicas are looked up, how many were found last, and what is wrong with it."""

    provider: str
    source: str
    found: int
    trouble: str | None


class Engine(msgspec.Struct, frozen=True):
    """What the inference engine of a replica says of itself, or why it cannot be asked."""

    provider: str
    replica: str
    running: int = 0
    waiting: int = 0
    cache_usage: float = 0
    trouble: str | None = None

    def __str__(self) -> str:
        return self.trouble or f"{self.running} running, {self.waiting} waiting, cache {self.cache_usage:.0%} full"


class Live(msgspec.Struct, frozen=True):
    """What is known of the replicas beside the configuration."""

    changes: list[Change] = []
    """By operators since the start."""
    discovery: list[Source] = []
    engines: list[Engine] = []


class Replicas(Live, frozen=True, kw_only=True):
    """What `GET /replicas` answers."""

    replicas: list[Replica]


@click.group("replicas", epilog="Example: edgeroute replicas drain vllm http://gpu-0:8000/v1")
def command() -> None:
    """Show and change the replicas of a running router, until its next restart."""


@command.command("list", epilog="Example: edgeroute replicas list --admin 127.0.0.1:9400")
@admin_option
@json_option
def list_(admin: Address, as_json: bool) -> None:
    """List the replicas of every provider, what was changed, and how look-ups go."""
    body = ask("GET", "/replicas", admin, _PATIENCE_SECONDS)
    found = understood(body, Replicas, admin)
    if as_json:
        echo_json(json.loads(body))
    else:
        click.echo(render(found, Screen.current()))


def render(found: Replicas, screen: Screen) -> str:
    """Replicas, changes and sources as tables; those that would be empty are left out."""
    replicas = [
        (each.provider, each.replica, str(each.weight) if each.weight else Text("drained", "yellow"), each.origin,
         each.breaker) for each in found.replicas
    ]  # fmt: skip
    tables = [
        table(screen, ("provider", "replica", "weight", "origin", "breaker"), replicas, {"weight"}),
        *live_tables(found, screen),
    ]
    return "\n\n".join(filter(None, tables))


def live_tables(live: Live, screen: Screen) -> list[str]:
    """What was changed, what is looked up, what engines say; each empty if there is none of it."""
    changed = [
        (each.provider, each.replica, each.change if each.fits else Text(f"{each.change}, without effect", "yellow"))
        for each in live.changes
    ]
    looked_up = [
        (each.provider, each.source, str(each.found), Text(each.trouble, "red") if each.trouble else "")
        for each in live.discovery
    ]
    engines = [(each.provider, each.replica, str(each)) for each in live.engines]
    return [
        table(screen, ("provider", "replica", "changed until restart"), changed),
        table(screen, ("provider", "looked up by", "found", "trouble"), looked_up, {"found"}),
        table(screen, ("provider", "replica", "engine"), engines),
    ]


def _of_a_replica(function: Callable[..., None]) -> Callable[..., None]:
    """The arguments and options that every change has."""
    for each in (json_option, admin_option, click.argument("replica"), click.argument("provider")):
        function = each(function)
    return function


@command.command("add", epilog="Example: edgeroute replicas add vllm http://gpu-9:8000/v1 --weight 2")
@_of_a_replica
@click.option("--weight", type=click.IntRange(1, MOST_WEIGHT), metavar="NUMBER", help="Its share, if it is not 1.")
def add(**given: Any) -> None:
    """Add the replica with the base URL REPLICA to PROVIDER."""
    _change("add", **given)


@command.command("drain", epilog="Example: edgeroute replicas drain vllm http://gpu-0:8000/v1")
@_of_a_replica
def drain(**given: Any) -> None:
    """Send REPLICA of PROVIDER no new requests; those that run go on to their end."""
    _change("drain", **given)


@command.command("undrain", epilog="Example: edgeroute replicas undrain vllm http://gpu-0:8000/v1")
@_of_a_replica
def undrain(**given: Any) -> None:
    """Send the drained REPLICA of PROVIDER requests again."""
    _change("undrain", **given)


@command.command("remove", epilog="Example: edgeroute replicas remove vllm http://gpu-0:8000/v1")
@_of_a_replica
def remove(**given: Any) -> None:
    """Take REPLICA out of PROVIDER; requests that run go on to their end."""
    _change("remove", **given)


@command.command("weight", epilog="Example: edgeroute replicas weight vllm http://gpu-0:8000/v1 3")
@_of_a_replica
@click.argument("weight", type=click.IntRange(1, MOST_WEIGHT), metavar="NUMBER")
def weigh(**given: Any) -> None:
    """Give REPLICA of PROVIDER the weight NUMBER, beside those of the other replicas."""
    _change("weight", **given)


def _change(action: str, provider: str, replica: str, admin: Address, as_json: bool, weight: int | None = None) -> None:
    wanted = {"action": action, "provider": provider, "replica": replica, "weight": weight}
    tell_outcome(ask("POST", "/replicas", admin, _PATIENCE_SECONDS, wanted), admin, as_json)
