"""A load of conversations, as prompt caches see it: each prompt is the last one with its reply and a new question.

Conversations begin as a Poisson process and keep to the same schedule whoever serves them: what they say, and how long
their people think between a reply and the next question. They belong to tenants, each with a long system prompt.
"""

import asyncio
import json
import math
import random
import time
from collections.abc import AsyncIterator, Callable, Sequence
from typing import NamedTuple

import msgspec

BYTES_PER_TOKEN = 4
"""As the mock counts them (`bench/load/src/engine.rs`)."""
PATIENCE_SECONDS = 60
WORDS = ("ocean", "maple", "harbor", "canyon", "violet", "lantern", "meadow", "copper", "winter", "signal", "garden")


class Shape(msgspec.Struct, frozen=True):
    """What the conversations are like. Tokens are ranges to draw from, evenly."""

    per_second: float
    """Conversations that begin."""
    tenants: int = 24
    system_tokens: tuple[int, int] = (1500, 2500)
    turns: tuple[int, int] = (4, 10)
    question_tokens: tuple[int, int] = (100, 600)
    thinking_seconds: float = 2
    """On average; exponentially distributed."""
    events: int = 20
    """Of a reply."""
    gap_ms: int = 10
    """Between two events."""


class Conversation(NamedTuple):
    """One of them, as it is planned."""

    begins: float
    """In seconds from the start of the load."""
    system: str
    questions: list[str]
    pauses: list[float]
    """How long somebody thinks before each question, in seconds; the first time not at all."""


class Turn(msgspec.Struct, frozen=True):
    """One request and what became of it."""

    begins: float
    """In seconds from the start of the load."""
    number: int
    """Within its conversation, from 0."""
    outcome: str
    """`good`, or what went wrong."""
    first_ms: float = math.inf
    """From the beginning, connecting included, to the first event with content."""
    prompt_tokens: int = 0
    cached_tokens: int = 0
    attempts: int = 0

    @property
    def good(self) -> bool:
        """Whether the whole reply arrived."""
        return self.outcome == "good"

    @property
    def has_begun(self) -> bool:
        """Whether content has reached the client."""
        return math.isfinite(self.first_ms)


def plan(shape: Shape, seconds: float, seed: int, salt: str) -> list[Conversation]:
    """The conversations that begin within some seconds. The salt changes what is said, and nothing else."""
    draws = random.Random(seed)
    systems = [_text(draws, shape.system_tokens) for _ in range(shape.tenants)]
    planned: list[Conversation] = []
    begins = draws.expovariate(shape.per_second)
    while begins < seconds:
        system = f"{salt}: {draws.choice(systems)}"
        questions = [_text(draws, shape.question_tokens) for _ in range(draws.randint(*shape.turns))]
        pauses = [draws.expovariate(1 / shape.thinking_seconds) if number else 0.0 for number in range(len(questions))]
        planned.append(Conversation(begins, system, questions, pauses))
        begins += draws.expovariate(shape.per_second)
    return planned


def _text(draws: random.Random, tokens: tuple[int, int]) -> str:
    length = draws.randint(*tokens) * BYTES_PER_TOKEN
    return " ".join(draws.choices(WORDS, k=length // 4))[:length]


class Load(NamedTuple):
    """Whom to talk to, about what, and for how long."""

    address: str
    model: str
    key: str
    shape: Shape
    conversations: Sequence[Conversation]
    seconds: float
    """No turn begins later."""


def hold(load: Load, meanwhile: Sequence[tuple[float, Callable[[], None]]] = ()) -> list[Turn]:
    """Hold the conversations; meanwhile, at these seconds, something is done to those who serve.

    Every turn has a connection of its own, so that any worker may get it.
    """
    return asyncio.run(_hold(load, meanwhile))


async def _hold(load: Load, meanwhile: Sequence[tuple[float, Callable[[], None]]]) -> list[Turn]:
    started = time.perf_counter()
    turns: list[Turn] = []

    async def one(conversation: Conversation) -> None:
        await asyncio.sleep(conversation.begins)
        messages = [{"role": "system", "content": conversation.system}]
        for number, (question, pause) in enumerate(zip(conversation.questions, conversation.pauses, strict=True)):
            if time.perf_counter() - started + pause >= load.seconds:
                return
            await asyncio.sleep(pause)
            begins = time.perf_counter() - started
            messages.append({"role": "user", "content": question})
            turn, reply = await _ask(load, _body(load, messages), begins, number)
            turns.append(turn)
            messages.append({"role": "assistant", "content": reply})

    async def act(at: float, what: Callable[[], None]) -> None:
        await asyncio.sleep(at)
        await asyncio.to_thread(what)

    await asyncio.gather(*map(one, load.conversations), *(act(at, what) for at, what in meanwhile))
    return sorted(turns, key=lambda turn: turn.begins)


def _body(load: Load, messages: list[dict[str, str]]) -> bytes:
    shape = load.shape
    fields = {
        "model": load.model,
        "stream": True,
        "stream_options": {"include_usage": True},
        "max_tokens": shape.events,
        "mock": {"events": shape.events, "gap_ms": shape.gap_ms},
        "messages": messages,
    }
    return json.dumps(fields).encode()


async def _ask(load: Load, body: bytes, begins: float, number: int) -> tuple[Turn, str]:
    """One turn, and the text of its reply."""
    host, port = load.address.split(":")
    head = (
        f"POST /v1/chat/completions HTTP/1.1\r\nhost: {load.address}\r\nauthorization: Bearer {load.key}\r\n"
        f"content-type: application/json\r\nconnection: close\r\ncontent-length: {len(body)}\r\n\r\n"
    )
    sent = time.perf_counter()
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            reader, writer = await asyncio.open_connection(host, int(port))
            try:
                writer.write(head.encode() + body)
                return await _reply(reader, sent, begins, number)
            finally:
                writer.close()
    except TimeoutError:
        return Turn(begins, number, "unfinished"), ""
    except (OSError, asyncio.IncompleteReadError) as error:
        return Turn(begins, number, type(error).__name__), ""


async def _reply(reader: asyncio.StreamReader, sent: float, begins: float, number: int) -> tuple[Turn, str]:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
    fields = dict(line.split(": ", 1) for line in head.splitlines()[1:-1])
    attempts = int(fields.get("x-edgeroute-attempts", "0"))
    if (status := head.split(" ")[1]) != "200":
        return Turn(begins, number, f"status {status}", attempts=attempts), ""
    stream, first_ms = b"", math.inf
    try:
        async for data in _chunks(reader):
            stream += data
            if math.isinf(first_ms) and b'"content"' in stream:
                first_ms = 1000 * (time.perf_counter() - sent)
    except (OSError, asyncio.IncompleteReadError):
        return Turn(begins, number, "cut", first_ms, attempts=attempts), ""
    return read_stream(stream, Turn(begins, number, "cut", first_ms, attempts=attempts))


async def _chunks(reader: asyncio.StreamReader) -> AsyncIterator[bytes]:
    while size := int(await reader.readline(), 16):
        yield (await reader.readexactly(size + 2))[:-2]


def read_stream(stream: bytes, turn: Turn) -> tuple[Turn, str]:
    """What a whole body says of the turn, and the text that it brings."""
    events = [event.removeprefix(b"data: ") for event in stream.split(b"\n\n") if event]
    ended = bool(events) and events[-1] == b"[DONE]"
    chunks = [json.loads(event) for event in events if event != b"[DONE]"]
    text = "".join(choice["delta"].get("content", "") for chunk in chunks for choice in chunk.get("choices", ()))
    if any("error" in chunk for chunk in chunks):
        return msgspec.structs.replace(turn, outcome="error event"), text
    usage = chunks[-1].get("usage") if ended and chunks else None
    if usage is None:
        return turn, text
    cached = usage.get("prompt_tokens_details", {}).get("cached_tokens", 0)
    return msgspec.structs.replace(
        turn, outcome="good", prompt_tokens=usage["prompt_tokens"], cached_tokens=cached
    ), text
