"""OpenAI's chat completions, completions, embeddings and models."""

import orjson

_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "invalid_request_error",
    405: "invalid_request_error",
    413: "invalid_request_error",
    415: "invalid_request_error",
    429: "rate_limit_error",
}


def error(status: int, code: str, message: str, field: str | None, request_id: str | None) -> bytes:  # noqa: ARG001
    """`{"error": {"message", "type", "param", "code"}}`; the request id is in the headers."""
    kind = _TYPES.get(status, "invalid_request_error" if status < 500 else "server_error")
    return orjson.dumps({"error": {"message": message, "type": kind, "param": field, "code": code}})


def error_event(code: str, message: str, request_id: str, sequence_number: int) -> bytes:  # noqa: ARG001
    """A data event with an error object, which OpenAI's SDKs raise as an APIError."""
    return b"data: " + error(502, code, message, None, request_id) + b"\n\n"


def model(name: str) -> bytes:
    """A model object."""
    return orjson.dumps(_model(name))


def models(names: list[str]) -> bytes:
    """`{"object": "list", "data": [...]}`."""
    return orjson.dumps({"object": "list", "data": [_model(name) for name in names]})


def _model(name: str) -> dict[str, object]:
    return {"id": name, "object": "model", "created": 0, "owned_by": "edgeroute"}
