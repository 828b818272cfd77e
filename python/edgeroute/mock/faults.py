"""Faults a request may ask for.

A request names them, joined by ``+`` or ``,``, in any of three places; a later place overrides an earlier:

1. the model: ``mock-tokens-200+cut-5`` (names that begin with ``mock-`` are reserved for this);
2. the metadata: ``"metadata": {"mock": "status-429"}``;
3. the header ``x-mock: status=429, delay=200`` (routers strip it, direct clients need not).

``FAULTS`` is the documentation: every fault with its number.
"""

import re
from collections.abc import Mapping

import msgspec

MODEL_PREFIX = "mock-"
HEADER = "x-mock"
METADATA = "mock"

_ITEM = re.compile(r"([a-z]+(?:-[a-z]+)*)(?:[-=]([0-9]{1,9}))?")


class Fault(msgspec.Struct, frozen=True):
    """One row of the table: what happens, and the number the fault takes, if any."""

    meaning: str
    least: int | None = None
    most: int | None = None
    default: int | None = None
    """The number when none is given; without it the number is required."""


FAULTS: Mapping[str, Fault] = {
    "tokens": Fault("the reply is N words long", 1, 100_000),
    "delay": Fault("wait N milliseconds before the response head", 0, 3_600_000),
    "slow-head": Fault("send the response head byte by byte, N milliseconds apart", 1, 60_000, 10),
    "interim": Fault("send N interim responses (103 Early Hints) before the response", 1, 10_000, 1),
    "status": Fault("answer with error status N, in the dialect's shape; 429 has retry-after", 400, 599),
    "retry-after": Fault("with status, send a retry-after header of N seconds", 0, 1_000_000, 1),
    "html": Fault("answer with an HTML page and status N, as a proxy in front would", 400, 599, 502),
    "huge": Fault("pad the body, or the first event, with N MiB", 1, 64, 1),
    "bad-json": Fault("leave out half of the JSON of event N, or of a plain body", 1, 100_000, 1),
    "bad-framing": Fault("leave out the blank line after event N of a stream", 1, 100_000, 1),
    "error-event": Fault("send an error event instead of event N, and end the stream", 1, 100_000, 1),
    "cut": Fault("close the connection after N events, or in the middle of a plain body", 0, 100_000),
    "cut-reset": Fault("as cut, but reset the connection (RST)", 0, 100_000),
    "stall": Fault("send nothing more after N events, or half of a plain body; stay open", 0, 100_000),
    "reset": Fault("reset the connection (RST) instead of answering"),
    "garbage": Fault("answer with bytes that are not HTTP, then close"),
    "wrong-length": Fault("declare a content-length N bytes longer than is sent, then close", 1, 1_000_000, 16),
    "short-length": Fault("declare a content-length N bytes shorter than is sent; stay open", 1, 1_000_000, 16),
    "bad-chunking": Fault("send a chunk size that is not a number, then close"),
}


class Faults(msgspec.Struct, frozen=True, rename="kebab"):
    """The faults of one request. Of several ways to end it the first in the order of fields wins."""

    tokens: int | None = None
    delay: int = 0
    reset: bool = False
    garbage: bool = False
    interim: int = 0
    slow_head: int = 0
    html: int | None = None
    status: int | None = None
    retry_after: int | None = None
    huge: int = 0
    bad_json: int | None = None
    bad_framing: int | None = None
    error_event: int | None = None
    wrong_length: int = 0
    short_length: int = 0
    bad_chunking: bool = False
    cut: int | None = None
    cut_reset: int | None = None
    stall: int | None = None


class FaultError(ValueError):
    """A fault that the table does not have, or a number outside its range."""


def of_request(model: str, metadata: str, header: str) -> Faults:
    """The faults named in the three places (``""`` where there are none); :class:`FaultError` if unknown."""
    named = parse(model.removeprefix(MODEL_PREFIX)) if model.startswith(MODEL_PREFIX) else {}
    return msgspec.convert(named | parse(metadata) | parse(header), Faults)


def parse(text: str) -> dict[str, int | bool]:
    """``"status=429, delay=200"`` or ``"status-429+delay-200"`` → ``{"status": 429, "delay": 200}``."""
    return dict(_item(item.strip()) for item in re.split(r"[+,]", text)) if text else {}


def describe() -> str:
    """The table for people."""
    rows = [f"  {usage(name, fault):<18} {fault.meaning}" for name, fault in FAULTS.items()]
    places = "model mock-cut-3+delay-200, metadata.mock, or header x-mock"
    return "\n".join([f"faults a request may ask for ({places}):", *rows])


def usage(name: str, fault: Fault) -> str:
    """How a fault is written: `reset`, `cut-N`, or `html[-N]` where the number may be left out."""
    if fault.least is None:
        return name
    return f"{name}-N" if fault.default is None else f"{name}[-N]"


def _item(item: str) -> tuple[str, int | bool]:
    match = _ITEM.fullmatch(item)
    fault = FAULTS.get(match[1]) if match else None
    if match is None or fault is None:
        raise FaultError(f"unknown fault {item!r}; known: {', '.join(map(usage, FAULTS, FAULTS.values()))}")
    name = match[1]
    if fault.least is None or fault.most is None:
        if match[2] is not None:
            raise FaultError(f"fault {name!r} takes no number")
        return name, True
    number = int(match[2]) if match[2] is not None else fault.default
    if number is None or not fault.least <= number <= fault.most:
        raise FaultError(f"fault {name!r} needs a number from {fault.least} to {fault.most}")
    return name, number
