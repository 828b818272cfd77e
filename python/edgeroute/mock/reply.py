"""What the mock model says: text, tool arguments and vectors, all a pure function of request and seed."""

import hashlib
import itertools
import math
import re
import struct
from collections.abc import Iterable, Iterator, Sequence

import msgspec

_VOCABULARY = """
amber anchor apple autumn basin beacon birch bridge candle canyon cedar cloud clover coast copper coral
crater delta desert ember falcon fern field forest garden glacier granite harbor hazel heron hill island
ivory juniper lagoon lantern lily linen maple marble meadow mirror moss north ocean olive orchard paper
pebble pine prairie quartz rain reef river saddle sage shore silver stone summer thistle valley willow
"""
_WORDS = _VOCABULARY.split()
_IDENTITY_BYTES = 12
_LONGEST_BY_ITSELF = 51
_ARGUMENT_PIECE = 6
_WORDS_OF_VECTOR = 64


class BadRequestError(Exception):
    """The request cannot be answered; the text is for the client."""


class Plain(msgspec.Struct, frozen=True):
    """A whole body."""

    status: int
    body: bytes
    content_type: str = "application/json"
    headers: tuple[tuple[str, str], ...] = ()
    generated: int | None = None
    """Tokens generated for it, which take their time; ``None``: nothing had to be generated."""


class Stream(msgspec.Struct, frozen=True):
    """Server-sent events in beats: the events of a beat leave together, beats a token interval apart.

    ``beats`` is made while it is sent, and so once.
    """

    beats: Iterable[Sequence[bytes]]


Reply = Plain | Stream


class Schema(msgspec.Struct):
    """As much of JSON Schema as is needed to make up an argument; bounds and formats are ignored."""

    type: str | list[str] | None = None
    enum: list[object] | None = None
    properties: "dict[str, Schema | bool] | None" = None
    items: "Schema | bool | None" = None


class Tool(msgspec.Struct, frozen=True):
    """A tool the client offers."""

    name: str
    parameters: Schema


class Answer(msgspec.Struct, frozen=True):
    """One generated answer, before it takes a dialect's form."""

    identity: str
    """Hexadecimal, equal for equal requests."""
    pieces: Sequence[str]
    """One per token; joined they are the text, or the JSON of the tool's arguments."""
    tool: str | None
    """The tool that is called, if the answer is a call."""
    truncated: bool
    """Whether the client's maximum of tokens ended it."""
    prompt_tokens: int


def compose(
    model: str, prompt: Sequence[str], *, seed: int, tool: Tool | None, limit: int | None, length: int | None
) -> Answer:
    """Answer ``prompt``.

    ``limit`` is the client's maximum of tokens, ``length`` the wished length of a text (a word is a token);
    without it a text has 20 to 51 words.
    """
    text = "\n".join(prompt)
    noise = _noise(seed, model, text, _IDENTITY_BYTES + 1 + (length or _LONGEST_BY_ITSELF))
    words = (_WORDS[byte % len(_WORDS)] for byte in itertools.cycle(noise[_IDENTITY_BYTES + 1 :]))
    if tool is None:
        pieces = _text(model, words, length or 20 + noise[_IDENTITY_BYTES] % 32)
    else:
        arguments = msgspec.json.encode(_example(tool.parameters, words)).decode()
        pieces = [arguments[at : at + _ARGUMENT_PIECE] for at in range(0, len(arguments), _ARGUMENT_PIECE)]
    allowed = len(pieces) if limit is None else min(limit, len(pieces))
    return Answer(
        identity=noise[:_IDENTITY_BYTES].hex(),
        pieces=pieces[:allowed],
        tool=tool.name if tool else None,
        truncated=allowed < len(pieces),
        prompt_tokens=prompt_tokens(prompt),
    )


def choose_tool(tools: Sequence[Tool], *, forced: bool, name: str | None, last_message: str) -> Tool | None:
    """The tool to call: the one named, else the first if a call is forced or the message says "tool"."""
    if name is not None:
        named = next((tool for tool in tools if tool.name == name), None)
        if named is None:
            raise BadRequestError(f"tool_choice names {name!r}, which is not among the tools")
        return named
    if forced and not tools:
        raise BadRequestError("tool_choice forces a call but no tools are given")
    return tools[0] if tools and (forced or "tool" in last_message.lower()) else None


def prompt_tokens(prompt: Sequence[str]) -> int:
    """The tokens of a prompt, as usage has them."""
    return tokens("\n".join(prompt))


def tokens(text: str) -> int:
    """Estimate: four bytes of UTF-8 to a token, at least one."""
    return max(1, -(-len(text.encode()) // 4))


def vector(model: str, text: str, *, seed: int, dimensions: int) -> bytes:
    """A unit vector for ``text``: ``dimensions`` little-endian 32-bit floats.

    The more words two texts share, in any order and letter case, the nearer they are; of long texts the first count.
    """
    words = re.findall(r"\w+", text.casefold())[:_WORDS_OF_VECTOR] or [text]
    of_words = (struct.unpack(f"<{dimensions}h", _noise(seed, model, word, 2 * dimensions)) for word in words)
    numbers = [sum(column) for column in zip(*of_words, strict=True)]
    norm = math.hypot(*numbers) or 1.0
    return struct.pack(f"<{dimensions}f", *(number / norm for number in numbers))


def _noise(seed: int, model: str, text: str, size: int) -> bytes:
    return hashlib.shake_256(f"{seed}\0{model}\0{text}".encode()).digest(size)


def _text(model: str, words: Iterator[str], length: int) -> list[str]:
    """Its words, each but the first with the space before it; they say which model answered."""
    opening = f"mock reply from {model}:".split(" ")
    text = itertools.islice(itertools.chain(opening, words), length)
    return [word if at == 0 else f" {word}" for at, word in enumerate(text)]


def _example(schema: Schema | bool, words: Iterator[str]) -> object:
    """A value that fits ``schema``."""
    if isinstance(schema, bool):
        return next(words)
    if schema.enum:
        return schema.enum[0]
    kind = schema.type[0] if isinstance(schema.type, list) and schema.type else schema.type
    match kind:
        case "integer":
            return 7
        case "number":
            return 0.5
        case "boolean":
            return True
        case "null":
            return None
        case "array":
            return [_example(schema.items, words)] if schema.items is not None else []
        case _ if kind == "object" or schema.properties is not None:
            return {name: _example(value, words) for name, value in (schema.properties or {}).items()}
        case _:
            return next(words)
