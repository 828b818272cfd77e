"""What clients send: traces in Mooncake's format, and generated loads. All is drawn from the seed in advance."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from random import Random

import msgspec

from edgeroute.placement import Prompt
from simulation.parameters import H100X2, H100X2_DRAM, L4, TRACE_QUANTUM, Agents, Engine, Tenants, Threads

HASHED_TOKENS = 64
"""What a block of 256 bytes holds: routers hash no shorter ones."""


class Request(msgspec.Struct, frozen=True, gc=False):
    """One request. Numbers of blocks stand for the whole prefix up to their end."""

    pause: float
    """Seconds since the one before it of the same client was answered; for the first one, since the start."""
    tokens: int
    output: int
    blocks: tuple[int, ...]
    """The prompt's blocks, as the engine's cache has them."""
    reply_blocks: tuple[int, ...]
    """Those that its reply completes."""
    prompt: Prompt
    """The same as routers see it."""
    keys: dict[str, str]
    """By what a ring could send it: names of keys and their values. `first message` is what KubeAI hashes if it is not
    told otherwise; a trace does not tell messages apart, and has the first block.
    """


@dataclass(frozen=True)
class Load:
    """A whole run of requests. Clients send one after the other, each when the one before is answered."""

    name: str
    engine: Engine
    block_tokens: int
    hashed_tokens: int
    """Tokens of a block of `Request.prompt`."""
    clients: Sequence[Sequence[Request]]
    at_once: int | None = None
    """How many clients there are at a time; None: all, whenever their first request is due."""

    @property
    def keys(self) -> list[str]:
        """The names of the keys by which a ring could send its requests."""
        return list(next(client[0] for client in self.clients if client).keys)


def trace(path: Path, name: str, engine: Engine, speed: float, seed: int, most: int | None = None) -> Load:
    """A trace in Mooncake's format (timestamp in ms, input_length, output_length, hash_ids of 512 tokens each)."""
    lines = path.read_text().splitlines()[:most]
    random = Random(seed)
    clients: list[list[Request]] = []
    for line in lines:
        record = msgspec.json.decode(line, type=_Record)
        due = (record.timestamp / 1000 + random.random() * TRACE_QUANTUM) / speed
        ids = record.hash_ids
        keys = {_first_blocks(count): str(ids[min(count, len(ids)) - 1]) for count in (1, 2, 3, 4, 8)}
        tokens = max(1, record.input_length)
        prompt = Prompt.from_blocks(ids, tokens=tokens, tokens_per_block=_TRACE_BLOCK)
        request = Request(due, tokens, max(1, record.output_length), tuple(ids), (), prompt, keys)
        clients.append([request])
    return Load(name, engine, _TRACE_BLOCK, _TRACE_BLOCK, clients)


def tenants(seed: int, shape: Tenants) -> Load:
    """Tenants that each have a long prompt of their own; requests of all arrive at random (Poisson)."""
    random = Random(seed)
    size = shape.block_tokens
    tokens = shape.shared_tokens + shape.question_tokens
    own = range(tokens // size - shape.shared_tokens // size)
    due = accumulate(random.expovariate(shape.per_second) for _ in range(shape.requests))
    clients: list[list[Request]] = []
    for number, at in enumerate(due):
        tenant = random.randrange(shape.tenants)
        shared = range(tenant * 1000, tenant * 1000 + shape.shared_tokens // size)
        blocks = (*shared, *(10**6 * (number + 1) + block for block in own))
        keys = {"tenant": f"tenant {tenant}", "first message": f"question {number}"}
        clients.append([_request(at, tokens, shape.output_tokens, blocks, (), size, keys)])
    return Load("tenants", H100X2, size, _hashed(size), clients)


def agents(seed: int, shape: Agents) -> Load:
    """Coding agents: few sessions at once, each turn repeats all before it."""
    random = Random(seed)
    size = shape.block_tokens

    def draw(median: float) -> int:
        return max(1, round(random.lognormvariate(math.log(median), shape.spread)))

    clients: list[list[Request]] = []
    for session in range(shape.sessions):
        kind = random.randrange(shape.kinds)
        own = _numbers(kind, session, shape.shared_tokens // size)
        keys = {"session": f"session {session}", "kind": f"kind {kind}", "first message": f"session {session}"}
        turns: list[Request] = []
        tokens = shape.shared_tokens + draw(shape.first_tokens)
        pause = random.uniform(0, shape.start_seconds) if session < shape.sessions_at_once else 0.0
        for _ in range(1 + int(random.expovariate(1 / shape.mean_turns))):
            output = draw(shape.output_tokens)
            if tokens + output > shape.most_tokens:
                break
            turns.append(_turn(pause, tokens, output, own, size, keys))
            tokens += output + draw(shape.turn_tokens)
            pause = random.expovariate(1 / shape.tool_seconds)
        clients.append(turns)
    return Load("agents", H100X2_DRAM, size, _hashed(size), clients, shape.sessions_at_once)


def threads(seed: int, shape: Threads) -> Load:
    """Conversations of short messages and replies without think time."""
    random = Random(seed)
    size = shape.block_tokens
    further = 1 / (shape.mean_turns - shape.least_turns)
    clients: list[list[Request]] = []
    for thread in range(shape.threads):
        own = _numbers(0, thread, shape.template_tokens // size)
        keys = {"thread": f"thread {thread}", "first message": f"thread {thread}"}
        turns: list[Request] = []
        tokens = shape.template_tokens
        pause = random.uniform(0, shape.start_seconds) if thread < shape.threads_at_once else 0.0
        count = min(shape.most_turns, shape.least_turns + round(random.expovariate(further)))
        for _ in range(count):
            tokens += max(1, round(random.lognormvariate(math.log(shape.message_tokens), shape.spread)))
            turns.append(_turn(pause, tokens, shape.output_tokens, own, size, keys))
            tokens += shape.output_tokens
            pause = 0.0
        clients.append(turns)
    return Load("threads", L4, size, _hashed(size), clients, shape.threads_at_once)


class _Record(msgspec.Struct):
    timestamp: float
    input_length: int
    output_length: int
    hash_ids: list[int]


_TRACE_BLOCK = 512


def _first_blocks(count: int) -> str:
    return f"first {count * _TRACE_BLOCK} tokens"


def _numbers(kind: int, client: int, shared: int) -> Callable[[int], int]:
    """The number of each block of a conversation that only grows and begins with `shared` blocks of its kind."""

    def number(block: int) -> int:
        return kind * 10**4 + block if block < shared else 10**6 * (client + 1) + block

    return number


def _turn(
    pause: float, tokens: int, output: int, number: Callable[[int], int], size: int, keys: dict[str, str]
) -> Request:
    full, after = tokens // size, (tokens + output) // size
    blocks = tuple(number(block) for block in range(full))
    reply = tuple(number(block) for block in range(full, after))
    return _request(pause, tokens, output, blocks, reply, size, keys)


def _request(
    pause: float,
    tokens: int,
    output: int,
    blocks: tuple[int, ...],
    reply: tuple[int, ...],
    size: int,
    keys: dict[str, str],
) -> Request:
    hashed = _hashed(size)
    seen = blocks[hashed // size - 1 :: hashed // size]
    prompt = Prompt.from_blocks(seen, tokens=tokens, tokens_per_block=hashed)
    return Request(pause, tokens, output, blocks, reply, prompt, keys)


def _hashed(size: int) -> int:
    """Whole blocks of the engine, about as many tokens as routers hash at a time."""
    return size * max(1, HASHED_TOKENS // size)
