"""Completions, responses and token counts: bytes both ways, the SDKs, broken streams, what is logged and settled."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import openai
import pytest
from e2e_config import basic_config
from e2e_provider import Provider, streamed, whole
from e2e_router import KEY, Answer, Config, Router, hashed, in_one_minute
from openai.types.responses import ResponseCompletedEvent, ResponseTextDeltaEvent
from waiting import wait_for

START = Callable[[Config], Router]
LIMIT = 10_000
"""Tokens per minute of the limited keys."""


def response(status: str, text: str, usage: dict[str, Any] | None) -> dict[str, Any]:
    """A response as OpenAI's API reference has it, spaced as no library would."""
    part: dict[str, Any] = {"type": "output_text", "text": text, "annotations": []}
    message: dict[str, Any] = {
        "type": "message",
        "id": "msg_1",
        "role": "assistant",
        "status": "completed",
        "content": [part],
    }
    return {
        "id": "resp_1", "object": "response", "created_at": 0, "status": status, "model": "gpt-5.5", "error": None,
        "incomplete_details": None, "instructions": None, "metadata": {}, "parallel_tool_calls": True,
        "temperature": 1.0, "tool_choice": "auto", "tools": [], "top_p": 1.0, "output": [message] if text else [],
        "unknown field": 1e5, "usage": usage,
    }  # fmt: skip


def named(kind: str, number: int, **fields: Any) -> bytes:
    data = {"type": kind, "sequence_number": number, **fields}
    return b"event: " + kind.encode() + b"\ndata: " + json.dumps(data).encode() + b"\n\n"


USAGE = {
    "input_tokens": 40, "input_tokens_details": {"cached_tokens": 30}, "output_tokens": 7,
    "output_tokens_details": {"reasoning_tokens": 5}, "total_tokens": 47,
}  # fmt: skip
RESPONSE = json.dumps(response("completed", "Hello you", USAGE), indent=3).encode()
PREAMBLE = named("response.created", 0, response=response("in_progress", "", None)) + named(
    "response.in_progress", 1, response=response("in_progress", "", None)
)
PLACE: dict[str, Any] = {"item_id": "msg_1", "output_index": 0, "content_index": 0, "logprobs": []}
HELLO = named("response.output_text.delta", 2, delta="Hello", **PLACE)
YOU = named("response.output_text.delta", 3, delta=" you", **PLACE)
COMPLETED = named("response.completed", 4, response=response("completed", "Hello you", USAGE))
INCOMPLETE = named("response.incomplete", 4, response=response("incomplete", "Hello you", USAGE))
FAILED = named("response.failed", 4, response=response("failed", "", None))
RESPONSES = PREAMBLE + HELLO + b": keep-alive\n\n" + YOU + COMPLETED


def completion(text: str, **fields: Any) -> bytes:
    choice = {"text": text, "index": 0, "logprobs": None, "finish_reason": "stop"}
    reply = {"id": "c", "object": "text_completion", "created": 0, "model": "m", "choices": [choice]}
    return json.dumps(reply | fields, indent=1).encode()


def line(data: bytes) -> bytes:
    return b"data: " + b" ".join(data.split(b"\n")) + b"\n\n"


CHAT_USAGE = {"prompt_tokens": 40, "completion_tokens": 7, "total_tokens": 47}
COMPLETION = completion("Hello you", usage=CHAT_USAGE)
CHUNKS = line(completion("Hello")) + line(completion(" you"))
CHUNK_USAGE = line(completion("", choices=[], usage=CHAT_USAGE))
COMPLETIONS = CHUNKS + CHUNK_USAGE + b"data: [DONE]\n\n"
COUNT = b'{"input_tokens" : 2095}'


@pytest.fixture(scope="module")
def provider() -> Iterator[Provider]:
    listening = Provider().listen()
    yield listening
    listening.close()


@pytest.fixture(scope="module")
def served(start: START, face: str, provider: Provider) -> Router:
    config = basic_config(interface=face)
    config["providers"] = {
        "openai": {"dialect": "openai-chat", "url": provider.url, "api_key": "${ONE_KEY}"},
        "claude": {"dialect": "anthropic-messages", "url": provider.url, "api_key": "${CLAUDE_KEY}"},
    }
    config["models"] = {"smart": {"targets": ["openai/gpt-5.5", "claude/opus"]}, "gpt": "openai/gpt-5.5"}
    names = ["asked", "plain", "streamed", "cut", "failed", "completion", "counted"]
    config["virtual_keys"] |= {
        f"{name}-{turn}": {"hash": hashed(f"{name}-{turn}"), "limits": {"tokens_per_minute": LIMIT}}
        for turn in (0, 1)
        for name in names
    }
    return start(config)


def log(router: Router, answer: Answer) -> dict[str, Any]:
    """The log line of an answer."""

    def look() -> dict[str, Any] | None:
        lines = [json.loads(line) for line in router.said().splitlines() if line.startswith("{")]
        return next((line for line in lines if line.get("id") == answer.headers["x-request-id"]), None)

    return wait_for(look)  # pyright: ignore[reportReturnType]


# Bytes

RESPONSES_PATH, COMPLETIONS_PATH, COUNT_PATH = "/v1/responses", "/v1/completions", "/v1/messages/count_tokens"
ASKED = b'{ "model" : "smart",\t"stream":false, "input":["\\u00e4"],"prompt":[1 ,2], "unknown":1e5 }\n'
ARRIVES = b'{ "model" : "%b",\t"stream":false, "input":["\\u00e4"],"prompt":[1 ,2], "unknown":1e5 }\n'


@pytest.mark.parametrize(
    ("path", "reply", "model"),
    [(RESPONSES_PATH, RESPONSE, b"gpt-5.5"), (COMPLETIONS_PATH, COMPLETION, b"gpt-5.5"), (COUNT_PATH, COUNT, b"opus")],
    ids=["responses", "completions", "count_tokens"],
)
def test_bytes_pass_both_ways(served: Router, provider: Provider, path: str, reply: bytes, model: bytes) -> None:
    provider.reply = whole(reply)
    authorized = {"authorization": f"Bearer {KEY}", "content-type": "application/json"}
    sent = {"openai-beta": "b", "anthropic-beta": "b", "openai-organization": "client", "cookie": "c"}
    answer = served.ask("POST", path, ASKED, authorized | sent)
    assert (answer.status, answer.body) == (200, reply)
    at, headers, body = provider.requests[-1]
    assert (at, body) == (path, ARRIVES % model)
    expected = {"host", "accept-encoding", "content-type", "content-length"}
    if path == COUNT_PATH:
        assert headers["x-api-key"] == "sk-secret-of-claude"
        assert set(headers) == expected | {"x-api-key", "anthropic-beta", "anthropic-version"}
    else:
        assert headers["authorization"] == "Bearer sk-secret-of-one"
        assert set(headers) == expected | {"authorization", "openai-beta"}


@pytest.mark.parametrize(
    ("path", "events", "passes", "body"),
    [
        (RESPONSES_PATH, RESPONSES, RESPONSES, b'{"model":"gpt-5.5","stream":true}'),
        (
            COMPLETIONS_PATH,
            COMPLETIONS,
            CHUNKS + b"data: [DONE]\n\n",
            b'{"stream_options":{"include_usage":true},"model":"gpt-5.5","stream":true}',
        ),
    ],
    ids=["responses", "completions"],
)
def test_streams_pass(served: Router, provider: Provider, path: str, events: bytes, passes: bytes, body: bytes) -> None:
    provider.reply = streamed(events)
    authorized = {"authorization": f"Bearer {KEY}", "content-type": "application/json"}
    answer = served.ask("POST", path, b'{"model":"smart","stream":true}', authorized)
    assert (answer.status, answer.body) == (200, passes)
    assert provider.requests[-1][::2] == (path, body)
    logged = log(served, answer)
    assert (logged["outcome"], logged["input_tokens"], logged["output_tokens"]) == ("ok", 40, 7)
    assert logged["ttft_ms"] > 0


# The SDKs


def test_responses_with_the_sdk(served: Router, provider: Provider) -> None:
    client = served.openai()
    provider.reply = whole(RESPONSE)
    reply = client.responses.create(model="smart", input="Hello", instructions="Be brief.")
    assert (reply.output_text, reply.model) == ("Hello you", "gpt-5.5")
    provider.reply = streamed(RESPONSES)
    events = list(client.responses.create(model="smart", input="Hello", stream=True))
    assert "".join(event.delta for event in events if isinstance(event, ResponseTextDeltaEvent)) == "Hello you"
    last = events[-1]
    assert isinstance(last, ResponseCompletedEvent)
    assert last.response.usage is not None
    assert last.response.usage.total_tokens == 47
    assert [event.sequence_number for event in events] == [0, 1, 2, 3, 4]
    mounted = served.openai(base="/openai/v1")
    assert [each.type for each in mounted.responses.create(model="smart", input="x", stream=True)][-1] == last.type


def test_completions_with_the_sdk(served: Router, provider: Provider) -> None:
    client = served.openai()
    provider.reply = whole(COMPLETION)
    assert client.completions.create(model="smart", prompt="Hello").choices[0].text == "Hello you"
    provider.reply = streamed(COMPLETIONS)
    chunks = list(client.completions.create(model="smart", prompt=["Hello", "Bye"], stream=True))
    assert "".join(chunk.choices[0].text for chunk in chunks) == "Hello you"
    asked = client.completions.create(model="gpt", prompt=[1], stream=True, stream_options={"include_usage": True})
    *_, last = asked
    assert last.usage is not None
    assert last.usage.total_tokens == 47


def test_count_tokens_with_the_sdk(served: Router, provider: Provider) -> None:
    provider.reply = whole(COUNT)
    for base in ("", "/anthropic"):
        client = served.anthropic(base=base)
        counted = client.messages.count_tokens(model="smart", messages=[{"role": "user", "content": "Hello"}])
        assert counted.input_tokens == 2095


def test_stored_responses_are_refused_with_a_sentence(served: Router) -> None:
    client = served.openai()
    for ask in (client.responses.retrieve, client.responses.delete, client.responses.cancel):
        with pytest.raises(openai.NotFoundError, match="keeps no responses"):
            ask("resp_1")
    with pytest.raises(openai.BadRequestError, match="background") as caught:
        client.responses.create(model="smart", input="Hello", background=True)
    assert (caught.value.code, caught.value.param) == ("invalid_field", "background")


# Streams that break


@pytest.mark.parametrize(
    ("events", "passed", "number"),
    [
        (PREAMBLE + HELLO, 3, 3),
        (PREAMBLE + HELLO + YOU + COMPLETED[:-1], 4, 4),
        (PREAMBLE + HELLO + YOU + COMPLETED[:60], 4, 4),
        (PREAMBLE + b": keep-alive\n\n", 2, 2),
    ],
    ids=["between events", "before its last byte", "inside the last event", "preamble"],
)
def test_a_cut_response_raises(served: Router, provider: Provider, events: bytes, passed: int, number: int) -> None:
    provider.reply = streamed(events)
    got: list[Any] = []
    with pytest.raises(openai.APIError, match="closed the connection") as caught:
        got.extend(served.openai().responses.create(model="smart", input="Hello", stream=True))
    assert caught.value.code == "stream_cut"
    answer = served.post(RESPONSES_PATH, {"model": "smart", "input": "Hello", "stream": True})
    assert len(answer.data) == passed + 1
    last = answer.body.rpartition(b"event: ")[2]
    assert last.startswith(b"error\ndata: ")
    event = json.loads(answer.data[-1])
    assert (event["type"], event["code"], event["sequence_number"]) == ("error", "stream_cut", number)
    assert log(served, answer)["outcome"] == "cut"


@pytest.mark.parametrize("events", [b"", PREAMBLE[:20]], ids=["nothing", "inside the first event"])
def test_a_response_that_is_cut_before_its_first_event_is_refused(
    served: Router, provider: Provider, events: bytes
) -> None:
    provider.reply = streamed(events)
    with pytest.raises(openai.InternalServerError, match="closed the connection") as caught:
        served.openai().responses.create(model="smart", input="Hello", stream=True)
    assert (caught.value.status_code, caught.value.code) == (502, "upstream_cut")


def test_a_cut_completion_raises(served: Router, provider: Provider) -> None:
    provider.reply = streamed(CHUNKS)
    with pytest.raises(openai.APIError, match="closed the connection") as caught:
        list(served.openai().completions.create(model="smart", prompt="Hello", stream=True))
    assert caught.value.code == "stream_cut"


ERROR = b'event: error\ndata: {"type":"error","code":"x","message":"m","param":null,"sequence_number":2}\n\n'
CHUNKED = (
    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n"
)


@pytest.mark.parametrize("broken", [False, True], ids=["whole", "broken framing"])
@pytest.mark.parametrize(
    ("last", "outcome"),
    [(COMPLETED, "ok"), (INCOMPLETE, "ok"), (FAILED, "upstream_error"), (ERROR, "upstream_error")],
    ids=["completed", "incomplete", "failed", "error"],
)
def test_what_ends_a_response_is_the_last_that_a_client_gets(
    served: Router, provider: Provider, last: bytes, outcome: str, broken: bool
) -> None:
    events = PREAMBLE + HELLO + YOU + last
    end = b"" if broken else b"0\r\n\r\n"
    provider.reply = CHUNKED + b"%x\r\n%b\r\n" % (len(events), events) + end
    answer = served.post(RESPONSES_PATH, {"model": "smart", "input": "Hello", "stream": True})
    assert answer.body == events
    assert log(served, answer)["outcome"] == outcome


# Limits


def left(router: Router, provider: Provider, key: str, tokens: int) -> bool:
    """Whether a key has exactly so many tokens left; the provider refuses what is asked, so none are used."""
    provider.reply = whole(b'{"error":{}}', b"400 No")
    attempts = [
        router.post(COMPLETIONS_PATH, {"model": "gpt", "max_tokens": most}, key=key).headers["x-edgeroute-attempts"]
        for most in (tokens, tokens + 1)
    ]
    return attempts == ["1", "0"]


HELLO_BODY: dict[str, Any] = {"model": "smart", "input": "Hello"}


@pytest.mark.parametrize(
    ("name", "path", "fields", "reply", "used"),
    [
        ("plain", RESPONSES_PATH, {}, whole(RESPONSE), 47),
        ("streamed", RESPONSES_PATH, {"stream": True}, streamed(RESPONSES), 47),
        # 3 for the prompt, 4 for the message, 2 for its text, and 2 deltas.
        ("cut", RESPONSES_PATH, {"stream": True}, streamed(PREAMBLE + HELLO + YOU), 11),
        ("failed", RESPONSES_PATH, {"stream": True}, streamed(PREAMBLE + FAILED), 9),
        # Without usage, what was reserved.
        ("asked", RESPONSES_PATH, {"max_output_tokens": 50}, whole(b'{"usage":null}'), 59),
        ("completion", COMPLETIONS_PATH, {"prompt": "x", "stream": True}, streamed(COMPLETIONS), 47),
        ("counted", COUNT_PATH, {"messages": [{"role": "user", "content": "Hello"}]}, whole(COUNT), 0),
    ],
    ids=["plain", "streamed", "cut", "failed", "asked", "completion", "counted"],
)
def test_tokens_are_settled_as_used(
    served: Router, provider: Provider, name: str, path: str, fields: dict[str, Any], reply: bytes, used: int
) -> None:
    def run(turn: int) -> tuple[Answer, bool]:
        provider.reply = reply
        key = f"{name}-{turn}"
        answer = served.post(path, HELLO_BODY | fields, key=key)
        wait_for(lambda: served.in_flight() == 0)
        return answer, left(served, provider, key, LIMIT - used)

    answer, exact = in_one_minute(run)
    assert answer.status == 200
    assert exact
    logged = log(served, answer)
    reported = (40, 7) if used == 47 else (None, None)
    assert (logged.get("input_tokens"), logged.get("output_tokens")) == reported
