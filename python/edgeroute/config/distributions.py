"""Distributions of times, as the mock provider draws them: `20ms`, `uniform(50ms, 300ms)`, `lognormal(200ms, 0.6)`."""

import math
import re
from collections.abc import Callable
from random import Random
from typing import ClassVar, Self

from edgeroute.config.values import Malformed, parse_quantity

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
        """Raises Malformed, which says what is wrong with the form or a parameter."""
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
            advice = "uniform takes the least and the most time, such as uniform(50ms, 300ms)"
            wrong = Malformed("this is not a uniform distribution of times", advice)
            least, most = (_milliseconds(each, wrong) / 1000 for each in (first, second))
            if least > most:
                raise Malformed("the least time is more than the most", advice)
            return lambda source: source.uniform(least, most)
        case "lognormal", first, second:
            advice = "lognormal takes the median and the standard deviation of the logarithm, such as "
            advice += "lognormal(200ms, 0.6)"
            median = _milliseconds(first, Malformed("this is not a lognormal distribution of times", advice)) / 1000
            if not _SIGMA.fullmatch(second) or (sigma := float(second)) > _MOST_SIGMA:
                raise Malformed(f"the standard deviation must be a number from 0 to {_MOST_SIGMA:g}", advice)
            if median == 0:
                raise Malformed("the median must be more than 0ms", advice)
            mu = math.log(median)
            return lambda source: min(source.lognormvariate(mu, sigma), _LONGEST_MS / 1000)
        case _:
            raise Malformed("there is no such distribution", f"write {_DISTRIBUTIONS}")


def _milliseconds(text: str, wrong: Malformed) -> int:
    try:
        milliseconds = parse_quantity(text, "milliseconds")
    except ValueError:
        raise wrong from None
    if milliseconds > _LONGEST_MS:
        raise Malformed("this time is too long", "the longest here is 10m")
    return milliseconds


def _unreadable(text: str) -> Malformed:
    """What to say of text that has none of the forms."""
    if "(" in text and ")" not in text:
        return Malformed(
            "this is half a distribution", "inside { } it needs quotes, because a comma ends a value there"
        )
    return Malformed("this is neither a time nor a distribution of times", f"write 20ms, {_DISTRIBUTIONS}")
