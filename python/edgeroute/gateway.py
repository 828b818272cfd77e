"""Performs the steps of one request. What the steps are is decided in Rust, by the ticket's state machine."""

import asyncio
from collections.abc import Callable

from edgeroute._native import Ticket
from edgeroute.dialects import DIALECTS

CreateFuture = Callable[[], "asyncio.Future[None]"]

_BROKEN = {
    "cut": "the provider closed the connection before the stream was complete",
    "gap_timeout": "the provider stopped sending",
    "stopping": "the router is stopping; send the request again",
    "protocol": "the provider sent something that is not a valid stream",
    "too_large": "the stream is larger than this router may hold",
    "total_timeout": "the request took longer than its deadline",
}


async def perform(ticket: Ticket, create_future: CreateFuture) -> int:
    """Run attempts until there is something to answer with; returns that step."""
    while (step := ticket.step) == Ticket.ATTEMPT:
        await ticket.attempt(create_future())
    return step


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
