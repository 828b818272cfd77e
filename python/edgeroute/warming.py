"""Filling the cache with answers that were written down, whether a router runs or not.

Each line of a file is an answer with its request. The key is the one under which a router with the same configuration
looks for it, because the same code computes both. Workers that run follow what comes into the store.
"""

from collections.abc import Iterator, Mapping
from typing import IO, NamedTuple

import msgspec

from edgeroute._native import Store
from edgeroute.config import Config
from edgeroute.config.normalise import normalise, with_names_as_keys
from edgeroute.config.values import parse_quantity

_LONGEST_LINE = 2 << 20
_TOGETHER = 256
"""Answers that are handed over at once."""


class Written(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A line: an answer, and the request that it answers."""

    request: msgspec.Raw
    """The request's body."""
    response: msgspec.Raw
    """The reply's body; for a stream a text with its events."""
    virtual_key: str | None = None
    """The name of who asked; it may be left out where there is only one."""
    path: str = "/v1/chat/completions"
    headers: dict[str, str] = {}
    ttl: str | None = None
    """How long the answer is given again, at most as long as the model's cache says."""


class NotKept(NamedTuple):
    """An answer that did not come into the cache: its line, counted from 1, and why."""

    line: int
    reason: str


def warm(file: IO[bytes], store: Store, config: Config, environ: Mapping[str, str]) -> Iterator[NotKept | None]:
    """Keeps the answers of a file; gives None for each that is kept, in their order."""
    normalised = normalise(with_names_as_keys(config), environ)
    waiting: list[tuple[int, tuple[bytes, bytes, int | None]]] = []

    def hand_over() -> Iterator[NotKept | None]:
        reasons = store.warm(normalised, [answer for _, answer in waiting])
        for (number, _), reason in zip(waiting, reasons, strict=True):
            yield None if reason is None else NotKept(number, reason)
        waiting.clear()

    for number, line in _lines(file):
        try:
            waiting.append((number, _read(line, config)))
        except ValueError as error:
            yield from hand_over()
            yield NotKept(number, str(error))
        if len(waiting) == _TOGETHER:
            yield from hand_over()
    yield from hand_over()


def _lines(file: IO[bytes]) -> Iterator[tuple[int, bytes]]:
    """The lines that are not blank, with their numbers; of one that is too long only the beginning."""
    number = 0
    while line := file.readline(_LONGEST_LINE + 1):
        number += 1
        rest = line
        while rest and not rest.endswith(b"\n"):
            rest = file.readline(_LONGEST_LINE)
        if line.strip():
            yield number, line


def _read(line: bytes, config: Config) -> tuple[bytes, bytes, int | None]:
    """The request as `edgeroute explain` takes it, the bytes of the reply, and its time. Raises ValueError."""
    if len(line) > _LONGEST_LINE:
        raise ValueError(f"the line is longer than {_LONGEST_LINE >> 20} MiB")
    try:
        written = msgspec.json.decode(line, type=Written)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ValueError(f'it is no answer: {error}; write {{"request": {{…}}, "response": {{…}}}}') from None
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    key = written.virtual_key
    if key is None and len(config.virtual_keys) == 1:
        [key] = config.virtual_keys
    if key is None:
        raise ValueError('"virtual_key" is missing: name whose answer it is')
    if key not in config.virtual_keys:
        raise ValueError(f'there is no virtual key "{key}"')
    try:
        ttl_ms = None if written.ttl is None else parse_quantity(written.ttl, "milliseconds")
    except ValueError as error:
        raise ValueError(f'"ttl" must be {error}') from None
    response = bytes(written.response)
    if response.startswith(b'"'):
        response = msgspec.json.decode(response, type=str).encode()
    request = msgspec.json.encode(
        {
            "path": written.path,
            "headers": {**written.headers, "authorization": f"Bearer {key}"},
            "body": written.request,
        }
    )
    return request, response, ttl_ms
