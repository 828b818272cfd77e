"""Where the engines may differ: each excuse says why, and excuses no more than that."""

import re
from collections.abc import Callable

from engines import OPAQUE, Outcome

Excuse = Callable[[str, Outcome, Outcome], bool]
"""Of an expression, our outcome and that of cel-cpp."""


def _theirs(kind: str, message: str) -> Excuse:
    return lambda _, ours, theirs: theirs.kind == kind != ours.kind and re.search(message, theirs.message) is not None


def _ours(kind: str, message: str) -> Excuse:
    return lambda _, ours, theirs: ours.kind == kind != theirs.kind and re.search(message, ours.message) is not None


def _of_no_type(source: str, ours: Outcome, theirs: Outcome) -> bool:
    return "refused" in (ours.kind, theirs.kind) and re.search(r"\[\]|\{\}|optional\.none\(\)", source) is not None


_NUMBER = re.compile(r"[+-]?(?:\d+(?:\.\d+)?(?:e[+-]?\d+)?|inf|nan)", re.IGNORECASE)


def _numbers_alike(source: str, ours: Outcome, theirs: Outcome) -> bool:
    def read(outcome: Outcome) -> str:
        return _NUMBER.sub(lambda number: f"{float(f'{float(number[0]):.6g}'):.6f}", repr(outcome.value))

    return re.search(r"string\(|format\(", source) is not None and read(ours) == read(theirs)


def _sorted(value: object) -> str:
    return str(sorted(repr(value)))


EXCUSES: dict[str, Excuse] = {
    # `[][0]`, `{}['a']` and `optional.none().value()` may be of any type. The checker of cel-cpp narrows them to the
    # first overload that it tries, or refuses them as the range of a macro; ours leaves it open for longer.
    "values of no type": _of_no_type,
    # Rules have a budget.
    "work": _ours("refused", "times the work that a rule may"),
    # The language does not say how a double is written: 1e+06 and nan as C++ has it, 1000000 and NaN here.
    "texts of doubles": _numbers_alike,
    # The parser of cel-cpp drops pairs of minus signs: `- -x` neither overflows nor asks what x is.
    "pairs of minus signs": lambda source, ours, theirs: (
        re.search(r"- ?-", source) is not None and ours.kind == "error" != theirs.kind
    ),
    # The end of a substring cannot be that of the text in cel-cpp: 'abc'.substring(0, 3) fails.
    "end of a substring": _theirs("error", r"<string>\.substring\(<start>, <end>\)"),
    # `null in {}` is false here and in cel-go, as for any other key that is not there.
    "no key": _theirs("error", r"No matching overloads found : @in"),
    # Whole numbers of any type are positions, as in `list[1u]`; cel-cpp takes them there and not in `list[?1u]`.
    "positions": _theirs("error", r"_\[\?_\]\(list, (double|uint64)\)"),
    # Maps have an order here, that of their keys, and none in cel-cpp.
    "order of maps": lambda source, ours, theirs: "{" in source and _sorted(ours.value) == _sorted(theirs.value),
    # Numbers that are equal are one key here and in cel-go; cel-cpp keeps 1 and 1u apart.
    "equal keys": _ours("error", "a key occurs twice"),
    # Errors that `&&` and `||` do not absorb in cel-cpp.
    "errors for good": _theirs("error", r"duplicate key in map|overloads found : strings\.quote"),
    # Without a match no replacement is looked at here; cel-cpp looks at it first.
    "replacements of nothing": _theirs("error", "invalid replacement string"),
    # `duration(int)` and `int(duration)` are extensions of cel-go, and `int(bool)` is one of cel-cpp.
    "durations of numbers": _theirs("error", r"overloads found : (duration\(int64|int\(duration)\)"),
    "numbers of bools": lambda source, ours, theirs: (
        "int(" in source and _ours("error", "not defined for bool")(source, ours, theirs)
    ),
    # These are macros in cel-cpp, which look at how their arguments are written.
    "arguments of macros": _theirs("refused", r"math\.(least|greatest)\(\) |sortBy can only be applied"),
    # cel-cpp makes an optional of an error where what an optional holds cannot be indexed.
    "indices of optionals": lambda _, ours, theirs: (
        ours.kind == "error" and theirs == Outcome("value", OPAQUE) and "is not defined for" in ours.message
    ),
}


def excused(source: str, ours: Outcome, theirs: Outcome) -> str | None:
    """Why this difference is known, if it is."""
    return next((reason for reason, excuse in EXCUSES.items() if excuse(source, ours, theirs)), None)
