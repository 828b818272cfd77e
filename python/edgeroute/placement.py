"""Placement as a library: who gets the request, without a router.

Targets are names: a list, or a mapping from names to weights, where a weight of zero takes nothing. Loads are mappings
from names, and whoever is left out of them is not chosen. Nothing here has a clock or draws random numbers: times and
seeds are arguments, and the same arguments give the same choice in every process and on every host.

    by                                           use
    a key, no target far above its share         Ring
    the prompt, and what each target has cached  AffinityIndex
    turns, by weight                             RoundRobin
    tokens in flight                             least_load, power_of_two
    latency                                      Latency
"""

from typing import NamedTuple

from msgspec import Struct

from edgeroute._native import (
    AffinityIndex,
    Decision,
    Latency,
    Prompt,
    Ring,
    RoundRobin,
    least_load,
    power_of_two,
)

__all__ = [
    "AffinityIndex",
    "Considered",
    "Decision",
    "Latency",
    "Load",
    "Prompt",
    "Ring",
    "RoundRobin",
    "least_load",
    "power_of_two",
]


class Load(NamedTuple):
    """How busy a target is, for `AffinityIndex.choose`."""

    uncached_tokens: int = 0
    """Prompt tokens sent to it that its cache did not hold, of requests that have no first token yet."""
    context_tokens: int = 0
    """Context of all its requests in flight."""


class Considered(Struct, frozen=True):
    """What was known about a candidate when a prompt was placed."""

    target: str
    depth_blocks: int
    """The blocks of the prompt that it has seen, from the beginning."""
    uncached_tokens: float
    """The tokens of the prompt that it would have to read."""
    load: float
    """Its load with this request, in tokens per share of the capacity; infinite without weight."""
    passed_over: str | None
    """Why it was not chosen; None for the one that was."""
