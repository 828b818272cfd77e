"""The openai and anthropic SDKs, unmodified, against a real router."""

import asyncio
import json
from typing import Any

import anthropic
import openai
import pytest
from anthropic.types import MessageParam, ToolParam
from e2e_config import FACES
from e2e_router import KEY, Router
from openai.types.chat import ChatCompletionMessageParam, ChatCompletionToolParam

pytestmark = pytest.mark.parametrize(
    "router",
    [(face, workers) for face in FACES for workers in (1, 2)],
    ids=lambda param: f"{param[0]}-{param[1]}",
    indirect=True,
    scope="session",
)

HELLO: list[ChatCompletionMessageParam] = [{"role": "user", "content": "Hello"}]
HELLO_CLAUDE: list[MessageParam] = [{"role": "user", "content": "Hello"}]
SCHEMA: dict[str, Any] = {"type": "object", "properties": {"city": {"type": "string", "enum": ["Köln"]}}}
TOOL: ChatCompletionToolParam = {
    "type": "function",
    "function": {"name": "weather", "description": "It rains.", "parameters": SCHEMA},
}
TOOL_CLAUDE: ToolParam = {"name": "weather", "description": "It rains.", "input_schema": SCHEMA}

# OpenAI


def test_chat(router: Router) -> None:
    reply = router.openai().chat.completions.create(model="fast", messages=HELLO)
    assert (reply.choices[0].message.content or "").startswith("mock reply from gpt-5-mini: ")
    assert reply.choices[0].finish_reason == "stop"
    assert reply.usage is not None
    assert reply.usage.total_tokens == reply.usage.prompt_tokens + reply.usage.completion_tokens


def test_chat_stream_equals_the_whole_reply(router: Router) -> None:
    client = router.openai()
    whole = client.chat.completions.create(model="fast", messages=HELLO)
    chunks = list(client.chat.completions.create(model="fast", messages=HELLO, stream=True))
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == whole.choices[0].message.content
    assert chunks[-1].choices[0].finish_reason == "stop"
    assert all(chunk.usage is None for chunk in chunks), "nobody asked for the usage"


def test_chat_stream_gives_usage_to_those_who_ask(router: Router) -> None:
    client = router.openai()
    whole = client.chat.completions.create(model="fast", messages=HELLO)
    *chunks, last = client.chat.completions.create(
        model="fast", messages=HELLO, stream=True, stream_options={"include_usage": True}
    )
    assert last.choices == []
    assert last.usage == whole.usage
    assert all(chunk.usage is None for chunk in chunks)


def test_chat_tools_pass_through(router: Router) -> None:
    client = router.openai()
    reply = client.chat.completions.create(model="fast", messages=HELLO, tools=[TOOL], tool_choice="required")
    calls = reply.choices[0].message.tool_calls
    assert reply.choices[0].finish_reason == "tool_calls"
    assert calls is not None
    assert calls[0].type == "function"
    assert (calls[0].function.name, json.loads(calls[0].function.arguments)) == ("weather", {"city": "Köln"})

    with client.chat.completions.stream(model="fast", messages=HELLO, tools=[TOOL], tool_choice="required") as stream:
        streamed = stream.get_final_completion().choices[0].message.tool_calls
    assert streamed is not None
    assert streamed[0].function.arguments == calls[0].function.arguments
    assert streamed[0].id == calls[0].id


@pytest.mark.parametrize("encoding", ["float", "base64", None])
def test_embeddings(router: Router, encoding: Any) -> None:
    # Without an encoding the SDK asks for base64 and decodes it.
    chosen = {} if encoding is None else {"encoding_format": encoding}
    reply = router.openai().embeddings.create(model="embed", input=["one", "two"], dimensions=8, **chosen)
    assert [each.index for each in reply.data] == [0, 1]
    assert reply.usage.total_tokens == 2
    if encoding == "base64":
        assert all(isinstance(each.embedding, str) for each in reply.data)
    else:
        assert [len(each.embedding) for each in reply.data] == [8, 8]
        assert all(abs(sum(number**2 for number in each.embedding) - 1) < 1e-3 for each in reply.data)


def test_models(router: Router) -> None:
    client = router.openai()
    listed = [model.id for model in client.models.list()]
    assert listed == sorted(listed)
    assert {"fast", "smart", "embed", "gpt-5-mini"} <= set(listed)
    assert client.models.retrieve("fast").id == "fast"
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("fasr")
    of_team = [model.id for model in router.openai("sk-search").models.list()]
    assert of_team == ["best", "fast", "gpt-5-mini", "openai-only"]


@pytest.mark.parametrize("base", ["/v1", "/openai/v1", "/openai", ""])
def test_openai_mounts(router: Router, base: str) -> None:
    client = router.openai(base=base)
    assert client.chat.completions.create(model="fast", messages=HELLO).model == "gpt-5-mini"
    assert client.embeddings.create(model="embed", input="one").model == "text-embedding-3-small"
    assert client.models.retrieve("fast").object == "model"


# Anthropic


def test_messages(router: Router) -> None:
    reply = router.anthropic().messages.create(model="fast", max_tokens=100, messages=HELLO_CLAUDE)
    assert reply.content[0].type == "text"
    assert reply.content[0].text.startswith("mock reply from claude-haiku-4-5: ")
    assert reply.stop_reason == "end_turn"
    assert reply.usage.output_tokens > 10


def test_messages_stream_equals_the_whole_reply(router: Router) -> None:
    client = router.anthropic()
    whole = client.messages.create(model="fast", max_tokens=100, messages=HELLO_CLAUDE)
    events = list(client.messages.create(model="fast", max_tokens=100, messages=HELLO_CLAUDE, stream=True))
    assert [events[0].type, events[1].type] == ["message_start", "content_block_start"]
    assert [event.type for event in events[-3:]] == ["content_block_stop", "message_delta", "message_stop"]
    with client.messages.stream(model="fast", max_tokens=100, messages=HELLO_CLAUDE) as stream:
        text = "".join(stream.text_stream)
        final = stream.get_final_message()
    assert [text] == [block.text for block in whole.content if block.type == "text"]
    assert final.usage.output_tokens == whole.usage.output_tokens
    assert final.stop_reason == "end_turn"


def test_messages_tools_pass_through(router: Router) -> None:
    client = router.anthropic()
    reply = client.messages.create(
        model="fast", max_tokens=100, messages=HELLO_CLAUDE, tools=[TOOL_CLAUDE], tool_choice={"type": "any"}
    )
    assert reply.stop_reason == "tool_use"
    assert reply.content[0].type == "tool_use"
    assert (reply.content[0].name, reply.content[0].input) == ("weather", {"city": "Köln"})
    with client.messages.stream(
        model="fast", max_tokens=100, messages=HELLO_CLAUDE, tools=[TOOL_CLAUDE], tool_choice={"type": "any"}
    ) as stream:
        streamed = stream.get_final_message().content[0]
    assert streamed.type == "tool_use"
    assert streamed.input == {"city": "Köln"}


def test_anthropic_models(router: Router) -> None:
    client = router.anthropic()
    assert {"fast", "smart"} <= {model.id for model in client.models.list()}
    assert client.models.retrieve("fast").display_name == "fast"
    with pytest.raises(anthropic.NotFoundError):
        client.models.retrieve("fasr")


@pytest.mark.parametrize("base", ["", "/anthropic"])
def test_anthropic_mounts(router: Router, base: str) -> None:
    client = router.anthropic(base=base)
    assert client.messages.create(model="fast", max_tokens=9, messages=HELLO_CLAUDE).stop_reason == "max_tokens"
    assert client.models.retrieve("fast").type == "model"


# Asynchronous clients


def test_two_hundred_streams_at_once(router: Router) -> None:
    """Each of them is complete, and has its own text."""

    async def openai_stream(client: openai.AsyncOpenAI, number: int) -> str:
        stream = await client.chat.completions.create(
            model="fast", messages=[{"role": "user", "content": f"Hello {number}"}], stream=True
        )
        return "".join([chunk.choices[0].delta.content or "" async for chunk in stream])

    async def anthropic_stream(client: anthropic.AsyncAnthropic, number: int) -> str:
        async with client.messages.stream(
            model="fast", max_tokens=100, messages=[{"role": "user", "content": f"Hello {number}"}]
        ) as stream:
            return await stream.get_final_text()

    async def run() -> tuple[list[str], list[str]]:
        url = f"http://127.0.0.1:{router.port}"
        async with (
            openai.AsyncOpenAI(api_key=KEY, base_url=f"{url}/v1", max_retries=0, timeout=120) as one,
            anthropic.AsyncAnthropic(api_key=KEY, base_url=url, max_retries=0, timeout=120) as other,
        ):
            return (
                await asyncio.gather(*(openai_stream(one, number) for number in range(150))),
                await asyncio.gather(*(anthropic_stream(other, number) for number in range(150, 200))),
            )

    texts, texts_of_claude = asyncio.run(run())
    client, claude = router.openai(), router.anthropic()
    for number, text in [*enumerate(texts)][::15]:
        whole = client.chat.completions.create(model="fast", messages=[{"role": "user", "content": f"Hello {number}"}])
        assert text == whole.choices[0].message.content
    for number, text in [*enumerate(texts_of_claude, 150)][::10]:
        message = claude.messages.create(
            model="fast", max_tokens=100, messages=[{"role": "user", "content": f"Hello {number}"}]
        )
        assert [text] == [block.text for block in message.content if block.type == "text"]
    assert len({*texts, *texts_of_claude}) == 200
    assert all(text.startswith("mock reply from ") for text in [*texts, *texts_of_claude])


# Errors: what the SDKs raise

ERRORS: list[tuple[str, str, str, dict[str, Any], str, int]] = [
    # what is wrong, key, model, other arguments, name of the exception in both SDKs, status
    ("wrong key", "sk-wrong", "fast", {}, "AuthenticationError", 401),
    ("unknown model", KEY, "fasr", {}, "NotFoundError", 404),
    ("not the team's model", "sk-search", "smart", {}, "PermissionDeniedError", 403),
    ("rejected by a rule", KEY, "fast", {"extra_headers": {"x-purpose": "batch"}}, "PermissionDeniedError", 403),
    ("rejected with a status", KEY, "fast", {"extra_query": {"tea": "yes"}}, "APIStatusError", 418),
    ("refused by the provider", KEY, "fast", {"messages": []}, "BadRequestError", 400),
    ("refused by edgeroute", KEY, "fast", {"extra_body": {"max_tokens": "many"}}, "BadRequestError", 400),
    ("larger than the limit", "sk-small", "fast", {"max_tokens": 1000}, "BadRequestError", 400),
    ("provider is full", KEY, "{}/mock-status-429", {}, "RateLimitError", 429),
    ("provider is broken", KEY, "{}/mock-status-500", {}, "InternalServerError", 500),
    ("provider is not there", KEY, "unreachable", {}, "InternalServerError", 502),
    ("provider speaks nonsense", KEY, "{}/mock-garbage", {}, "InternalServerError", 502),
    ("provider refuses our key", KEY, "{}/mock-status-401", {}, "InternalServerError", 502),
]


@pytest.mark.parametrize(
    ("key", "model", "fields", "raised", "status"), [row[1:] for row in ERRORS], ids=[row[0] for row in ERRORS]
)
@pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])
def test_openai_errors(
    router: Router, key: str, model: str, fields: dict[str, Any], raised: str, status: int, stream: bool
) -> None:
    sent: dict[str, Any] = {"messages": HELLO, "stream": stream} | fields
    with pytest.raises(getattr(openai, raised)) as caught:
        router.openai(key).chat.completions.create(model=model.format("one"), **sent)
    assert caught.value.status_code == status
    assert caught.value.request_id


@pytest.mark.parametrize(
    ("key", "model", "fields", "raised", "status"), [row[1:] for row in ERRORS], ids=[row[0] for row in ERRORS]
)
@pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])
def test_anthropic_errors(
    router: Router, key: str, model: str, fields: dict[str, Any], raised: str, status: int, stream: bool
) -> None:
    sent: dict[str, Any] = {"messages": HELLO_CLAUDE, "max_tokens": 50, "stream": stream} | fields
    with pytest.raises(getattr(anthropic, raised)) as caught:
        router.anthropic(key).messages.create(model=model.format("claude"), **sent)
    assert caught.value.status_code == status
    assert caught.value.response.headers["x-request-id"]


def test_anthropics_sdk_finds_the_request_id(router: Router) -> None:
    with pytest.raises(anthropic.NotFoundError) as caught:
        router.anthropic().messages.create(model="fasr", max_tokens=9, messages=HELLO_CLAUDE)
    assert caught.value.request_id == caught.value.response.headers["x-request-id"]


def test_our_own_limit_is_a_rate_limit_error(router: Router) -> None:
    """One request a minute: of three, the second or (if a minute begins between them) the third is refused."""
    openai_client, anthropic_client = router.openai("sk-slow"), router.anthropic("sk-slow")

    def openai_thrice() -> None:
        for _ in range(3):
            openai_client.chat.completions.create(model="fast", messages=HELLO)

    def anthropic_thrice() -> None:
        for _ in range(3):
            anthropic_client.messages.create(model="fast", max_tokens=9, messages=HELLO_CLAUDE)

    with pytest.raises(openai.RateLimitError) as caught:
        openai_thrice()
    with pytest.raises(anthropic.RateLimitError) as raised:
        anthropic_thrice()
    for error in (caught.value, raised.value):
        assert 1 <= int(error.response.headers["retry-after"]) <= 60
        assert "requests_per_minute of virtual key `one-a-minute`" in str(error)


def test_the_providers_retry_after_is_passed_on(router: Router) -> None:
    with pytest.raises(openai.RateLimitError) as caught:
        router.openai().chat.completions.create(model="one/mock-status-429", messages=HELLO)
    assert caught.value.response.headers["retry-after"] == "1"


@pytest.mark.parametrize(("fault", "code"), [("cut-5", "stream_cut"), ("bad-chunking", "stream_protocol")])
def test_a_broken_stream_raises_after_what_came_through(router: Router, fault: str, code: str) -> None:
    chunks = router.openai().chat.completions.create(model=f"one/mock-{fault}", messages=HELLO, stream=True)
    assert next(iter(chunks)).choices[0].delta.role == "assistant"
    with pytest.raises(openai.APIError) as caught:
        list(chunks)
    assert caught.value.code == code

    events = router.anthropic().messages.create(
        model=f"claude/mock-{fault}", max_tokens=50, messages=HELLO_CLAUDE, stream=True
    )
    assert next(iter(events)).type == "message_start"
    with pytest.raises(anthropic.APIStatusError) as raised:
        list(events)
    assert "api_error" in str(raised.value)
    assert code in str(raised.value)
