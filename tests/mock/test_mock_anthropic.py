"""The unmodified Anthropic SDK against the mock provider."""

# pyright: basic
# (the overloads of the SDK have no known type for requests that a table builds)

import json
from collections.abc import Iterator
from typing import Any

import anthropic
import pytest
from mock_client import Mock

USER: Any = [{"role": "user", "content": [{"type": "text", "text": "What is the capital of France?"}]}]
ASK_TOOL: Any = [{"role": "user", "content": "Please use the tool."}]
TOOLS: Any = [{"name": "get_weather", "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}}}]
VERSION = {"anthropic-version": "2023-06-01"}


@pytest.fixture(scope="module")
def client(server: Mock) -> Iterator[anthropic.Anthropic]:
    with anthropic.Anthropic(base_url=server.url, api_key="test", max_retries=0, timeout=30) as sdk:
        yield sdk


def test_plain(client: anthropic.Anthropic) -> None:
    reply: Any = client.messages.create(model="claude", max_tokens=100, system="Be short.", messages=USER)
    text = reply.content[0].text
    assert text.startswith("mock reply from claude: ")
    assert (reply.role, reply.model, reply.stop_reason) == ("assistant", "claude", "end_turn")
    assert reply.usage.input_tokens == 10  # 40 bytes with the line break between the texts
    assert reply.usage.output_tokens == len(text.split(" "))


def test_stream_says_what_the_plain_reply_says(client: anthropic.Anthropic) -> None:
    plain: Any = client.messages.create(model="claude", max_tokens=100, messages=USER)
    with client.messages.stream(model="claude", max_tokens=100, messages=USER) as stream:
        streamed: Any = stream.get_final_message()
    assert streamed.content[0].text == plain.content[0].text
    assert (streamed.id, streamed.stop_reason) == (plain.id, plain.stop_reason)
    assert streamed.usage.output_tokens == plain.usage.output_tokens
    assert streamed.usage.input_tokens == plain.usage.input_tokens


def test_order_of_stream_events(mock: Mock) -> None:
    request = {"model": "c", "max_tokens": 2, "stream": True, "messages": USER}
    _, headers, body = mock.call("POST", "/v1/messages", json.dumps(request).encode(), VERSION)
    assert headers["content-type"].startswith("text/event-stream")
    names = [line.removeprefix("event: ") for line in body.decode().splitlines() if line.startswith("event")]
    assert names == [
        "message_start",
        "content_block_start",
        "ping",
        "content_block_delta",
        "content_block_delta",
        "content_block_stop",
        "message_delta",
        "message_stop",
    ]


def test_maximum_of_tokens(client: anthropic.Anthropic) -> None:
    reply: Any = client.messages.create(model="claude", max_tokens=3, messages=USER)
    assert (reply.content[0].text, reply.stop_reason) == ("mock reply from", "max_tokens")


RESULT: Any = {
    "role": "user",
    "content": [{"type": "tool_result", "tool_use_id": "x", "content": "tool: rain"}],
}


@pytest.mark.parametrize(
    ("messages", "choice", "called"),
    [
        (ASK_TOOL, None, True),
        (ASK_TOOL, {"type": "none"}, False),
        (USER, {"type": "auto"}, False),
        (USER, {"type": "any"}, True),
        (USER, {"type": "tool", "name": "get_weather"}, True),
        ([*ASK_TOOL, RESULT], None, False),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
def test_tools(client: anthropic.Anthropic, messages: Any, choice: Any, called: bool, stream: bool) -> None:
    request: Any = {"model": "c", "max_tokens": 100, "messages": messages, "tools": TOOLS}
    if choice is not None:
        request["tool_choice"] = choice
    if stream:
        with client.messages.stream(**request) as events:
            reply: Any = events.get_final_message()
    else:
        reply = client.messages.create(**request)
    assert reply.stop_reason == ("tool_use" if called else "end_turn")
    assert reply.content[0].type == ("tool_use" if called else "text")
    if called:
        assert reply.content[0].name == "get_weather"
        assert isinstance(reply.content[0].input["city"], str)


@pytest.mark.parametrize("system", [anthropic.omit, "Be short.", [{"type": "text", "text": "Be short."}]])
def test_counted_tokens_are_those_of_the_usage(client: anthropic.Anthropic, system: Any) -> None:
    request: Any = {"model": "claude", "messages": USER, "system": system}
    reply = client.messages.create(max_tokens=1, **request)
    assert client.messages.count_tokens(**request).input_tokens == reply.usage.input_tokens


def test_models(client: anthropic.Anthropic) -> None:
    listed = list(client.models.list())
    assert "claude-opus-4-8" in [model.id for model in listed]


@pytest.mark.parametrize(
    ("status", "error", "kind"),
    [
        (400, anthropic.BadRequestError, "invalid_request_error"),
        (401, anthropic.AuthenticationError, "authentication_error"),
        (403, anthropic.PermissionDeniedError, "permission_error"),
        (404, anthropic.NotFoundError, "not_found_error"),
        (429, anthropic.RateLimitError, "rate_limit_error"),
        (500, anthropic.InternalServerError, "api_error"),
        (529, anthropic.InternalServerError, "overloaded_error"),
    ],
)
def test_error_classes(
    client: anthropic.Anthropic, status: int, error: type[anthropic.APIStatusError], kind: str
) -> None:
    with pytest.raises(error) as raised:
        client.messages.create(
            model="claude", max_tokens=9, messages=USER, extra_headers={"x-mock": f"status={status}"}
        )
    body: Any = raised.value.body
    assert (raised.value.status_code, body["type"], body["error"]["type"]) == (status, "error", kind)
    assert raised.value.response.headers.get("retry-after") == ("1" if status == 429 else None)


@pytest.mark.parametrize(
    ("body", "headers", "told"),
    [
        (b"{", VERSION, "truncated"),
        (b'{"model":"m","messages":[{"role":"user","content":"x"}]}', VERSION, "field `max_tokens`"),
        (b'{"model":"m","max_tokens":0,"messages":[]}', VERSION, "`$.max_tokens`"),
        (b'{"model":"m","max_tokens":1,"messages":[{"role":"system","content":""}]}', VERSION, "'system'"),
        (b'{"model":"m","max_tokens":1,"metadata":{"mock":1},"messages":[]}', VERSION, "metadata.mock"),
        (b'{"model":"m","max_tokens":1,"messages":[]}', {}, "anthropic-version: header is required"),
    ],
)
def test_bad_input_is_a_400_that_says_what(mock: Mock, body: bytes, headers: dict[str, str], told: str) -> None:
    status, _, reply = mock.call("POST", "/v1/messages", body, headers)
    answer = json.loads(reply)
    assert (status, answer["type"], answer["error"]["type"]) == (400, "error", "invalid_request_error")
    assert told in answer["error"]["message"]


def test_bad_count(mock: Mock) -> None:
    for path, body, headers in (
        ("/v1/messages/count_tokens", b'{"model":"m"}', VERSION),
        ("/v1/messages/count_tokens", b'{"model":"m","messages":[{"role":"user","content":"x"}]}', {}),
    ):
        status, _, reply = mock.call("POST", path, body, headers)
        assert (status, json.loads(reply)["error"]["type"]) == (400, "invalid_request_error")


def test_wrong_path_has_the_shape_of_the_dialect(mock: Mock) -> None:
    status, _, body = mock.call("POST", "/v1/message", b"{}", VERSION)
    assert (status, json.loads(body)["error"]["type"]) == (404, "not_found_error")
