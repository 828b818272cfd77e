"""From a received request to the reply and its faults."""

from collections.abc import Callable
from typing import Protocol

import msgspec

from edgeroute.mock import anthropic, faults, openai
from edgeroute.mock.faults import Faults
from edgeroute.mock.journal import Record
from edgeroute.mock.openai_completions import completions
from edgeroute.mock.openai_responses import responses
from edgeroute.mock.reply import BadRequestError, Plain, Reply
from edgeroute.mock.settings import MockSettings

_HTML = b"<!DOCTYPE html>\n<html><head><title>Error</title></head><body><h1>Bad gateway</h1></body></html>\n"

ErrorShape = Callable[[int, str], Plain]


class Handler(Protocol):
    """What answers the body of a request."""

    def __call__(self, body: bytes, *, seed: int, length: int | None) -> Reply:
        """The reply; ``BadRequestError`` or a decoding error for a body that cannot be answered."""
        ...


class Route(msgspec.Struct, frozen=True):
    """An endpoint that takes a JSON body."""

    handler: Handler
    error: ErrorShape


ROUTES = {
    "/v1/chat/completions": Route(openai.chat, openai.error),
    "/v1/completions": Route(completions, openai.error),
    "/v1/responses": Route(responses, openai.error),
    "/v1/embeddings": Route(openai.embeddings, openai.error),
    "/v1/messages": Route(anthropic.messages, anthropic.error),
    "/v1/messages/count_tokens": Route(anthropic.count_tokens, anthropic.error),
}
MODELS = "/v1/models"


class Asked(msgspec.Struct):
    """The fields of any body in which faults may be named."""

    model: str
    metadata: dict[str, object] | None = None


def respond(record: Record, settings: MockSettings) -> tuple[Reply, Faults]:
    """The reply to a complete request; never raises for bad input."""
    path = record.path.partition("?")[0]
    route = ROUTES.get(path)
    error = route.error if route else anthropic.error if _speaks_anthropic(record) else openai.error
    try:
        if path == MODELS:
            return _models(record, settings, error)
        if route is None:
            return error(404, f"unknown path {path!r}; known: {', '.join([*ROUTES, MODELS])}"), Faults()
        if record.method != "POST":
            return error(405, f"{path} takes POST, not {record.method}"), Faults()
        if route.error is anthropic.error and not _speaks_anthropic(record):
            raise BadRequestError("anthropic-version: header is required")
        asked = msgspec.json.decode(record.body, type=Asked)
        metadata = (asked.metadata or {}).get(faults.METADATA, "")
        if not isinstance(metadata, str):
            raise BadRequestError(f"metadata.{faults.METADATA} must be text such as 'status-429'")
        chosen = faults.of_request(asked.model, metadata, record.header(faults.HEADER))
        reply = _instead(chosen, error)
        if reply is None:
            reply = route.handler(record.body, seed=settings.seed, length=chosen.tokens)
        return reply, chosen
    except (BadRequestError, faults.FaultError) as problem:
        return error(400, str(problem)), Faults()
    except RecursionError:
        return error(400, "the body is nested too deeply"), Faults()
    except (msgspec.MsgspecError, UnicodeDecodeError) as problem:
        return error(400, f"the body is not a request this endpoint takes: {problem}"), Faults()


def _models(record: Record, settings: MockSettings, error: ErrorShape) -> tuple[Reply, Faults]:
    if record.method != "GET":
        return error(405, f"{MODELS} takes GET, not {record.method}"), Faults()
    chosen = faults.of_request("", "", record.header(faults.HEADER))
    listing = anthropic.models if _speaks_anthropic(record) else openai.models
    return _instead(chosen, error) or listing(settings.models), chosen


def _instead(chosen: Faults, error: ErrorShape) -> Plain | None:
    """The error or page that was asked for in place of a reply."""
    if chosen.html is not None:
        return Plain(chosen.html, _HTML, content_type="text/html")
    if chosen.status is None:
        return None
    reply = error(chosen.status, f"mock provider was asked for status {chosen.status}")
    seconds = 1 if chosen.retry_after is None and chosen.status == 429 else chosen.retry_after
    return reply if seconds is None else msgspec.structs.replace(reply, headers=(("retry-after", str(seconds)),))


def _speaks_anthropic(record: Record) -> bool:
    return record.header("anthropic-version") != ""
