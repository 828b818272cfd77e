"""Run conformance tests of CEL through the public library: `run_cel.py FILE…`.

A file has one test a line, in JSON:

    name, section          what it is called
    expr                   the expression
    disable_check          it is not checked before it is evaluated
    disable_macros         macros are not known
    check_only             it is not evaluated
    container              a prefix that names may be written without
    type_env               variables (name, type) and functions (name, overloads)
    bindings               the values of variables
    expect                 error, or value and type of the result

Values and types are tagged: `{"uint": "1"}`, `{"map": [[key, value], …]}`, `{"list": "int"}`. The last line of the
output is `N passed, M failed`; the exit status is 0 if none failed.
"""

import base64
import math
import sys
import traceback
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

import msgspec

from edgeroute.rules import Duration, Expression, Optional, RuleError, Timestamp, TypeName, Uint

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_TYPES = {"null_type": "null", "google.protobuf.Timestamp": "timestamp", "google.protobuf.Duration": "duration"}
"""Names of types that the library writes in another way."""


class Overload(msgspec.Struct):
    """One signature of a function."""

    params: list[Any]
    result: Any
    member: bool = False


class Declaration(msgspec.Struct):
    """A variable, which has a type, or a function, which has overloads."""

    name: str
    type: Any = None
    overloads: list[Overload] = []


class Expectation(msgspec.Struct):
    """What is to come of a test."""

    error: Any = None
    value: dict[str, Any] | None = None
    type: Any = None


class Test(msgspec.Struct):
    """One line of a file."""

    __test__ = False

    section: str
    name: str
    expr: str
    expect: Expectation
    disable_check: bool = False
    disable_macros: bool = False
    check_only: bool = False
    container: str = ""
    type_env: list[Declaration] = []
    bindings: dict[str, Any] = {}


def read_tests(path: Path) -> Iterator[Test]:
    """The tests of a file."""
    for line in path.read_bytes().splitlines():
        if line.strip():
            yield msgspec.json.decode(line, type=Test)


def failure(test: Test) -> str | None:
    """Why the test fails, or None."""
    try:
        return _difference(test)
    except RuleError as error:
        return None if test.expect.error is not None else str(error)
    except Exception:  # noqa: BLE001 (whatever it is, the test has failed)
        return traceback.format_exc()


def _difference(test: Test) -> str | None:
    expected = test.expect
    declared = {each.name: type_text(each.type) for each in test.type_env if not each.overloads}
    expression = Expression(
        test.expr,
        dict.fromkeys(test.bindings, "dyn") | declared,
        container=test.container,
        functions=[signature(each.name, overload) for each in test.type_env for overload in each.overloads],
        checked=not test.disable_check,
        macros=not test.disable_macros,
    )
    if expected.type is not None and expression.type != type_text(expected.type):
        return f"type {expression.type}, not {type_text(expected.type)}"
    if test.check_only:
        return None if expected.error is None else "no error"
    found = expression.evaluate({name: value(tagged) for name, tagged in test.bindings.items()})
    if expected.error is not None:
        return f"{found!r}, not an error"
    if expected.value is not None and not same(found, value(expected.value)):
        return f"{found!r}, not {value(expected.value)!r}"
    return None


def value(tagged: dict[str, Any]) -> Any:
    """A tagged value as the library takes and gives it."""
    ((tag, content),) = tagged.items()
    match tag:
        case "null":
            return None
        case "bool" | "string":
            return content
        case "int":
            return int(content)
        case "uint":
            return Uint(int(content))
        case "double":
            return float(content)
        case "bytes":
            return base64.b64decode(content)
        case "list":
            return [value(element) for element in content]
        case "map":
            return {value(key): value(held) for key, held in content}
        case "timestamp":
            since = _nanoseconds(content)
            return Timestamp(since) if since % 1_000 else _EPOCH + timedelta(microseconds=since // 1_000)
        case "duration":
            length = _nanoseconds(content)
            return Duration(length) if length % 1_000 else timedelta(microseconds=length // 1_000)
        case "type":
            return TypeName(content)
        case "optional":
            return Optional() if content is None else Optional(value(content))
        case _:
            raise ValueError(f"a value tagged {tag!r} is not known")


def _nanoseconds(content: list[int]) -> int:
    seconds, nanoseconds = map(int, content)
    return seconds * 1_000_000_000 + nanoseconds


def type_text(tagged: Any) -> str:
    """A tagged type in the library's notation."""
    if isinstance(tagged, str):
        return _TYPES.get(tagged, tagged)
    match tagged:
        case {"abstract": name}:
            return _applied(name, tagged.get("params", []))
        case {"list": of} | {"type": of}:
            return _applied(next(iter(tagged)), [of])
        case {"map": of}:
            return _applied("map", of)
        case {"param": name}:
            return name
        case _:
            raise ValueError(f"a type written {tagged!r} is not known")


def _applied(name: str, parameters: list[Any]) -> str:
    return f"{name}({', '.join(map(type_text, parameters))})" if parameters else name


def signature(name: str, overload: Overload) -> str:
    """The signature of a function or method."""
    parameters = [type_text(each) for each in overload.params]
    if overload.member:
        name = f"{parameters.pop(0)}.{name}"
    return f"{name}({', '.join(parameters)}) -> {type_text(overload.result)}"


def same(found: object, expected: Any) -> bool:
    """Whether they are of one type and equal, at any depth; what is not a number equals itself."""
    if type(found) is not type(expected):
        return False
    if isinstance(found, float):
        return found == expected or (math.isnan(found) and math.isnan(expected))
    if isinstance(found, list):
        elements = cast(list[object], found)
        return len(elements) == len(expected) and all(map(same, elements, expected))
    if isinstance(found, dict):
        entries = cast(dict[object, object], found)
        wanted = cast(dict[object, object], expected)
        kept = {(type(key), key): held for key, held in wanted.items()}
        return len(entries) == len(kept) and all(
            (type(key), key) in kept and same(held, kept[type(key), key]) for key, held in entries.items()
        )
    if isinstance(found, Optional):
        return same(found.value, expected.value)
    return found == expected


def main(paths: list[Path]) -> int:
    """Run the files and print what fails; the exit status."""
    passed = failed = 0
    for path in paths:
        reasons = [(test, failure(test)) for test in read_tests(path)]
        wrong = [(test, reason) for test, reason in reasons if reason is not None]
        for test, reason in wrong:
            print(f"{path.stem}/{test.section}/{test.name}: {test.expr}\n    {reason.strip()}")
        print(f"{path.stem}: {len(reasons) - len(wrong)} passed, {len(wrong)} failed")
        passed += len(reasons) - len(wrong)
        failed += len(wrong)
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    sys.exit(main([Path(argument) for argument in sys.argv[1:]]))
