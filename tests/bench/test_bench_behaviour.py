"""What counts as a failure among mixed users."""

import json
from collections.abc import Callable

import pytest
from behaviour import broken_reply, broken_stream
from legs import EVENTS


def openai(texts: list[str]) -> list[bytes]:
    events = [{"choices": [{"index": 0, "delta": {"content": text}}]} for text in texts]
    return [
        *(b"data: " + json.dumps(each).encode() for each in events),
        b'data: {"choices":[],"usage":{"total_tokens":3}}',
        b"data: [DONE]",
    ]


def anthropic(texts: list[str]) -> list[bytes]:
    events = [{"type": "content_block_delta", "delta": {"type": "text_delta", "text": text}} for text in texts]
    return [
        b'event: message_start\ndata: {"type":"message_start"}',
        *(b"event: content_block_delta\ndata: " + json.dumps(each).encode() for each in events),
        b'event: message_stop\ndata: {"type":"message_stop"}',
    ]


TEXTS = [f" token {number}" for number in range(EVENTS)]


@pytest.mark.parametrize("dialect", [openai, anthropic])
def test_a_stream_must_arrive_as_it_was_sent(dialect: Callable[[list[str]], list[bytes]]) -> None:
    def check(events: list[bytes], expected: str, end: bytes = b"\n\n") -> None:
        found = broken_stream(b"\n\n".join(events) + end)
        assert expected in found
        assert bool(found) == bool(expected)

    check(dialect(TEXTS), "")
    check(dialect(TEXTS)[:-1], "does not end with its end marker")
    check(dialect(TEXTS), "inside an event", end=b"\n")
    check(dialect(TEXTS[:-1]), "lost or moved")
    check(dialect([*TEXTS[1:], TEXTS[0]]), "lost or moved")
    check(dialect([*TEXTS, TEXTS[-1]]), "lost or moved")


def test_a_reply_must_be_the_mocks() -> None:
    assert broken_reply(b'{"content":"a reply of the mock. a"}') == ""
    for content in (b"", b'{"content":"a reply of the mock', b'{"error":{}}'):
        assert "not the mock" in broken_reply(content)
