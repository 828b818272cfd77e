"""The legacy completions endpoint of OpenAI's dialect.

Follows https://platform.openai.com/docs/api-reference/completions as of 2025. Unknown fields are ignored.
"""

from collections.abc import Iterator, Sequence
from typing import Literal

import msgspec

from edgeroute.mock.openai import CREATED, Positive, StreamOptions, inputs, refuse_lonely_options
from edgeroute.mock.reply import Answer, Plain, Reply, Stream, compose

_USUAL_TOKENS = 16
"""What OpenAI takes for ``max_tokens`` when a request has none."""


class CompletionsRequest(msgspec.Struct):
    """``POST /v1/completions``; the prompt is text, texts, a list of token ids, or several such lists."""

    model: str
    prompt: str | list[str | int | list[int]]
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    max_tokens: Positive | None = None
    n: Literal[1] | None = None
    best_of: Literal[1] | None = None


def completions(body: bytes, *, seed: int, length: int | None) -> Reply:
    """Answer a completions request: one choice per prompt."""
    request = msgspec.json.decode(body, type=CompletionsRequest)
    refuse_lonely_options(request.stream_options, request.stream)
    limit = request.max_tokens or (None if length else _USUAL_TOKENS)
    prompts = inputs("prompt", request.prompt)
    answers = [compose(request.model, [text], seed=seed, tool=None, limit=limit, length=length) for text, _ in prompts]
    usage = _usage(sum(count for _, count in prompts), answers)
    if request.stream:
        include_usage = request.stream_options is not None and request.stream_options.include_usage
        return Stream(_beats(request.model, answers, usage if include_usage else None))
    choices = [_choice(index, "".join(answer.pieces), _finish_reason(answer)) for index, answer in enumerate(answers)]
    fields = _envelope(request.model, answers) | {"choices": choices, "usage": usage}
    return Plain(200, msgspec.json.encode(fields), generated=sum(len(answer.pieces) for answer in answers))


def _beats(model: str, answers: Sequence[Answer], usage: dict[str, int] | None) -> Iterator[list[bytes]]:
    """One beat per token, prompt after prompt; the last also ends the stream."""
    envelope = _envelope(model, answers)
    no_usage: dict[str, object] = {} if usage is None else {"usage": None}

    def event(choices: list[dict[str, object]], usage: dict[str, object]) -> bytes:
        return b"data: " + msgspec.json.encode(envelope | {"choices": choices} | usage) + b"\n\n"

    for index, answer in enumerate(answers):
        for piece in answer.pieces[:-1]:
            yield [event([_choice(index, piece, None)], no_usage)]
        last = [event([_choice(index, answer.pieces[-1], _finish_reason(answer))], no_usage)]
        if index + 1 == len(answers):
            last += [event([], {"usage": usage})] if usage is not None else []
            last.append(b"data: [DONE]\n\n")
        yield last


def _envelope(model: str, answers: Sequence[Answer]) -> dict[str, object]:
    return {
        "id": f"cmpl-{answers[0].identity}",
        "object": "text_completion",
        "created": CREATED,
        "model": model,
        "system_fingerprint": "fp_mock",
    }


def _choice(index: int, text: str, finish_reason: str | None) -> dict[str, object]:
    return {"text": text, "index": index, "logprobs": None, "finish_reason": finish_reason}


def _finish_reason(answer: Answer) -> str:
    return "length" if answer.truncated else "stop"


def _usage(prompt_tokens: int, answers: Sequence[Answer]) -> dict[str, int]:
    generated = sum(len(answer.pieces) for answer in answers)
    return {
        "prompt_tokens": prompt_tokens,
        "completion_tokens": generated,
        "total_tokens": prompt_tokens + generated,
    }
