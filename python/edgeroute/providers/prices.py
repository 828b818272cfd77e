"""What models of the catalogue's providers cost: facts of models.dev (MIT), put into `prices.json` by tools/prices.py.

Base prices in US dollars; what providers charge beyond some length of prompt, or for writing to a cache, is not there.
"""

from functools import cache
from pathlib import Path
from typing import NamedTuple

import msgspec

FILE = Path(__file__).with_name("prices.json")


class KnownPrice(NamedTuple):
    """US dollars per million tokens."""

    input: float
    cached_input: float
    output: float


class _Prices(msgspec.Struct, frozen=True):
    date: str
    prices: dict[str, dict[str, KnownPrice]]


def catalogue_price(provider: str, model: str) -> KnownPrice | None:
    """What a model costs at a provider of the catalogue, if that is known."""
    return _read().prices.get(provider, {}).get(model)


def prices_date() -> str:
    """When the prices were true."""
    return _read().date


@cache
def _read() -> _Prices:
    return msgspec.json.decode(FILE.read_bytes(), type=_Prices)
