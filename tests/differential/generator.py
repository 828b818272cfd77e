"""Random typed CEL expressions over declared variables, and random values for these variables.

An expression is grown from the rules of `grammar.txt`; whoever wants a function to be tested adds a line there.
"""

import random
import re
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

Scope = dict[str, str]
"""The names an expression may use, with their types."""

VARIABLES: Scope = {
    "i": "int",
    "j": "int",
    "u": "uint",
    "d": "double",
    "e": "double",
    "s": "string",
    "r": "string",
    "b": "bytes",
    "p": "bool",
    "q": "bool",
    "t": "timestamp",
    "w": "duration",
    "ints": "list(int)",
    "texts": "list(string)",
    "counts": "map(string, int)",
    "names": "map(int, string)",
    "mixed": "map(dyn, dyn)",
    "x": "dyn",
}

SCALARS = ("bool", "int", "uint", "double", "string", "bytes", "timestamp", "duration")
ELEMENTS = (*SCALARS, "int", "string", "bool", "dyn", "list(int)", "list(string)", "map(string, int)", "optional(int)")
"""What a type parameter may stand for."""
KEYS = ("string", "int", "uint", "bool")
RESULTS = (
    *(*SCALARS, "dyn", "number_as_text", "list(int)", "list(string)", "list(double)", "list(bool)", "list(list(int))"),
    *("map(string, int)", "map(int, string)", "optional(int)", "optional(string)"),
)
"""The types of whole expressions."""

LITERALS: dict[str, tuple[str, ...]] = {
    "bool": ("true", "false"),
    "int": (
        *("0", "1", "2", "-1", "3", "10", "-7", "63", "64", "255", "4294967296", "9007199254740993"),
        *("9223372036854775807", "-9223372036854775808", "-9223372036854775807", "0x7f", "1704067200"),
    ),
    "small": ("0", "1", "2", "3", "4", "-1", "-2", "6"),
    "uint": ("0u", "1u", "2u", "7u", "64u", "9007199254740993u", "9223372036854775808u", "18446744073709551615u"),
    "double": (
        *("0.0", "-0.0", "1.0", "2.0", "-1.5", "0.1", "2.5", "3.5", "1e21", "1e-7", "5e-324", "1.7976931348623157e308"),
        *("9007199254740992.0", "9223372036854775807.0", "-9223372036854775808.0", "18446744073709551615.0"),
        *("123456789.125", "(0.0 / 0.0)", "(1.0 / 0.0)", "(-1.0 / 0.0)"),
    ),
    "string": (
        *("''", "'a'", "'abc'", "'Hello World'", '"it\'s"', "'é'", "'e\\u0301'", "'😀a'", "'ẞİ'", "' \\t x\\u00a0'"),
        *("'a,b,,c'", "'a-b-c'", "'\\n'", "r'\\d'", "'''q'''", "'aaaa'", "'1'", "'-5'", "'1.5'", "'true'", "'1h'"),
    ),
    "bytes": ("b''", "b'abc'", "b'\\xff\\xfe'", "b'é'", "b'\\xc3'", "b'\\x01'"),
    "timestamp": tuple(
        f"timestamp('{text}')"
        for text in (
            *("1970-01-01T00:00:00Z", "2024-02-29T23:59:59.999999999Z", "2024-03-31T01:30:00Z"),
            *("0001-01-01T00:00:00Z", "9999-12-31T23:59:59.999999999Z", "1969-12-31T23:59:59.5Z"),
            *("2024-10-27T03:00:00.25+02:00", "2000-01-01T12:34:56.000000001-05:30", "1850-07-01T12:00:00Z"),
        )
    ),
    "duration": tuple(
        f"duration('{text}')"
        for text in (
            *("0s", "1s", "-1s", "1.5s", "-1.5s", "36h", "1h2m3.004s", "100ms", "1ns", "-999ns", "2562047h"),
            *("9223372036s", "-9223372036s", "500us"),
        )
    ),
    "null": ("null",),
    "zone": tuple(
        repr(zone)
        for zone in (
            *("UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata", "Australia/Lord_Howe"),
            *("+01:00", "-05:30", "02:00", "-00:30", "No/Zone"),
        )
    ),
    "pattern": tuple(
        f"'{pattern}'"
        for pattern in (
            *(
                "a",
                "^a.*",
                "[a-z]+",
                "(a)|b",
                "é",
                ".",
                "",
                "(",
                "a{2}",
                "(?i)ABC",
                "^$",
                "a*?",
                "[^a]",
                "x|y|",
                "(a)(b)?",
            ),
            *(
                "\\\\d+",
                "\\\\w",
                "\\\\s",
                "\\\\pL",
                "\\\\bx",
                "\\\\Qa.\\\\E",
                "(?P<n>a)",
                "a++",
                "(?=a)",
                "[[:alpha:]]",
            ),
        )
    ),
    # Without such as match the empty text, with which cel-cpp does something of its own.
    "part_pattern": tuple(
        f"'{pattern}'" for pattern in ("a", "[a-z]+", "(b)", "é", ".", "a{2}", "l(.)", "\\\\d+", "(")
    ),
    "separator": ("','", "'a'", "'é'", "'b-'", "' '"),
    "number_text": ("'0'", "'12'", "'-3'", "'9223372036854775808'", "'18446744073709551615'", "'1e3'", "'.5'", "'-0'"),
    "truth_text": ("'true'", "'false'", "'True'", "'FALSE'", "'t'", "'0'", "'yes'", "''"),
    "time_text": (
        *("'2024-01-01T00:00:00Z'", "'2024-01-01'", "'2024-13-01T00:00:00Z'", "'2023-02-29T00:00:00Z'"),
        *("'2024-01-01T24:00:00Z'", "'2024-01-01T10:20:30.123456789+14:00'", "'0000-01-01T00:00:00Z'"),
    ),
    "length_text": ("'1s'", "'1h30m'", "'-2m'", "'5'", "''", "'1d'", "'1.5h'", "'.5s'", "'1s1h'", "'3us'", "'0'"),
    "base64_text": ("'YWJj'", "'YWI='", "'YWI'", "'_-8='", "'!'", "'//8='"),
}


_PLACE = re.compile(r"@(\w+(?:\((?:[^()]|\([^()]*\))*\))?)(?:\{([^}]*)\})?|\$(\w)")
_PARAMETERS = ("A", "B", "K")


def _rules() -> list[tuple[str, str]]:
    lines = (Path(__file__).parent / "grammar.txt").read_text().splitlines()
    rules = [tuple(line.split("  ", 1)) for line in lines if line and not line.startswith("#")]
    return [(of_type, template) for of_type, template in rules]


RULES = _rules()


def parts(of_type: str) -> tuple[str, list[str]]:
    """`map(K, list(A))` as `("map", ["K", "list(A)"])`."""
    name, _, rest = of_type.partition("(")
    found: list[str] = []
    for piece in rest.removesuffix(")").split(", ") if rest else []:
        if found and found[-1].count("(") > found[-1].count(")"):
            found[-1] += f", {piece}"
        else:
            found.append(piece)
    return name, found


def bind(pattern: str, of_type: str) -> Scope | None:
    """What the parameters in a pattern stand for if it is this type; `None` if it cannot be."""
    if pattern == "K":
        return {pattern: of_type} if of_type in KEYS or of_type == "dyn" else None
    if pattern in _PARAMETERS:
        return {pattern: of_type}
    (name, inner), (wanted, arguments) = parts(pattern), parts(of_type)
    if name != wanted or len(inner) != len(arguments):
        return None
    found: Scope = {}
    for one, other in zip(inner, arguments, strict=True):
        bound = bind(one, other)
        if bound is None:
            return None
        found |= bound
    return found


@cache
def rules_for(of_type: str) -> list[tuple[str, Scope]]:
    """The templates of a type, each with what its parameters stand for."""
    bound = ((template, bind(pattern, of_type)) for pattern, template in RULES)
    fitting = [(template, found) for template, found in bound if found is not None]
    # Rules for any type would drown those that say something about this one.
    own = [rule for rule in fitting if rule[1].get("A") != of_type]
    return fitting + own * 2


class Generator:
    """Grows expressions. One with the same seed grows the same."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)

    def expression(self, wrong: float = 0.0) -> tuple[str, str]:
        """An expression and its type. `wrong` is the probability that a place holds something of another type."""
        self.wrong = wrong
        of_type = self.random.choice(RESULTS)
        return self.grow(of_type, dict(VARIABLES), self.random.choice((1, 2, 2, 3, 3, 4, 5))), of_type

    def grow(self, of_type: str, scope: Scope, depth: int) -> str:
        if of_type == "any" or self.random.random() < self.wrong:
            of_type = self.random.choice(ELEMENTS)
        rules = rules_for(of_type)
        if not rules or depth <= 0 or self.random.random() < 0.15:
            leaf = self.leaf(of_type, scope)
            if leaf is not None:
                return leaf
        template, bound = self.random.choice(rules)
        return self.fill(template, dict(bound), scope, depth - 1)

    def leaf(self, of_type: str, scope: Scope) -> str | None:
        names = [name for name, known in scope.items() if known == of_type]
        literals = LITERALS.get(of_type, ())
        if names and (not literals or self.random.random() < 0.6):
            return self.random.choice(names)
        if literals:
            return self.random.choice(literals)
        return self.short(of_type, scope) if "(" in of_type else None

    def short(self, of_type: str, scope: Scope) -> str:
        """A shortest expression of a type that has no literals."""
        name, inner = parts(of_type)
        leaves = [self.grow(part, scope, 0) for part in inner]
        match name:
            case "list":
                return self.random.choice(("[]", f"[{leaves[0]}]"))
            case "map":
                return self.random.choice(("{}", f"{{{leaves[0]}: {leaves[1]}}}"))
            case _:
                return self.random.choice(("optional.none()", f"optional.of({leaves[0]})"))

    def fill(self, template: str, bound: Scope, scope: Scope, depth: int) -> str:
        """A template with its places filled."""
        names: Scope = {}

        def concrete(of_type: str) -> str:
            for parameter, choices in (("A", ELEMENTS), ("B", ELEMENTS), ("K", KEYS)):
                if re.search(rf"\b{parameter}\b", of_type):
                    bound.setdefault(parameter, self.random.choice(choices))
                    of_type = re.sub(rf"\b{parameter}\b", bound[parameter], of_type)
            return of_type

        def name(letter: str) -> str:
            if letter not in names:
                # Sometimes the name of a variable, which it hides.
                free = [one for one in ("a", "c", "v", "i", "s", "x") if one not in names.values()]
                names[letter] = self.random.choice(free)
            return names[letter]

        def replace(place: re.Match[str]) -> str:
            of_type, locals_, letter = place.groups()
            if letter:
                return name(letter)
            inner = dict(scope)
            for declared in (locals_ or "").split(", "):
                if declared:
                    letter, _, its_type = declared.partition(":")
                    inner[name(letter)] = concrete(its_type)
            return self.grow(concrete(of_type), inner, depth)

        text = _PLACE.sub(replace, template)
        # Without parentheses precedence decides, which then may find other types than were meant.
        return (
            f"({text})" if re.search(r" [-+*/%<>=!&|?]|^[-!]| in ", template) and self.random.random() < 0.85 else text
        )

    def values(self) -> dict[str, Any]:
        """A value for each variable. An absent key is a likely one."""
        pick = self.random.choice
        ints = [0, 1, 2, -1, 7, 63, 2**31, 2**53 + 1, 2**63 - 1, -(2**63)]
        doubles = [0.0, -0.0, 1.0, 2.0, -1.5, 0.1, 1e21, 5e-324, 2.0**53, 2.0**63, float("nan"), float("inf")]
        texts = ["", "a", "abc", "Hello World", "é", "😀a", "a,b,,c", " x ", "12", "aaaa", "\u0130", "\n"]
        times = [
            datetime(1970, 1, 1),
            datetime(2024, 2, 29, 23, 59, 59, 999999),
            datetime(1, 1, 2),
            datetime(2024, 3, 31, 1, 30),
        ]
        lengths = [timedelta(0), timedelta(seconds=-1), timedelta(hours=36, microseconds=1), timedelta(days=106751)]
        anything: list[Any] = [
            None,
            True,
            1,
            -1,
            1.5,
            "a",
            b"a",
            [1, "a", None],
            {"abc": 1, "a": [2]},
            pick(ints),
            pick(doubles),
        ]
        mixed = {key: pick(anything) for key in (2, 3, True, False, "abc", "a") if pick((True, False))}
        return {
            "i": pick(ints),
            "j": pick(ints),
            "u": pick([0, 1, 2, 7, 2**53 + 1, 2**63, 2**64 - 1]),
            "d": pick(doubles),
            "e": pick(doubles),
            "s": pick(texts),
            "r": pick(texts),
            "b": pick([b"", b"abc", b"\xff\xfe", "é".encode()]),
            "p": pick((True, False)),
            "q": pick((True, False)),
            "t": pick(times).replace(tzinfo=UTC),
            "w": pick(lengths),
            "ints": [pick(ints) for _ in range(pick((0, 1, 3, 6)))],
            "texts": [pick(texts) for _ in range(pick((0, 1, 3)))],
            "counts": {key: pick(ints) for key in ("a", "b", "abc") if pick((True, False))},
            "names": {key: pick(texts) for key in (0, 1, 2, -1) if pick((True, False))},
            "mixed": mixed,
            "x": pick(anything),
        }
