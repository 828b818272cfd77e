"""Distributions of times, as the mock provider draws them: `20ms`, `uniform(50ms, 300ms)`, `lognormal(200ms, 0.6)`."""

import math
import re
from collections.abc import Callable
from random import Random
from typing import ClassVar, Self

from edgeroute.config.values import parse_quantity

_LONGEST_MS = 600_000
_MOST_SIGMA = 3.0
_SIGMA = re.compile(r"[0-9]{1,3}(\.[0-9]{1,6})?")
_TWO_PARAMETERS = re.compile(r"([a-z]+) ?\( ?([^(),]*?) ?, ?([^(),]*?) ?\)")
_DISTRIBUTIONS = "uniform(50ms, 300ms) or lognormal(200ms, 0.6)"

Draw = Callable[[Random], float]
"""Draws seconds from a source of randomness."""


class Distribution(str):
    """A distribution of times; as text it is what was written.

    * `20ms` is always 20 ms;
    * `uniform(50ms, 300ms)` is any time from 50 ms to 300 ms, each as likely as the other;
    * `lognormal(200ms, 0.6)` has the median 200 ms and a long tail: its logarithm is normal with the
      standard deviation 0.6, so that 90 % are below 200 ms * e^(1.28 * 0.6) = 431 ms, and 99 % below
      200 ms * e^(2.33 * 0.6) = 808 ms.

    No parameter and no time drawn is longer than 10 minutes.
    """

    __slots__ = ("draw",)
    expected: ClassVar[str] = f"a time such as 20ms, or {_DISTRIBUTIONS}"
    pattern: ClassVar[str] = (
        r"^([0-9]+ ?(ms|s|m)|uniform ?\( ?[0-9]+ ?(ms|s|m) ?, ?[0-9]+ ?(ms|s|m) ?\)"
        r"|lognormal ?\( ?[0-9]+ ?(ms|s|m) ?, ?[0-9]+(\.[0-9]+)? ?\))$"
    )
    draw: Draw

    @classmethod
    def parse(cls, text: str) -> Self:
        """Raises ValueError with a sentence that says what is wrong with the form or a parameter."""
        distribution = cls(text)
        distribution.draw = _draw(text)
        return distribution


def _draw(text: str) -> Draw:
    found = _TWO_PARAMETERS.fullmatch(text)
    if found is None:
        seconds = _milliseconds(text, _unreadable(text)) / 1000
        return lambda _: seconds
    match found.groups():
        case "uniform", first, second:
            wanted = "uniform takes the least and the most time, such as uniform(50ms, 300ms)"
            least, most = (_milliseconds(each, wanted) / 1000 for each in (first, second))
            if least > most:
                raise ValueError(f"{wanted}; here the first is more than the second")
            return lambda source: source.uniform(least, most)
        case "lognormal", first, second:
            wanted = "lognormal takes the median and the standard deviation of the logarithm, such as "
            wanted += "lognormal(200ms, 0.6)"
            median = _milliseconds(first, wanted) / 1000
            if not _SIGMA.fullmatch(second) or (sigma := float(second)) > _MOST_SIGMA:
                raise ValueError(f"{wanted}; the second is a number from 0 to {_MOST_SIGMA:g}")
            if median == 0:
                raise ValueError(f"{wanted}; a median is more than 0ms")
            mu = math.log(median)
            return lambda source: min(source.lognormvariate(mu, sigma), _LONGEST_MS / 1000)
        case _:
            raise ValueError(f"there is no such distribution; write {_DISTRIBUTIONS}")


def _milliseconds(text: str, wanted: str) -> int:
    try:
        milliseconds = parse_quantity(text, "milliseconds")
    except ValueError:
        raise ValueError(wanted) from None
    if milliseconds > _LONGEST_MS:
        raise ValueError("the longest time here is 10m")
    return milliseconds


def _unreadable(text: str) -> str:
    """What to say of text that has none of the forms."""
    if "(" in text and ")" not in text:
        return "a distribution inside { } needs quotes, because a comma ends a value there"
    return f"this is not a time such as 20ms, nor a distribution such as {_DISTRIBUTIONS}"
