"""Performs the steps of one request. What the steps are is decided in Rust, by the ticket's state machine."""

from collections.abc import Callable
from typing import Any

from edgeroute._native import DirectFuture, Ticket
from edgeroute.dialects import DIALECTS

CreateFuture = Callable[[], DirectFuture]

_BROKEN = {
    "cut": "the provider closed the connection before the stream was complete",
    "gap_timeout": "the provider stopped sending",
    "stopping": "the router is stopping; send the request again",
    "protocol": "the provider sent something that is not a valid stream",
    "too_large": "the stream is larger than this router may hold",
    "total_timeout": "the request took longer than its deadline",
}


OVERLOADED = {
    name: dialect.error(503, "overloaded", "too many requests are open; try again in 1 s", None, None)
    for name, dialect in DIALECTS.items()
}
"""By dialect: the answer when as many requests are open as may be."""


async def perform(ticket: Ticket, create_future: CreateFuture, client: Any) -> int:
    """Run attempts until there is something to answer with; returns that step.

    `client` is what `close_when_left` takes, if this lasts.
    """
    while (step := ticket.step) == Ticket.ATTEMPT:
        await ticket.attempt(create_future(), client)
    return step


async def close_when_left(client: Any, ticket: Ticket) -> None:
    """Wait until the client leaves: what tells so is ASGI's `receive` or RSGI's protocol. Then close the ticket."""
    if hasattr(client, "client_disconnect"):
        await client.client_disconnect()
    else:
        while (await client())["type"] != "http.disconnect":
            pass
    ticket.close()


def own_answer(ticket: Ticket, step: int) -> tuple[int, bytes]:
    """Status and body of an answer that is edgeroute's own: an error, or models."""
    dialect = DIALECTS[ticket.dialect]
    if step == Ticket.LIST:
        return 200, dialect.models(ticket.models)
    if step == Ticket.DESCRIBE:
        return 200, dialect.model(ticket.models[0])
    refusal = ticket.refusal
    if refusal is None:
        return 500, dialect.error(500, "internal_error", "the request has no answer", None, ticket.id)
    status, code, message, field = refusal
    return status, dialect.error(status, code, message, field, ticket.id)


def last_event(ticket: Ticket) -> bytes:
    """The event that tells a client that its stream broke; empty if it ended as it should."""
    broken = ticket.broken
    if broken is None:
        return b""
    message = _BROKEN.get(broken, "the provider failed while streaming")
    return DIALECTS[ticket.dialect].error_event(f"stream_{broken}", message, ticket.id, ticket.sequence_number)
