"""`edgeroute status`."""

import json
import sys
from typing import Literal

import click
import msgspec
from rich.text import Text

from edgeroute.cli.admin import admin_option, ask, understood
from edgeroute.cli.cache import StoreState, summary
from edgeroute.cli.options import json_option
from edgeroute.cli.output import Screen, echo_json, printable, table
from edgeroute.cli.replicas import Live, live_tables
from edgeroute.cli.usage import ExitStatus
from edgeroute.config import Address

_PATIENCE_SECONDS = 10
_NEAR_ITS_LIMIT = 90
"""Percent from which a limit is shown in colour."""


class Worker(msgspec.Struct, frozen=True):
    """A process that serves requests."""

    pid: int
    generation: int
    heartbeat_age_ms: int


class Replica(msgspec.Struct, frozen=True):
    """One base URL of a target."""

    url: str
    breaker: Literal["closed", "open", "half-open"]
    open_ms: int
    """How long it is still skipped."""


class Target(msgspec.Struct, frozen=True):
    """A provider's model, with the requests that it is answering now."""

    target: str
    in_flight: int
    replicas: list[Replica]


class Limit(msgspec.Struct, frozen=True):
    """What is used of a limit, and how much of that is reserved: held for requests that are under way."""

    limit: str
    most: int
    used: int
    reserved: int

    @property
    def percent(self) -> float:
        """How full it is."""
        return 100 * self.used / self.most if self.most else 100.0


class Owner(msgspec.Struct, frozen=True):
    """A team or a virtual key with its limits."""

    owner: str
    name: str
    limits: list[Limit]


class Status(Live, frozen=True, kw_only=True):
    """What `GET /status` answers."""

    version: str
    pid: int
    listen: str
    admin: str
    ready: bool
    generation: int
    workers: list[Worker]
    reason: str | None = None
    targets: list[Target] = msgspec.field(default_factory=list[Target])
    limits: list[Owner] = msgspec.field(default_factory=list[Owner])
    cache: StoreState | None = None


@click.command("status", epilog="Example: edgeroute status --admin 127.0.0.1:9400")
@admin_option
@json_option
def command(admin: Address, as_json: bool) -> None:
    """Show a running router: workers, generation, targets' health, changed replicas, limits in use, the cache.

    EDGEROUTE_ADMIN_KEY is sent as the router's `admin_key`.

    Exit status: 0 ready, 1 not ready, or no router there.
    """
    body = ask("GET", "/status", admin, _PATIENCE_SECONDS)
    status = understood(body, Status, admin)
    if as_json:
        echo_json(json.loads(body))
    else:
        click.echo(render(status, Screen.current()))
    sys.exit(ExitStatus.DONE if status.ready else ExitStatus.FAILED)


def render(status: Status, screen: Screen) -> str:
    """The state of a router as tables; those that would be empty are left out."""
    workers = [
        (str(each.pid), str(each.generation), f"{_duration(each.heartbeat_age_ms)} ago") for each in status.workers
    ]
    tables = [
        table(screen, ("edgeroute", status.version), _summary(status)),
        table(screen, ("worker", "generation", "heartbeat"), workers),
        table(screen, ("target", "in flight", "breaker", "replica"), _targets(status), {"in flight"}),
        *live_tables(status, screen),
        table(screen, ("owner", "limit", "used", "most", "full"), _limits(status), {"used", "most", "full"}),
        table(screen, ("cache", ""), summary(status.cache) if status.cache else []),
    ]
    return "\n\n".join(filter(None, tables))


def _summary(status: Status) -> list[tuple[str, str | Text]]:
    reason = printable(status.reason or "the router does not say why")
    state = Text("ready", "green") if status.ready else Text(f"not ready: {reason}", "red")
    return [
        ("state", state),
        ("generation", str(status.generation)),
        ("listen", status.listen),
        ("admin", status.admin),
        ("pid", str(status.pid)),
    ]


def _targets(status: Status) -> list[tuple[str | Text, ...]]:
    """One row per replica; what belongs to the target stands in its first."""
    return [
        (each.target if first else "", str(each.in_flight) if first else "", _breaker(replica), replica.url)
        for each in status.targets
        for first, replica in zip([True] + [False] * len(each.replicas), each.replicas, strict=False)
    ]


def _breaker(replica: Replica) -> Text:
    match replica.breaker:
        case "closed":
            return Text("closed", "green")
        case "half-open":
            return Text("half-open", "yellow")
        case "open":
            return Text(f"open for {_duration(replica.open_ms)} more", "red")


def _limits(status: Status) -> list[tuple[str | Text, ...]]:
    return [
        (
            f"{owner.owner} {owner.name}",
            each.limit,
            str(each.used) + (f" ({each.reserved} reserved)" if each.reserved else ""),
            str(each.most),
            Text(f"{each.percent:.0f} %", "red" if each.percent >= _NEAR_ITS_LIMIT else ""),
        )
        for owner in status.limits
        for each in owner.limits
    ]


def _duration(milliseconds: int) -> str:
    return f"{milliseconds / 1000:.1f} s" if milliseconds < 60_000 else f"{milliseconds // 60_000} m"
