"""Anthropic's messages and models."""

import orjson

_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    405: "invalid_request_error",
    413: "request_too_large",
    415: "invalid_request_error",
    429: "rate_limit_error",
    503: "overloaded_error",
    504: "timeout_error",
    529: "overloaded_error",
}


def error(status: int, code: str, message: str, field: str | None, request_id: str | None) -> bytes:  # noqa: ARG001
    """`{"type": "error", "error": {"type", "message", "code"}, "request_id"}`; `code` is edgeroute's addition."""
    kind = _TYPES.get(status, "invalid_request_error" if status < 500 else "api_error")
    return orjson.dumps(
        {"type": "error", "error": {"type": kind, "message": message, "code": code}, "request_id": request_id}
    )


def error_event(code: str, message: str, request_id: str, sequence_number: int) -> bytes:  # noqa: ARG001
    """An `error` event, which Anthropic's SDKs raise as an APIStatusError."""
    return b"event: error\ndata: " + error(502, code, message, None, request_id) + b"\n\n"


def model(name: str) -> bytes:
    """A model object."""
    return orjson.dumps(_model(name))


def models(names: list[str]) -> bytes:
    """One page that holds all models."""
    return orjson.dumps(
        {
            "data": [_model(name) for name in names],
            "has_more": False,
            "first_id": names[0] if names else None,
            "last_id": names[-1] if names else None,
        }
    )


def _model(name: str) -> dict[str, object]:
    return {"id": name, "type": "model", "display_name": name, "created_at": "1970-01-01T00:00:00Z"}
