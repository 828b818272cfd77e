"""The responses endpoint: the unmodified OpenAI SDK, and the events as they are on the wire."""

# pyright: basic
# (the overloads of the SDK have no known type for requests that a table builds)

import json
from collections.abc import Iterator
from typing import Any

import openai
import pytest
from mock_client import Mock
from openai.types.responses import Response, ResponseStreamEvent
from pydantic import TypeAdapter

EVENT: TypeAdapter[Any] = TypeAdapter(ResponseStreamEvent)
"""Refuses what the SDK's types do not allow; the SDK itself takes anything."""
ASK_TOOL = "Please use the tool."
TOOLS: Any = [
    {"type": "web_search"},
    {"type": "function", "name": "get_weather", "parameters": {"properties": {"city": {"type": "string"}}}},
]
RESULT: Any = {"type": "function_call_output", "call_id": "x", "output": "tool: rain"}


@pytest.fixture(scope="module")
def client(server: Mock) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{server.url}/v1", api_key="test", max_retries=0, timeout=30) as sdk:
        yield sdk


def events(mock: Mock, **fields: Any) -> list[dict[str, Any]]:
    """The data of each event; its `event:` line must say the type too."""
    body = json.dumps({"model": "m", "input": "hi", "stream": True} | fields).encode()
    status, headers, sent = mock.call("POST", "/v1/responses", body)
    assert (status, headers["content-type"].split(";")[0]) == (200, "text/event-stream")
    *parts, end = sent.decode().split("\n\n")
    assert end == ""
    pairs = [part.removeprefix("event: ").split("\ndata: ") for part in parts]
    found = [json.loads(data) for _, data in pairs]
    assert [name for name, _ in pairs] == [event["type"] for event in found]
    for event in found:
        EVENT.validate_python(event)
    assert [event["sequence_number"] for event in found] == list(range(len(found)))
    return found


def test_plain(client: openai.OpenAI) -> None:
    reply = client.responses.create(model="gpt-5-mini", instructions="Be short.", input="What is up?")
    assert reply.output_text.startswith("mock reply from gpt-5-mini: ")
    assert (reply.object, reply.model, reply.status) == ("response", "gpt-5-mini", "completed")
    assert reply.usage is not None
    assert reply.usage.input_tokens == 6  # 21 bytes with the line break between the texts
    assert reply.usage.output_tokens == len(reply.output_text.split(" "))
    assert reply.usage.total_tokens == reply.usage.input_tokens + reply.usage.output_tokens


@pytest.mark.parametrize("given", ["hello", [{"role": "user", "content": [{"type": "input_text", "text": "hello"}]}]])
def test_text_and_items_say_the_same(client: openai.OpenAI, given: Any) -> None:
    assert client.responses.create(model="m", input=given) == client.responses.create(model="m", input="hello")


@pytest.mark.parametrize(
    ("fields", "status"),
    [({}, "completed"), ({"max_output_tokens": 3}, "incomplete"), ({"tools": TOOLS, "input": ASK_TOOL}, "completed")],
)
def test_the_stream_ends_with_the_plain_response(client: openai.OpenAI, fields: dict[str, Any], status: str) -> None:
    request: Any = {"model": "m", "input": "What is up?"} | fields
    plain = client.responses.create(**request)
    last: Any = list(client.responses.create(**request, stream=True))[-1]
    Response.model_validate(plain.to_dict())
    assert (last.type, last.response) == (f"response.{status}", plain)
    assert plain.status == status
    with client.responses.stream(**request) as stream:
        seen = [event.type for event in stream]
        if status == "completed":
            assert stream.get_final_response().output_text == plain.output_text
    assert seen[0] == "response.created"


def test_maximum_of_tokens(client: openai.OpenAI) -> None:
    reply = client.responses.create(model="m", input="hi", max_output_tokens=3)
    assert reply.output_text == "mock reply from"
    assert reply.incomplete_details is not None
    assert reply.incomplete_details.reason == "max_output_tokens"


def test_order_of_stream_events(mock: Mock) -> None:
    found = events(mock, max_output_tokens=2)
    assert [event["type"].removeprefix("response.") for event in found] == [
        "created",
        "in_progress",
        "output_item.added",
        "content_part.added",
        "output_text.delta",
        "output_text.delta",
        "output_text.done",
        "content_part.done",
        "output_item.done",
        "incomplete",
    ]
    assert found[0]["response"]["status"] == "in_progress"
    assert "".join(event["delta"] for event in found[4:6]) == found[6]["text"] == "mock reply"
    assert found[-1]["response"]["usage"]["output_tokens"] == 2


def test_order_of_stream_events_of_a_call(mock: Mock) -> None:
    found = events(mock, input=ASK_TOOL, tools=TOOLS)
    kinds = [event["type"].removeprefix("response.") for event in found]
    deltas = kinds.count("function_call_arguments.delta")
    assert deltas >= 1
    assert kinds == [
        "created",
        "in_progress",
        "output_item.added",
        *["function_call_arguments.delta"] * deltas,
        "function_call_arguments.done",
        "output_item.done",
        "completed",
    ]
    assert "".join(event["delta"] for event in found[3 : 3 + deltas]) == found[-3]["arguments"]


@pytest.mark.parametrize(
    ("given", "choice", "called"),
    [
        (ASK_TOOL, None, True),
        (ASK_TOOL, "none", False),
        ("hi", "auto", False),
        ("hi", "required", True),
        ("hi", {"type": "function", "name": "get_weather"}, True),
        ([{"role": "user", "content": ASK_TOOL}, RESULT], "auto", False),
    ],
)
def test_tools(client: openai.OpenAI, given: Any, choice: Any, called: bool) -> None:
    request: Any = {"model": "m", "input": given, "tools": TOOLS}
    reply: Any = client.responses.create(**request | ({} if choice is None else {"tool_choice": choice}))
    (item,) = reply.output
    assert item.type == ("function_call" if called else "message")
    if called:
        assert (item.name, list(json.loads(item.arguments))) == ("get_weather", ["city"])


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (b'{"model":"m"}', "missing required field `input`"),
        (b'{"model":"m","input":[]}', "`$.input`"),
        (b'{"model":"m","input":"x","max_output_tokens":0}', "`$.max_output_tokens`"),
        (b'{"model":"m","input":"x","tool_choice":"required"}', "no tools are given"),
        (b'{"model":"m","input":"x","metadata":{"mock":"cut"}}', "'cut' needs a number"),
    ],
)
def test_bad_input_is_a_400_that_says_what(mock: Mock, body: bytes, told: str) -> None:
    status, _, reply = mock.call("POST", "/v1/responses", body)
    assert status == 400
    assert told in json.loads(reply)["error"]["message"]


def test_faults(client: openai.OpenAI) -> None:
    with pytest.raises(openai.RateLimitError):
        client.responses.create(model="mock-status-429", input="hi")
    with pytest.raises(openai.APIError):
        list(client.responses.create(model="mock-cut-3", input="hi", stream=True))
