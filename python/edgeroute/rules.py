"""Rules as a library: conditions and expressions in CEL, for use without a router.

`RuleSet` and `Expression` take values by the names of variables and give Python values. What CEL has and Python has
not is a class of this module:

    CEL                Python
    bool, null         bool, None
    int                int; one beyond 63 bits is a uint
    uint               Uint; as input any int that is not negative, where a uint is declared
    double             float; as input an int too, where a double is declared
    string, bytes      str, bytes
    list, map          list (as input a tuple too), dict (as input any mapping)
    timestamp          datetime with a time zone; Timestamp where that is too coarse
    duration           timedelta; Duration where that is too coarse
    type               TypeName
    optional_type      Optional
    net.IP, net.CIDR   addresses and interfaces of ipaddress; as input networks too
"""

from typing import Any, Self

from msgspec import UNSET, Struct

from edgeroute._native import Expression, RuleSet
from edgeroute.errors import EdgerouteError

__all__ = [
    "Diagnostic",
    "Duration",
    "Explanation",
    "Expression",
    "Optional",
    "Outcome",
    "RuleError",
    "RuleSet",
    "Timestamp",
    "TypeName",
    "Uint",
]


class Diagnostic(Struct, frozen=True):
    """What is wrong with the text of a rule, or why it has no value."""

    rule: str | int | None
    """Name or position of the rule; None of a single expression."""
    message: str
    help: str | None
    """What to do about it, where that can be said."""
    start: int
    end: int
    """The characters that it is about; `end` is exclusive."""
    line: int
    column: int
    """Where it starts, counted from one."""
    text: str
    """All of it for people, with the line of the rule and carets under the place."""


class RuleError(EdgerouteError, ValueError):
    """Rules that are wrong, or an expression that has no value for what it was given."""

    def __init__(self, diagnostics: tuple[Diagnostic, ...]) -> None:
        super().__init__("\n".join(_titled(each) for each in diagnostics))
        self.diagnostics = diagnostics

    def __reduce__(self) -> tuple[type[Self], tuple[tuple[Diagnostic, ...]]]:
        return type(self), (self.diagnostics,)


class Outcome(Struct, frozen=True):
    """What came of one rule."""

    rule: str | int
    condition: str
    holds: bool | None
    """None if it cannot be said."""
    diagnostic: Diagnostic | None
    """Why it cannot be said."""


class Explanation(Struct, frozen=True):
    """What came of each rule of a set; as a text, for people."""

    first_match: str | int | None
    outcomes: tuple[Outcome, ...]

    def __str__(self) -> str:
        width = max((len(str(outcome.rule)) for outcome in self.outcomes), default=0)
        return "\n".join(self._line(outcome, width) for outcome in self.outcomes)

    def _line(self, outcome: Outcome, width: int) -> str:
        name = f"{outcome.rule!s:{width}}"
        if outcome.diagnostic is not None:
            return f"{name}  cannot be evaluated\n{outcome.diagnostic.text}"
        if outcome.holds:
            return f"{name}  holds" + ("; the first" if outcome.rule == self.first_match else "")
        return f"{name}  does not hold"


class Uint(int):
    """An unsigned integer of 64 bits."""

    __slots__ = ()

    def __new__(cls, number: int) -> Self:
        """ValueError for a number that has not 64 bits."""
        if not 0 <= number < 2**64:
            raise ValueError(f"a uint is from 0 to 2**64 - 1; this is {number}")
        return super().__new__(cls, number)

    def __repr__(self) -> str:
        return f"Uint({int(self)})"


class TypeName(str):
    """A type as a value, as `type(1)` gives it: `TypeName("int")`."""

    __slots__ = ()

    def __repr__(self) -> str:
        return f"TypeName({str(self)!r})"


class Timestamp(Struct, frozen=True, order=True):
    """A point in time that a datetime is too coarse for, as `time.time_ns()` gives it."""

    nanoseconds: int
    """Since 1970-01-01 UTC."""


class Duration(Struct, frozen=True, order=True):
    """A length of time that a timedelta is too coarse for."""

    nanoseconds: int


class Optional(Struct, frozen=True):
    """`Optional(value)` holds a value, `Optional()` does not."""

    value: Any = UNSET

    @property
    def has_value(self) -> bool:
        """Whether it holds a value."""
        return self.value is not UNSET

    def or_value(self, default: Any) -> Any:
        """The value that it holds, or `default`."""
        return self.value if self.has_value else default


def _titled(diagnostic: Diagnostic) -> str:
    rule = diagnostic.rule
    if rule is None:
        return diagnostic.text
    return f"rule {rule if isinstance(rule, int) else f'`{rule}`'}: {diagnostic.text}"
