"""The OpenAI dialect: chat completions, embeddings, models, error objects, and what its other endpoints share.

Follows https://platform.openai.com/docs/api-reference as of 2025. Unknown fields are ignored.
"""

import base64
import struct
from collections.abc import Iterator
from typing import Annotated, Literal

import msgspec

from edgeroute.mock.reply import (
    Answer,
    BadRequestError,
    Plain,
    Reply,
    Schema,
    Stream,
    Tool,
    choose_tool,
    compose,
    tokens,
    vector,
)

CREATED = 1_750_000_000
"""A fixed time, so that equal requests get equal bytes."""
_MOST_INPUTS = 2048
_TEXTS = ("text", "input_text", "output_text")

Positive = Annotated[int, msgspec.Meta(ge=1)]


class Part(msgspec.Struct):
    """A part of a message; only text counts."""

    type: str
    text: str = ""


class Message(msgspec.Struct):
    """A chat message."""

    role: str
    content: str | list[Part] | None = None


class Function(msgspec.Struct):
    """The function of a tool."""

    name: str
    parameters: Schema = msgspec.field(default_factory=Schema)


class FunctionTool(msgspec.Struct):
    """A tool as chat completions have it."""

    function: Function


class FunctionName(msgspec.Struct):
    """The function a choice names."""

    name: str


class NamedChoice(msgspec.Struct):
    """``tool_choice`` that names a function."""

    function: FunctionName


class StreamOptions(msgspec.Struct):
    """``stream_options``."""

    include_usage: bool = False


class ChatRequest(msgspec.Struct):
    """``POST /v1/chat/completions``."""

    model: str
    messages: Annotated[list[Message], msgspec.Meta(min_length=1)]
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    max_tokens: Positive | None = None
    max_completion_tokens: Positive | None = None
    tools: list[FunctionTool] | None = None
    tool_choice: Literal["none", "auto", "required"] | NamedChoice | None = None
    n: Literal[1] | None = None


class EmbeddingsRequest(msgspec.Struct):
    """``POST /v1/embeddings``; the input is text, texts, a list of token ids, or several such lists."""

    model: str
    input: str | list[str | int | list[int]]
    encoding_format: Literal["float", "base64"] = "float"
    dimensions: Annotated[int, msgspec.Meta(ge=1, le=4096)] = 1536


def chat(body: bytes, *, seed: int, length: int | None) -> Reply:
    """Answer a chat completion request."""
    request = msgspec.json.decode(body, type=ChatRequest)
    refuse_lonely_options(request.stream_options, request.stream)
    answer = compose(
        request.model,
        [text_of(message.content) for message in request.messages],
        seed=seed,
        tool=_tool(request),
        limit=request.max_completion_tokens or request.max_tokens,
        length=length,
    )
    if not request.stream:
        return Plain(200, _completion(request.model, answer), generated=len(answer.pieces))
    include_usage = request.stream_options is not None and request.stream_options.include_usage
    return Stream(_beats(request.model, answer, include_usage))


def embeddings(body: bytes, *, seed: int, length: int | None) -> Reply:
    """Answer an embeddings request: texts of the same words have equal vectors."""
    del length
    request = msgspec.json.decode(body, type=EmbeddingsRequest)
    texts = inputs("input", request.input)
    data: list[dict[str, object]] = []
    for index, (text, _) in enumerate(texts):
        packed = vector(request.model, text, seed=seed, dimensions=request.dimensions)
        embedding = (
            base64.b64encode(packed).decode()
            if request.encoding_format == "base64"
            else struct.unpack(f"<{request.dimensions}f", packed)
        )
        data.append({"object": "embedding", "index": index, "embedding": embedding})
    total = sum(count for _, count in texts)
    usage = {"prompt_tokens": total, "total_tokens": total}
    fields = {"object": "list", "data": data, "model": request.model, "usage": usage}
    return Plain(200, msgspec.json.encode(fields), generated=0)


def models(names: tuple[str, ...]) -> Plain:
    """The list of models."""
    fixed = {"object": "model", "created": CREATED, "owned_by": "edgeroute-mock"}
    data = [{"id": name} | fixed for name in names]
    return Plain(200, msgspec.json.encode({"object": "list", "data": data}))


def error(status: int, message: str) -> Plain:
    """An error object; type and code are those OpenAI uses for ``status``."""
    kind, code = {
        401: ("invalid_request_error", "invalid_api_key"),
        404: ("invalid_request_error", "unknown_url"),
        429: ("requests", "rate_limit_exceeded"),
    }.get(status, ("server_error" if status >= 500 else "invalid_request_error", None))
    fields = {"message": message, "type": kind, "param": None, "code": code}
    return Plain(status, msgspec.json.encode({"error": fields}))


def inputs(field: str, given: str | list[str | int | list[int]]) -> list[tuple[str, int]]:
    """Each input of ``field`` as text to answer, with its number of tokens."""
    items = [given] if isinstance(given, str) else given
    if not 1 <= len(items) <= _MOST_INPUTS:
        raise BadRequestError(f"{field} must have 1 to {_MOST_INPUTS} items, not {len(items)}")
    if all(isinstance(item, int) for item in items):
        return [(repr(items), len(items))]
    found: list[tuple[str, int]] = []
    for item in items:
        if isinstance(item, int):
            raise BadRequestError(f"{field} mixes token ids with texts or lists")
        if not item:
            raise BadRequestError(f"{field} has an empty item")
        found.append((item, tokens(item)) if isinstance(item, str) else (repr(item), len(item)))
    return found


def text_of(content: str | list[Part] | None) -> str:
    """The text of a message; parts that are no text are left out."""
    if isinstance(content, list):
        return "\n".join(part.text for part in content if part.type in _TEXTS)
    return content or ""


def refuse_lonely_options(options: StreamOptions | None, stream: bool | None) -> None:
    """``stream_options`` without ``stream`` are an error, as they are at OpenAI."""
    if options is not None and not stream:
        raise BadRequestError("stream_options is only allowed when stream is true")


def _tool(request: ChatRequest) -> Tool | None:
    choice = request.tool_choice
    if choice == "none":
        return None
    last = request.messages[-1]
    return choose_tool(
        [Tool(tool.function.name, tool.function.parameters) for tool in request.tools or ()],
        forced=choice == "required",
        name=choice.function.name if isinstance(choice, NamedChoice) else None,
        last_message=text_of(last.content) if last.role == "user" else "",
    )


def _usage(answer: Answer) -> dict[str, object]:
    return {
        "prompt_tokens": answer.prompt_tokens,
        "completion_tokens": len(answer.pieces),
        "total_tokens": answer.prompt_tokens + len(answer.pieces),
        "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": 0, "audio_tokens": 0},
    }


def _finish_reason(answer: Answer) -> str:
    if answer.truncated:
        return "length"
    return "tool_calls" if answer.tool is not None else "stop"


def _completion(model: str, answer: Answer) -> bytes:
    text = "".join(answer.pieces)
    message: dict[str, object] = {"role": "assistant", "content": text, "refusal": None}
    if answer.tool is not None:
        message["content"] = None
        message["tool_calls"] = [_call(answer, answer.tool, text)]
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": _finish_reason(answer)}
    return msgspec.json.encode(
        _envelope("chat.completion", model, answer) | {"choices": [choice], "usage": _usage(answer)}
    )


def _beats(model: str, answer: Answer, include_usage: bool) -> Iterator[list[bytes]]:
    """One beat per token; the first also opens the message, the last finishes it."""
    envelope = _envelope("chat.completion.chunk", model, answer)
    no_usage: dict[str, object] = {"usage": None} if include_usage else {}

    def event(delta: dict[str, object], finish_reason: str | None = None) -> bytes:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
        return _event(envelope | {"choices": [choice]} | no_usage)

    opening: dict[str, object] = {"role": "assistant", "content": "", "refusal": None}
    if answer.tool is not None:
        calls = [{"index": 0} | _call(answer, answer.tool, "")]
        opening = {"role": "assistant", "content": None, "tool_calls": calls}
    beat = [event(opening)]
    for piece in answer.pieces[:-1]:
        beat.append(event(_delta(answer, piece)))
        yield beat
        beat = []
    beat += [event(_delta(answer, answer.pieces[-1])), event({}, _finish_reason(answer))]
    if include_usage:
        no_choices: list[object] = []
        beat.append(_event(envelope | {"choices": no_choices, "usage": _usage(answer)}))
    beat.append(b"data: [DONE]\n\n")
    yield beat


def _delta(answer: Answer, piece: str) -> dict[str, object]:
    if answer.tool is None:
        return {"content": piece}
    return {"tool_calls": [{"index": 0, "function": {"arguments": piece}}]}


def _envelope(kind: str, model: str, answer: Answer) -> dict[str, object]:
    return {
        "id": f"chatcmpl-{answer.identity}",
        "object": kind,
        "created": CREATED,
        "model": model,
        "service_tier": "default",
        "system_fingerprint": "fp_mock",
    }


def _call(answer: Answer, name: str, arguments: str) -> dict[str, object]:
    function = {"name": name, "arguments": arguments}
    return {"id": f"call_{answer.identity}", "type": "function", "function": function}


def _event(fields: dict[str, object]) -> bytes:
    return b"data: " + msgspec.json.encode(fields) + b"\n\n"
