"""Where the engines may differ: each excuse says why, and excuses no more than that."""

import re
from collections.abc import Callable
from typing import Any, cast

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


def _with_numbers(value: object) -> str:
    return _NUMBER.sub(lambda number: f"{float(f'{float(number[0]):.6g}'):.6f}", repr(value))


def _numbers_alike(source: str, ours: Outcome, theirs: Outcome) -> bool:
    is_text = re.search(r"string\(|format\(", source) is not None
    return is_text and _with_numbers(ours.value) == _with_numbers(theirs.value)


def _unordered(value: Any) -> str:
    match value:
        case list():
            return str(sorted(_unordered(part) for part in cast("list[Any]", value)))
        case tuple():
            return str([_unordered(part) for part in cast("tuple[Any, ...]", value)])
        case _:
            return _with_numbers(value)


EXCUSES: dict[str, Excuse] = {
    # `[][0]`, `{}['a']` and `optional.none().value()` may be of any type. The checker of cel-cpp narrows them to the
    # first overload that it tries, or refuses them as the range of a macro; ours leaves it open for longer.
    "values of no type": _of_no_type,
    # Rules have a budget.
    "work": _ours("refused", "times the work that a rule may"),
    # The language does not say how a double is written: 1e+06 and nan as C++ has it, 1000000 and NaN here.
    "texts of doubles": _numbers_alike,
    "characters of texts of doubles": lambda source, ours, theirs: (
        re.search(r"(string|format)\(.*\d(\.|e-?)\d.*\)\.(charAt|reverse)\(", source) is not None
        and ours.kind == theirs.kind == "value"
    ),
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
    # Maps have an order here, that of their keys, and none in cel-cpp; where NaN is sorted to is open.
    "order": lambda source, ours, theirs: (
        re.search(r"[{]|counts|names|mixed|sort", source) is not None
        and ours.kind == theirs.kind
        and _unordered(ours.value) == _unordered(theirs.value)
    ),
    "order of what is joined": lambda source, ours, theirs: (
        ".join(" in source and ours.kind == theirs.kind and sorted(repr(ours.value)) == sorted(repr(theirs.value))
    ),
    # Numbers that are equal are one key here and in cel-go; cel-cpp keeps 1 and 1u apart.
    "equal keys": _ours("error", "a key occurs twice"),
    # Errors that `&&` and `||` do not absorb in cel-cpp.
    "errors for good": _theirs("error", r"duplicate key in map|overloads found : strings\.quote|vector::reserve"),
    # Without a match no replacement is looked at here; cel-cpp looks at it first.
    "replacements of nothing": _theirs("error", "invalid replacement string"),
    # `duration(int)` and `int(duration)` are extensions of cel-go, and `int(bool)` is one of cel-cpp.
    "durations of numbers": _theirs("error", r"overloads found : (duration\(int64|int\(duration)\)"),
    "numbers of bools": lambda source, ours, theirs: (
        "int(" in source and _ours("error", "not defined for bool")(source, ours, theirs)
    ),
    # These are macros in cel-cpp, which look at how their arguments are written.
    "arguments of macros": _theirs("refused", r"math\.(least|greatest)\(\) |sortBy can only be applied"),
    # cel-cpp makes an optional of an error where what an optional holds cannot be indexed, and does not ask whether
    # `optFlatMap` is given an optional.
    "indices of optionals": lambda source, ours, theirs: (
        re.search(r"optional|\.(first|last)\(", source) is not None
        and theirs.kind == "value"
        and _ours("error", "is not defined for")(source, ours, theirs)
    ),
    # cel-cpp leaves out blanks in Base64 and around numbers.
    "blanks": _ours("error", "this text is not (Base64|a number|an int|a uint)"),
    # A pattern that matches nothing matches at each place here and in cel-go, and nowhere in cel-cpp.
    "empty matches": lambda source, ours, theirs: (
        "extractAll(" in source
        and theirs.value == ("list", [])
        and ours.kind == "value"
        and ours.value[0] == "list"
        and all(each == ("str", "") for each in ours.value[1])
    ),
    # Errors whose message is no text, for what `format` has made of bytes, come as a TypeError.
    "errors that are no text": lambda source, ours, theirs: (
        ".format(" in source and ours.kind == "error" and theirs.value == OPAQUE
    ),
    # `%f` takes the texts of numbers in cel-cpp, and `%s` bytes that are no text.
    "%f of texts": _ours("error", "%f takes numbers only"),
    "%s of bytes": lambda source, ours, theirs: "%s" in source and "bytes(" in source and ours.kind == theirs.kind,
    # The difference of two timestamps may be any duration here; in cel-cpp those at the very ends overflow.
    "ends of durations": lambda source, ours, theirs: (
        re.search(r"\bt\b|timestamp", source) is not None and _theirs("error", "integer overflow")(source, ours, theirs)
    ),
}


def excused(source: str, ours: Outcome, theirs: Outcome) -> str | None:
    """Why this difference is known, if it is."""
    return next((reason for reason, excuse in EXCUSES.items() if excuse(source, ours, theirs)), None)
