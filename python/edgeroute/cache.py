"""Answers by what a question means, as a library: no router, no service, nothing to download.

    >>> cache = SemanticCache()
    >>> cache.add("How do I reset my password?", "Settings, Security, Reset.")
    True
    >>> cache.find("how can i reset my password")
    Hit(answer='Settings, Security, Reset.', similarity=0.9...)
    >>> cache.find("how can I reset my router") is None
    True
    >>> compare("fly from Paris to Rome", "fly from Rome to Paris").refused
    'direction'

It is the code by which the router answers from memory: an embedding that is built in, a search among the questions of
one partition, and vetoes on what an average of words hardly sees: numbers, negations, names, directions.
"""

from typing import Any, NamedTuple

from msgspec import Struct

from edgeroute._native import Bank, SemanticCache, compare, embed

__all__ = ["Bank", "Comparison", "Explanation", "Hit", "Near", "SemanticCache", "compare", "embed"]


class Hit(NamedTuple):
    """What `SemanticCache.find` has found."""

    answer: Any
    """As it was added."""
    similarity: float
    """The cosine between the question that was asked and the one that was added."""


class Comparison(NamedTuple):
    """How near two questions are, from `compare`."""

    similarity: float
    """The cosine between them; 0 if one has nothing to go by."""
    confidence: float
    """How sure it is that the answer of one serves the other, from 0 to 1."""
    refused: str | None
    """Why it is not given nevertheless: a bypass, a veto, or `threshold`; None if it is."""


class Near(Struct, frozen=True):
    """A question that `SemanticCache.explain` has found, near or not."""

    question: str
    """As it was added."""
    answer: Any
    similarity: float
    """The cosine between the two."""
    confidence: float
    """How sure it is that the answer serves both, from 0 to 1; with an embedder of one's own, the similarity."""
    refused: str | None
    """Why the answer is not given: the name of a veto, or `threshold`; None if it may be."""


class Explanation(Struct, frozen=True):
    """Why `SemanticCache.find` has found what it has, or nothing."""

    bypass: str | None
    """Why the question is not looked up at all: `empty`, `too-long`, `time-bound`, `personal`, `code` or `math`."""
    nearest: list[Near]
    """The nearest first. `find` gives the answer of the first that is not refused."""
