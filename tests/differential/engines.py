"""Both engines behind one function each: expression and values in, outcome out."""

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, cast

from cel_expr_python import cel  # pyright: ignore[reportMissingTypeStubs]
from generator import VARIABLES

from edgeroute import Expression
from edgeroute.rules import RuleError, Uint

Values = Mapping[str, Any]
OPAQUE = ("opaque",)
"""A value that cannot be handed to Python; it equals any value."""


@dataclass(frozen=True)
class Outcome:
    """What became of an expression: it was refused before any request, it failed, or it has a value."""

    kind: str
    value: Any = None
    message: str = ""


def canonical(value: Any) -> Any:
    """A value that compares by type too, with NaN equal to itself and -0.0 not to 0.0."""
    match value:
        case None:
            return ("null",)
        case Uint():
            return ("uint", int(value))
        case bool() | int() | str():
            return (type(value).__name__, value)
        case float():
            return ("double", "nan" if math.isnan(value) else repr(value))
        case bytes() | bytearray():
            return ("bytes", bytes(value))
        case datetime() | timedelta():
            return (type(value).__name__, value)
        case list():
            elements = cast("list[Any]", value)
            return ("list", [canonical(element) for element in elements])
        case dict():
            items = cast("dict[Any, Any]", value).items()
            # Keys come without their types from cel-cpp.
            entries = [(_plain(key), canonical(entry)) for key, entry in items]
            return ("map", sorted(entries, key=repr))
        case cel.Value():
            return OPAQUE if value.type() == cel.Type.TYPE else canonical(_of_cel_cpp(value))
        case _:
            return OPAQUE


def _plain(key: Any) -> Any:
    return int(key) if isinstance(key, Uint) else key


def _of_cel_cpp(value: cel.Value) -> Any:
    """As `edgeroute` would give it."""
    return Uint(value.value()) if value.type() == cel.Type.UINT else value.value()


def same(ours: Any, theirs: Any) -> bool:
    """Whether two canonical values are equal."""
    if OPAQUE in (ours, theirs):
        return True
    if isinstance(ours, tuple | list) and isinstance(theirs, tuple | list):
        one, other = cast("list[Any]", ours), cast("list[Any]", theirs)
        return len(one) == len(other) and all(map(same, one, other))
    return ours == theirs


EXTENSIONS = ["bindings", "encoders", "lists", "math", "optional", "regex", "sets", "strings", "two-var-comprehensions"]


def cel_cpp() -> Callable[[str, bool, Values], Outcome]:
    """The reference implementation in C++, with all extensions that it has."""
    named = "".join(f"- name: {name}\n" for name in EXTENSIONS)
    config = cel.NewEnvConfigFromYaml(f"name: differential\nextensions:\n{named}")
    environment = cel.NewEnv(config=config, variables={name: _cel_type(text) for name, text in VARIABLES.items()})

    def evaluate(source: str, checked: bool, values: Values) -> Outcome:
        try:
            expression = environment.compile(source, disable_check=not checked)
        except RuntimeError as error:
            return Outcome("refused", message=str(error))
        try:
            result = expression.eval(data=dict(values))
            if result.type() == cel.Type.ERROR:
                return Outcome("error", message=str(result.plain_value()))
            if result.type() in (cel.Type.LIST, cel.Type.MAP) and ".format(" in source:
                # It crashes on a map with a key that `format` has made of bytes that are no UTF-8.
                return Outcome("value", OPAQUE)
            return Outcome("value", canonical(result))
        except (RuntimeError, ValueError, MemoryError) as error:
            return Outcome("error", message=str(error))
        except TypeError:
            return Outcome("value", OPAQUE)

    return evaluate


def _cel_type(text: str) -> Any:
    return cel.Type(text.replace("(", "<").replace(")", ">"))


def edgeroute() -> Callable[[str, bool, Values], Outcome]:
    """Ours."""

    def evaluate(source: str, checked: bool, values: Values) -> Outcome:
        try:
            expression = Expression(source, variables=VARIABLES, checked=checked)
        except RuleError as error:
            return Outcome("refused", message=str(error))
        try:
            return Outcome("value", canonical(expression.evaluate(values)))
        except RuleError as error:
            return Outcome("error", message=str(error))
        except ValueError:
            # A map with both 1 and true as keys.
            return Outcome("value", OPAQUE)

    return evaluate


def observable(source: str, of_type: str) -> str:
    """The expression with its value turned into one that both engines hand to Python whole, and write alike."""
    match of_type:
        case "bytes":
            return f"base64.encode({source})"
        case "timestamp" | "duration":
            return f"string({source})"
        case "number_as_text":
            return f"double({source})"
        case _ if of_type.startswith("optional("):
            return f"cel.bind(held, {source}, held.hasValue() ? [held.value()] : [])"
        case _:
            return source


def agree(ours: Outcome, theirs: Outcome, of_type: str) -> bool:
    """Whether both failed, were refused, or came to the same value."""
    if ours.kind != theirs.kind or ours.kind != "value":
        return ours.kind == theirs.kind
    if of_type in ("timestamp", "duration"):
        # cel-cpp writes three, six or nine digits of a second.
        return _without_zeros(ours.value) == _without_zeros(theirs.value)
    return same(ours.value, theirs.value)


def _without_zeros(value: Any) -> str:
    return re.sub(r"\.?0*([sZ])$", r"\1", value[1]) if "." in value[1] else value[1]
