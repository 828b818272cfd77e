"""Where the engines may differ: each rule says why, and excuses no more than that."""

import re
from collections.abc import Callable

from engines import Outcome

Excuse = Callable[[str, Outcome, Outcome], bool]
"""Of an expression, our outcome and that of cel-cpp."""


def _theirs(kind: str, text: str) -> Excuse:
    return lambda _, ours, theirs: theirs.kind == kind and ours.kind != kind and re.search(text, theirs.message) is not None


def _minus_pair(source: str, ours: Outcome, theirs: Outcome) -> bool:
    return re.search(r"- ?-", source) is not None and (ours.kind, theirs.kind) != ("value", "value")


EXCUSES: dict[str, Excuse] = {
    # `[][0]`, `{}['a']` and `optional.none().value()` are of any type. cel-cpp's checker narrows them to the first
    # overload that it tries, or refuses them as the range of a macro; ours leaves them open, as `dyn`.
    "values of no type": lambda source, ours, theirs: (
        theirs.kind == "refused" and ours.kind != "refused" and re.search(r"\[\]|\{\}|optional\.none\(\)", source) is not None
    ),
    # cel-cpp's parser drops pairs of minus signs, so that `- -x` never overflows and is defined for all types.
    "pairs of minus signs": _minus_pair,
    # cel-cpp compares the end of a substring with the bytes, or with one less: 'abc'.substring(0, 3) fails.
    "end of a substring": _theirs("error", r"<string>\.substring\(<start>, <end>\)"),
    # `null in {}` is false here and in cel-go, as for any other key that is not there.
    "what cannot be a key is no key": _theirs("error", r"No matching overloads found : @in"),
}


def excused(source: str, ours: Outcome, theirs: Outcome) -> str | None:
    """Why this difference is known, if it is."""
    return next((reason for reason, excuse in EXCUSES.items() if excuse(source, ours, theirs)), None)
