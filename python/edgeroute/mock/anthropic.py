"""The Anthropic dialect: messages, counting their tokens, models and error objects.

Follows https://docs.anthropic.com/en/api/messages and …/messages-count-tokens as of 2025. Unknown fields are ignored.
"""

from collections.abc import Iterator
from typing import Annotated, Literal

import msgspec

from edgeroute.mock.reply import Answer, Plain, Reply, Schema, Stream, Tool, choose_tool, compose, prompt_tokens

Positive = Annotated[int, msgspec.Meta(ge=1)]


class Block(msgspec.Struct):
    """A content block; only text counts."""

    type: str
    text: str = ""


class Message(msgspec.Struct):
    """A message of the conversation."""

    role: Literal["user", "assistant"]
    content: str | list[Block]


class ClientTool(msgspec.Struct):
    """A tool as messages have it; tools that the provider runs have no schema."""

    name: str
    input_schema: Schema = msgspec.field(default_factory=Schema)


class ToolChoice(msgspec.Struct):
    """``tool_choice``."""

    type: Literal["auto", "any", "tool", "none"]
    name: str | None = None


class CountRequest(msgspec.Struct):
    """``POST /v1/messages/count_tokens``."""

    model: str
    messages: Annotated[list[Message], msgspec.Meta(min_length=1)]
    system: str | list[Block] = ""

    def texts(self) -> list[str]:
        """What the prompt consists of."""
        return [_text(self.system), *(_text(message.content) for message in self.messages)]


class MessagesRequest(CountRequest, kw_only=True):
    """``POST /v1/messages``."""

    max_tokens: Positive
    stream: bool = False
    tools: list[ClientTool] = []
    tool_choice: ToolChoice = msgspec.field(default_factory=lambda: ToolChoice("auto"))


def messages(body: bytes, *, seed: int, length: int | None) -> Reply:
    """Answer a messages request."""
    request = msgspec.json.decode(body, type=MessagesRequest)
    answer = compose(
        request.model,
        request.texts(),
        seed=seed,
        tool=_tool(request),
        limit=request.max_tokens,
        length=length,
    )
    if request.stream:
        return Stream(_beats(request.model, answer))
    fields = _envelope(request.model, answer) | {
        "content": [_block(answer, "".join(answer.pieces))],
        "stop_reason": _stop_reason(answer),
        "usage": _usage(answer, len(answer.pieces)),
    }
    return Plain(200, msgspec.json.encode(fields), generated=len(answer.pieces))


def count_tokens(body: bytes, *, seed: int, length: int | None) -> Reply:
    """Count the tokens of a prompt as its reply's usage will."""
    del seed, length
    request = msgspec.json.decode(body, type=CountRequest)
    return Plain(200, msgspec.json.encode({"input_tokens": prompt_tokens(request.texts())}))


def models(names: tuple[str, ...]) -> Plain:
    """The list of models, on one page."""
    data = [{"type": "model", "id": name, "display_name": name, "created_at": "2025-06-15T00:00:00Z"} for name in names]
    ends = {"first_id": names[0], "last_id": names[-1]} if names else {"first_id": None, "last_id": None}
    return Plain(200, msgspec.json.encode({"data": data, "has_more": False} | ends))


def error(status: int, message: str) -> Plain:
    """An error object; its type is the one Anthropic uses for ``status``."""
    kind = {
        401: "authentication_error",
        403: "permission_error",
        404: "not_found_error",
        413: "request_too_large",
        429: "rate_limit_error",
        529: "overloaded_error",
    }.get(status, "api_error" if status >= 500 else "invalid_request_error")
    fields = {"type": "error", "error": {"type": kind, "message": message}}
    return Plain(status, msgspec.json.encode(fields))


def _text(content: str | list[Block]) -> str:
    if isinstance(content, str):
        return content
    return "\n".join(block.text for block in content if block.type == "text")


def _tool(request: MessagesRequest) -> Tool | None:
    choice = request.tool_choice
    if choice.type == "none":
        return None
    last = request.messages[-1]
    return choose_tool(
        [Tool(tool.name, tool.input_schema) for tool in request.tools],
        forced=choice.type in ("any", "tool"),
        name=choice.name if choice.type == "tool" else None,
        last_message=_text(last.content) if last.role == "user" else "",
    )


def _stop_reason(answer: Answer) -> str:
    if answer.truncated:
        return "max_tokens"
    return "tool_use" if answer.tool is not None else "end_turn"


def _usage(answer: Answer, output_tokens: int) -> dict[str, object]:
    return {
        "input_tokens": answer.prompt_tokens,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": 0,
        "output_tokens": output_tokens,
        "service_tier": "standard",
    }


def _envelope(model: str, answer: Answer) -> dict[str, object]:
    return {
        "id": f"msg_{answer.identity}",
        "type": "message",
        "role": "assistant",
        "model": model,
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
    }


def _block(answer: Answer, content: str) -> dict[str, object]:
    """The content block with ``content`` (``""`` opens a stream); cut arguments are no JSON and left out."""
    if answer.tool is None:
        return {"type": "text", "text": content}
    arguments = msgspec.Raw(content.encode() if content and not answer.truncated else b"{}")
    return {"type": "tool_use", "id": f"toolu_{answer.identity}", "name": answer.tool, "input": arguments}


def _beats(model: str, answer: Answer) -> Iterator[list[bytes]]:
    """One beat per token; the first also opens message and block, the last closes them."""
    beat = [
        _event("message_start", {"message": _envelope(model, answer) | {"usage": _usage(answer, 1)}}),
        _event("content_block_start", {"index": 0, "content_block": _block(answer, "")}),
        _event("ping", {}),
    ]
    for piece in answer.pieces[:-1]:
        beat.append(_delta(answer, piece))
        yield beat
        beat = []
    stopped = {"stop_reason": _stop_reason(answer), "stop_sequence": None}
    beat += [
        _delta(answer, answer.pieces[-1]),
        _event("content_block_stop", {"index": 0}),
        _event("message_delta", {"delta": stopped, "usage": {"output_tokens": len(answer.pieces)}}),
        _event("message_stop", {}),
    ]
    yield beat


def _delta(answer: Answer, piece: str) -> bytes:
    kind, field = ("text_delta", "text") if answer.tool is None else ("input_json_delta", "partial_json")
    return _event("content_block_delta", {"index": 0, "delta": {"type": kind, field: piece}})


def _event(name: str, fields: dict[str, object]) -> bytes:
    return b"event: " + name.encode() + b"\ndata: " + msgspec.json.encode({"type": name} | fields) + b"\n\n"
