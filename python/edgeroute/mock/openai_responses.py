"""The responses endpoint of OpenAI's dialect, plain and as the full sequence of its stream events.

Follows https://platform.openai.com/docs/api-reference/responses as of 2025. Nothing is stored: unknown
fields, ``previous_response_id`` and ``background`` among them, are ignored.
"""

from collections.abc import Iterator
from typing import Annotated, Literal

import msgspec

from edgeroute.mock.openai import CREATED, Part, Positive, text_of
from edgeroute.mock.reply import Answer, Plain, Reply, Schema, Stream, Tool, choose_tool, compose


class Item(msgspec.Struct):
    """An input item: a message, or the output of a tool; of any other only its place counts."""

    type: str = "message"
    role: str = ""
    content: str | list[Part] | None = None
    output: str | list[Part] | None = None


class ResponseTool(msgspec.Struct):
    """A tool as responses have it; tools that the provider runs have no name and are never called."""

    type: str
    name: str = ""
    parameters: Schema | None = None


class NamedChoice(msgspec.Struct):
    """``tool_choice`` that names a function."""

    type: Literal["function"]
    name: str


class ResponsesRequest(msgspec.Struct):
    """``POST /v1/responses``."""

    model: str
    input: str | Annotated[list[Item], msgspec.Meta(min_length=1)]
    instructions: str | None = None
    stream: bool | None = None
    max_output_tokens: Positive | None = None
    tools: list[ResponseTool] | None = None
    tool_choice: Literal["none", "auto", "required"] | NamedChoice | None = None


def responses(body: bytes, *, seed: int, length: int | None) -> Reply:
    """Answer a responses request."""
    request = msgspec.json.decode(body, type=ResponsesRequest)
    items = [Item(role="user", content=request.input)] if isinstance(request.input, str) else request.input
    answer = compose(
        request.model,
        [*([request.instructions] if request.instructions else []), *map(_text, items)],
        seed=seed,
        tool=_tool(request, items[-1]),
        limit=request.max_output_tokens,
        length=length,
    )
    if request.stream:
        return Stream(_beats(request, answer))
    return Plain(200, msgspec.json.encode(_finished(request, answer)), generated=len(answer.pieces))


def _text(item: Item) -> str:
    return text_of(item.content if item.output is None else item.output)


def _tool(request: ResponsesRequest, last: Item) -> Tool | None:
    choice = request.tool_choice
    if choice == "none":
        return None
    offered = [tool for tool in request.tools or () if tool.type == "function"]
    return choose_tool(
        [Tool(tool.name, tool.parameters or Schema()) for tool in offered],
        forced=choice == "required",
        name=choice.name if isinstance(choice, NamedChoice) else None,
        last_message=_text(last) if last.role == "user" else "",
    )


def _response(request: ResponsesRequest, answer: Answer, status: str) -> dict[str, object]:
    """The response object before it has any output."""
    return {
        "id": f"resp_{answer.identity}",
        "object": "response",
        "created_at": CREATED,
        "status": status,
        "background": False,
        "error": None,
        "incomplete_details": None,
        "instructions": request.instructions,
        "max_output_tokens": request.max_output_tokens,
        "model": request.model,
        "output": [],
        "parallel_tool_calls": True,
        "previous_response_id": None,
        "reasoning": {"effort": None, "summary": None},
        "service_tier": "default",
        "store": False,
        "temperature": 1.0,
        "text": {"format": {"type": "text"}},
        "tool_choice": "auto",
        "tools": [],
        "top_p": 1.0,
        "truncation": "disabled",
        "usage": None,
        "metadata": {},
    }


def _finished(request: ResponsesRequest, answer: Answer) -> dict[str, object]:
    """The response object with all its output."""
    status = _status(answer)
    return _response(request, answer, status) | {
        "incomplete_details": {"reason": "max_output_tokens"} if answer.truncated else None,
        "output": [_item(answer, status, "".join(answer.pieces))],
        "usage": {
            "input_tokens": answer.prompt_tokens,
            "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
            "output_tokens": len(answer.pieces),
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": answer.prompt_tokens + len(answer.pieces),
        },
    }


def _status(answer: Answer) -> str:
    return "incomplete" if answer.truncated else "completed"


def _item(answer: Answer, status: str, text: str | None) -> dict[str, object]:
    """The one output item; without ``text`` as it opens a stream."""
    if answer.tool is not None:
        return {
            "id": _item_id(answer),
            "type": "function_call",
            "status": status,
            "call_id": f"call_{answer.identity}",
            "name": answer.tool,
            "arguments": text or "",
        }
    content = [] if text is None else [_part(text)]
    return {"id": _item_id(answer), "type": "message", "status": status, "role": "assistant", "content": content}


def _item_id(answer: Answer) -> str:
    return f"{'msg' if answer.tool is None else 'fc'}_{answer.identity}"


def _part(text: str) -> dict[str, object]:
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}


def _beats(request: ResponsesRequest, answer: Answer) -> Iterator[list[bytes]]:
    """One beat per token; the first also opens response and item, the last closes them."""
    number = -1

    def event(kind: str, fields: dict[str, object]) -> bytes:
        nonlocal number
        number += 1
        data = msgspec.json.encode({"type": kind, "sequence_number": number} | fields)
        return b"event: " + kind.encode() + b"\ndata: " + data + b"\n\n"

    text, is_text = "".join(answer.pieces), answer.tool is None
    output = "response.output_text" if is_text else "response.function_call_arguments"
    item: dict[str, object] = {"item_id": _item_id(answer), "output_index": 0}
    part: dict[str, object] = item | {"content_index": 0} if is_text else item
    logprobs: dict[str, object] = {"logprobs": []} if is_text else {}
    opened = _response(request, answer, "in_progress")
    beat = [
        event("response.created", {"response": opened}),
        event("response.in_progress", {"response": opened}),
        event("response.output_item.added", {"output_index": 0, "item": _item(answer, "in_progress", None)}),
    ]
    if is_text:
        beat.append(event("response.content_part.added", part | {"part": _part("")}))
    for piece in answer.pieces[:-1]:
        beat.append(event(f"{output}.delta", part | {"delta": piece} | logprobs))
        yield beat
        beat = []
    beat.append(event(f"{output}.delta", part | {"delta": answer.pieces[-1]} | logprobs))
    if is_text:
        beat.append(event(f"{output}.done", part | {"text": text} | logprobs))
        beat.append(event("response.content_part.done", part | {"part": _part(text)}))
    else:
        beat.append(event(f"{output}.done", part | {"name": answer.tool, "arguments": text}))
    beat += [
        event("response.output_item.done", {"output_index": 0, "item": _item(answer, _status(answer), text)}),
        event(f"response.{_status(answer)}", {"response": _finished(request, answer)}),
    ]
    yield beat
