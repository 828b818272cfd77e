"""OpenAI's responses: errors and models are those of its other endpoints, events are not."""

import orjson

from edgeroute.dialects.openai_chat import error, model, models

__all__ = ["error", "error_event", "model", "models"]


def error_event(code: str, message: str, request_id: str, sequence_number: int) -> bytes:  # noqa: ARG001
    """An `error` event as the API reference has it, and the error once more as an object.

    OpenAI's SDKs raise an APIError for the object; without it they hand the event over like any other.
    """
    event = {
        "type": "error",
        "code": code,
        "message": message,
        "param": None,
        "sequence_number": sequence_number,
        "error": {"message": message, "type": "server_error", "param": None, "code": code},
    }
    return b"event: error\ndata: " + orjson.dumps(event) + b"\n\n"
