"""The unmodified OpenAI SDK against the mock provider."""

# pyright: basic
# (the overloads of the SDK have no known type for requests that a table builds)

import json
from collections.abc import Iterator
from typing import Any

import openai
import pytest
from mock_client import Mock

USER: Any = [{"role": "user", "content": "What is the capital of France?"}]
ASK_TOOL: Any = [{"role": "user", "content": "Please use the tool."}]
TOOLS: Any = [
    {
        "type": "function",
        "function": {
            "name": "get_weather",
            "parameters": {
                "type": "object",
                "properties": {
                    "city": {"type": "string"},
                    "unit": {"enum": ["celsius", "fahrenheit"]},
                    "days": {"type": "integer"},
                    "where": {"type": "array", "items": {"type": "number"}},
                },
            },
        },
    }
]


@pytest.fixture(scope="module")
def client(server: Mock) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{server.url}/v1", api_key="test", max_retries=0, timeout=30) as sdk:
        yield sdk


def test_plain(client: openai.OpenAI) -> None:
    reply = client.chat.completions.create(model="gpt-5-mini", messages=USER)
    text = reply.choices[0].message.content
    assert text is not None
    assert text.startswith("mock reply from gpt-5-mini: ")
    assert reply.model == "gpt-5-mini"
    assert reply.choices[0].finish_reason == "stop"
    assert reply.usage is not None
    assert reply.usage.prompt_tokens == 8  # 30 bytes
    assert reply.usage.completion_tokens == len(text.split(" "))
    assert reply.usage.total_tokens == reply.usage.prompt_tokens + reply.usage.completion_tokens


def test_stream_says_what_the_plain_reply_says(client: openai.OpenAI) -> None:
    plain = client.chat.completions.create(model="gpt-5-mini", messages=USER)
    chunks = list(client.chat.completions.create(model="gpt-5-mini", messages=USER, stream=True))
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks)
    assert text == plain.choices[0].message.content
    assert chunks[0].choices[0].delta.role == "assistant"
    assert [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices[0].finish_reason] == ["stop"]
    assert {chunk.id for chunk in chunks} == {plain.id}
    assert all("usage" not in chunk.model_fields_set for chunk in chunks)


def test_stream_usage_comes_in_a_last_chunk_without_choices(client: openai.OpenAI) -> None:
    plain = client.chat.completions.create(model="m", messages=USER)
    options: Any = {"include_usage": True}
    *chunks, last = client.chat.completions.create(model="m", messages=USER, stream=True, stream_options=options)
    assert all("usage" in chunk.model_fields_set and chunk.usage is None for chunk in chunks)
    assert last.choices == []
    assert last.usage == plain.usage


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("field", ["max_tokens", "max_completion_tokens"])
def test_maximum_of_tokens(client: openai.OpenAI, field: str, stream: bool) -> None:
    request: Any = {"model": "m", "messages": USER, field: 3, "stream": stream}
    reply: Any = client.chat.completions.create(**request)
    if stream:
        choices = [chunk.choices[0] for chunk in reply]
        text, finish = "".join(choice.delta.content or "" for choice in choices), choices[-1].finish_reason
    else:
        text, finish = reply.choices[0].message.content, reply.choices[0].finish_reason
    assert (text, finish) == ("mock reply from", "length")


@pytest.mark.parametrize(
    ("messages", "choice", "called"),
    [
        (ASK_TOOL, None, True),
        (ASK_TOOL, "auto", True),
        (ASK_TOOL, "none", False),
        (USER, "auto", False),
        (USER, "required", True),
        (USER, {"type": "function", "function": {"name": "get_weather"}}, True),
        ([*ASK_TOOL, {"role": "tool", "tool_call_id": "x", "content": "tool says rain"}], "auto", False),
    ],
)
def test_tools(client: openai.OpenAI, messages: Any, choice: Any, called: bool) -> None:
    request: Any = {"model": "m", "messages": messages, "tools": TOOLS}
    if choice is not None:
        request["tool_choice"] = choice
    reply = client.chat.completions.create(**request)
    assert reply.choices[0].finish_reason == ("tool_calls" if called else "stop")
    calls: Any = reply.choices[0].message.tool_calls or []
    assert [call.function.name for call in calls] == (["get_weather"] if called else [])


def test_streamed_tool_call_equals_the_plain_one(client: openai.OpenAI) -> None:
    request: Any = {"model": "m", "messages": ASK_TOOL, "tools": TOOLS}
    plain: Any = client.chat.completions.create(**request)
    with client.chat.completions.stream(**request) as stream:
        streamed: Any = stream.get_final_completion()
    (one,), (other,) = plain.choices[0].message.tool_calls, streamed.choices[0].message.tool_calls
    assert (other.id, other.function.name) == (one.id, "get_weather")
    assert other.function.arguments == one.function.arguments
    arguments = json.loads(one.function.arguments)
    assert list(arguments) == ["city", "unit", "days", "where"]
    assert isinstance(arguments["city"], str)
    assert arguments["unit"] == "celsius"
    assert (arguments["days"], arguments["where"]) == (7, [0.5])
    assert streamed.choices[0].finish_reason == "tool_calls"


def test_embeddings(client: openai.OpenAI, mock: Mock) -> None:
    # The SDK asks for base64 by itself; plain HTTP gets floats. They are the same vectors.
    binary = client.embeddings.create(model="e", input=["one text", "another"], dimensions=8)
    body = {"model": "e", "input": ["one text", "another"], "dimensions": 8}
    floats = json.loads(mock.call("POST", "/v1/embeddings", json.dumps(body).encode())[2])
    assert [item.embedding for item in binary.data] == [item["embedding"] for item in floats["data"]]
    assert [item.index for item in binary.data] == [0, 1]
    assert binary.data[0].embedding != binary.data[1].embedding
    assert sum(x * x for x in binary.data[0].embedding) == pytest.approx(1.0)
    assert binary.usage.prompt_tokens == binary.usage.total_tokens == 4
    assert client.embeddings.create(model="e", input="one text", dimensions=8).data[0] == binary.data[0]
    assert len(client.embeddings.create(model="e", input=[1, 2, 3]).data[0].embedding) == 1536
    assert client.embeddings.create(model="e", input=[[1, 2], [3]]).usage.prompt_tokens == 3


def test_models(client: openai.OpenAI) -> None:
    listed = list(client.models.list())
    assert "gpt-5-mini" in [model.id for model in listed]
    assert {model.object for model in listed} == {"model"}


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (400, openai.BadRequestError),
        (401, openai.AuthenticationError),
        (403, openai.PermissionDeniedError),
        (404, openai.NotFoundError),
        (422, openai.UnprocessableEntityError),
        (429, openai.RateLimitError),
        (500, openai.InternalServerError),
        (529, openai.InternalServerError),
    ],
)
def test_error_classes(client: openai.OpenAI, status: int, error: type[openai.APIStatusError]) -> None:
    with pytest.raises(error) as raised:
        client.chat.completions.create(model=f"mock-status-{status}", messages=USER)
    assert raised.value.status_code == status
    assert "mock provider was asked for status" in raised.value.message
    assert raised.value.response.headers.get("retry-after") == ("1" if status == 429 else None)


@pytest.mark.parametrize(
    ("path", "body", "told"),
    [
        ("/v1/chat/completions", b"", "truncated"),
        ("/v1/chat/completions", b"{", "truncated"),
        ("/v1/chat/completions", b"[]", "Expected `object`"),
        ("/v1/chat/completions", b'{"model":"m","metadata":{"x":' + b"[" * 200_000, "nested too deeply"),
        (
            "/v1/chat/completions",
            b'{"model":"m","messages":[{"role":"user","content":"tool"}],"tools":[{"function":{"name":"x","parameters":'
            + b'{"items":' * 100_000,
            "nested too deeply",
        ),
        ("/v1/chat/completions", b'{"model":"\xff"}', "utf-8"),
        ("/v1/chat/completions", b'{"model":7}', "`$.model`"),
        ("/v1/chat/completions", b'{"model":"m"}', "missing required field `messages`"),
        ("/v1/chat/completions", b'{"model":"m","messages":[]}', "`$.messages`"),
        (
            "/v1/chat/completions",
            b'{"model":"m","messages":[{"role":"user"}],"max_tokens":0}',
            "`$.max_tokens`",
        ),
        ("/v1/chat/completions", b'{"model":"m","messages":[{"role":"user"}],"n":2}', "`$.n`"),
        (
            "/v1/chat/completions",
            b'{"model":"m","messages":[{"role":"user"}],"tool_choice":{"function":{"name":"x"}}}',
            "not among the tools",
        ),
        (
            "/v1/chat/completions",
            b'{"model":"m","messages":[{"role":"user"}],"tool_choice":"required"}',
            "no tools are given",
        ),
        (
            "/v1/chat/completions",
            b'{"model":"m","messages":[{"role":"user"}],"stream_options":{}}',
            "only allowed when stream is true",
        ),
        ("/v1/embeddings", b'{"model":"m","input":[]}', "1 to 2048 items"),
        ("/v1/embeddings", b'{"model":"m","input":["a",1]}', "mixes"),
        ("/v1/embeddings", b'{"model":"m","input":["a",""]}', "empty item"),
        ("/v1/embeddings", b'{"model":"m","input":"a","dimensions":99999}', "`$.dimensions`"),
    ],
)
def test_bad_input_is_a_400_that_says_what(mock: Mock, path: str, body: bytes, told: str) -> None:
    status, _, reply = mock.call("POST", path, body)
    error = json.loads(reply)["error"]
    assert (status, error["type"]) == (400, "invalid_request_error")
    assert told in error["message"]


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("POST", "/v1/chat", 404),
        ("GET", "/", 404),
        ("GET", "/v1/chat/completions", 405),
        ("POST", "/v1/models", 405),
        ("GET", "/mock/unknown", 404),
    ],
)
def test_wrong_path_or_method(mock: Mock, method: str, path: str, status: int) -> None:
    got, _, body = mock.call(method, path)
    assert got == status
    assert json.loads(body)["error"]["message"]


# --- legacy completions -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "texts"),
    [
        ({"prompt": "hi"}, 1),
        ({"prompt": ["hi", "there"]}, 2),
        ({"prompt": [1, 2, 3]}, 1),
        ({"prompt": [[1, 2], [3]], "max_tokens": 3}, 2),
        ({"prompt": "hi", "max_tokens": 100}, 1),
    ],
)
def test_completions(client: openai.OpenAI, fields: Any, texts: int) -> None:
    plain = client.completions.create(model="m", **fields)
    assert (plain.object, len(plain.choices)) == ("text_completion", texts)
    assert plain.usage is not None
    assert plain.usage.completion_tokens == sum(len(choice.text.split(" ")) for choice in plain.choices)
    options: Any = {"include_usage": True}
    *chunks, last = client.completions.create(model="m", stream=True, stream_options=options, **fields)
    streamed = [""] * texts
    for chunk in chunks:
        streamed[chunk.choices[0].index] += chunk.choices[0].text
    assert streamed == [choice.text for choice in plain.choices]
    assert (last.choices, last.usage, last.id) == ([], plain.usage, plain.id)


@pytest.mark.parametrize(
    ("model", "maximum", "words", "finish"),
    [("m", None, 16, "length"), ("m", 3, 3, "length"), ("mock-tokens-40", None, 40, "stop"), ("m", 60, None, "stop")],
)
def test_length_of_completions(
    client: openai.OpenAI, model: str, maximum: int | None, words: int | None, finish: str
) -> None:
    reply = client.completions.create(model=model, prompt="hi", max_tokens=maximum)
    assert reply.choices[0].finish_reason == finish
    assert words is None or len(reply.choices[0].text.split(" ")) == words


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (b'{"model":"m"}', "missing required field `prompt`"),
        (b'{"model":"m","prompt":[]}', "prompt must have 1 to 2048 items"),
        (b'{"model":"m","prompt":["a",1]}', "prompt mixes"),
        (b'{"model":"m","prompt":"x","n":2}', "`$.n`"),
        (b'{"model":"m","prompt":"x","stream_options":{}}', "only allowed when stream is true"),
    ],
)
def test_bad_completions(mock: Mock, body: bytes, told: str) -> None:
    status, _, reply = mock.call("POST", "/v1/completions", body)
    assert status == 400
    assert told in json.loads(reply)["error"]["message"]
