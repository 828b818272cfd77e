"""What edgeroute itself says, byte for byte (golden files), and as the real SDKs understand it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import anthropic
import httpx2
import openai
import pytest
from openai.types.responses import ResponseErrorEvent

from edgeroute.dialects import DIALECTS

GOLDEN = Path(__file__).parents[1] / "golden" / "dialects"
NAMES = ["openai-chat", "openai-responses", "anthropic-messages"]
MODELS = ["fast", "größe/ü", "openai/*"]

# Status, code, field; the class that both SDKs raise; Anthropic's type.
ERRORS = [
    (400, "invalid_field", "model", "BadRequestError", "invalid_request_error"),
    (401, "invalid_api_key", None, "AuthenticationError", "authentication_error"),
    (403, "rejected_by_rule", None, "PermissionDeniedError", "permission_error"),
    (404, "model_not_found", "model", "NotFoundError", "not_found_error"),
    (405, "method_not_allowed", None, "APIStatusError", "invalid_request_error"),
    (409, "rejected_by_rule", None, "ConflictError", "invalid_request_error"),
    (413, "body_too_large", None, "APIStatusError", "request_too_large"),
    (415, "unsupported_media_type", None, "APIStatusError", "invalid_request_error"),
    (422, "rejected_by_rule", None, "UnprocessableEntityError", "invalid_request_error"),
    (429, "rate_limit_exceeded", None, "RateLimitError", "rate_limit_error"),
    (500, "internal_error", None, "InternalServerError", "api_error"),
    (502, "upstream_unreachable", None, "InternalServerError", "api_error"),
    (504, "upstream_timeout", None, "InternalServerError", "timeout_error"),
]


def golden(request: pytest.FixtureRequest, name: str, text: bytes) -> None:
    path = GOLDEN / name
    if request.config.getoption("--update-golden"):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text)
    assert path.read_bytes() == text


@pytest.mark.parametrize("name", NAMES)
def test_golden(name: str, request: pytest.FixtureRequest) -> None:
    dialect = DIALECTS[name]
    said = [
        *(dialect.error(status, code, 'No "such" thing: ü.', field, "req_1") for status, code, field, _, _ in ERRORS),
        dialect.error_event("stream_cut", "The provider\nwent.", "req_1", 7),
        dialect.model(MODELS[0]),
        dialect.models(MODELS),
        dialect.models([]),
    ]
    golden(request, f"{name}.txt", b"\n".join(said) + b"\n")


def client(name: str, status: int, body: bytes, content_type: str = "application/json") -> Any:
    """An SDK for which every answer is this one."""

    def answer(_: httpx2.Request) -> httpx2.Response:
        headers = {"content-type": content_type, "x-request-id": "req_1"}
        if name == "anthropic-messages":
            headers["request-id"] = "req_1"
        return httpx2.Response(status, headers=headers, content=body)

    http = httpx2.Client(transport=httpx2.MockTransport(answer))
    if name.startswith("openai-"):
        return openai.OpenAI(api_key="test", base_url="http://router/v1", http_client=http, max_retries=0)
    return anthropic.Anthropic(api_key="test", base_url="http://router", http_client=http, max_retries=0)


def ask(name: str, sdk: Any, *, stream: bool = False) -> Any:
    hello = [{"role": "user", "content": "Hello"}]
    if name == "openai-chat":
        return sdk.chat.completions.create(model="fast", messages=hello, stream=stream)
    if name == "openai-responses":
        return sdk.responses.create(model="fast", input="Hello", stream=stream)
    return sdk.messages.create(model="fast", max_tokens=9, messages=hello, stream=stream)


def raised(name: str, ask: Callable[[], object]) -> Any:
    base = openai.APIError if name.startswith("openai-") else anthropic.APIError
    with pytest.raises(base) as caught:
        ask()
    return caught.value


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(("status", "code", "field", "kind", "anthropic_type"), ERRORS)
def test_the_sdks_raise_our_errors_as_what_they_are(
    name: str, status: int, code: str, field: str | None, kind: str, anthropic_type: str
) -> None:
    body = DIALECTS[name].error(status, code, "What to do.", field, "req_1")
    with client(name, status, body) as sdk:
        error = raised(name, lambda: ask(name, sdk))
    classes = {each.__name__ for each in type(error).__mro__}
    assert kind in classes
    assert "What to do." in str(error)
    assert error.status_code == status
    assert error.request_id == "req_1"
    if name.startswith("openai-"):
        assert (error.code, error.param) == (code, field)
        assert error.body.keys() == {"message", "type", "param", "code"}
    else:
        assert error.body["error"] == {"type": anthropic_type, "message": "What to do.", "code": code}
        assert error.body["request_id"] == "req_1"


@pytest.mark.parametrize("name", NAMES)
def test_the_sdks_raise_the_event_that_ends_a_broken_stream(name: str) -> None:
    dialect = DIALECTS[name]
    event = dialect.error_event("stream_cut", "The provider\nwent.", "req_1", 7)
    assert event.endswith(b"\n\n")
    assert event.count(b"\n\n") == 1, "one event"
    with client(name, 200, event, "text/event-stream") as sdk:
        error = raised(name, lambda: list(ask(name, sdk, stream=True)))
    assert "The provider\nwent." in str(error) or "The provider\\nwent." in str(error)
    if name.startswith("openai-"):
        assert error.code == "stream_cut"
    else:
        assert error.body["error"]["code"] == "stream_cut"


def test_the_error_event_of_a_response_is_one_of_its_events() -> None:
    data = DIALECTS["openai-responses"].error_event("stream_cut", "Gone.", "req_1", 7).split(b"data: ")[1]
    event = ResponseErrorEvent.model_validate_json(data)
    assert (event.type, event.code, event.message, event.param) == ("error", "stream_cut", "Gone.", None)
    assert event.sequence_number == 7


@pytest.mark.parametrize("name", NAMES)
def test_the_sdks_list_and_describe_models(name: str) -> None:
    dialect = DIALECTS[name]
    with client(name, 200, dialect.models(MODELS)) as sdk:
        assert [model.id for model in sdk.models.list()] == MODELS
    with client(name, 200, dialect.models([])) as sdk:
        assert list(sdk.models.list()) == []
    with client(name, 200, dialect.model("fast")) as sdk:
        model = sdk.models.retrieve("fast")
    assert model.id == "fast"
    if name.startswith("openai-"):
        assert (model.object, model.created, model.owned_by) == ("model", 0, "edgeroute")
    else:
        assert (model.type, model.display_name, model.created_at.year) == ("model", "fast", 1970)


def test_every_dialect_is_tested() -> None:
    assert list(DIALECTS) == NAMES
