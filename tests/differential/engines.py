"""Both engines behind one function each: expression and values in, outcome out."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from cel_expr_python import cel

from generator import VARIABLES

Values = Mapping[str, Any]
OPAQUE = ("opaque",)
"""A value that the wrapper of cel-cpp cannot hand to Python; it equals any value."""


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
        case bool() | int() | str():
            return (type(value).__name__, value)
        case float():
            return ("double", "nan" if math.isnan(value) else repr(value))
        case bytes() | bytearray():
            return ("bytes", bytes(value))
        case datetime() | timedelta():
            return (type(value).__name__, value)
        case list():
            return ("list", [canonical(element) for element in value])
        case dict():
            entries = [(canonical(key), canonical(entry)) for key, entry in value.items()]
            return ("map", sorted(entries, key=lambda entry: repr(entry[0])))
        case _:
            return OPAQUE


def same(ours: Any, theirs: Any) -> bool:
    """Whether two canonical values are equal."""
    if OPAQUE in (ours, theirs):
        return True
    if isinstance(ours, tuple | list) and isinstance(theirs, tuple | list):
        return len(ours) == len(theirs) and all(same(one, other) for one, other in zip(ours, theirs, strict=True))
    return ours == theirs


EXTENSIONS = "bindings encoders lists math optional regex sets strings two-var-comprehensions".split()


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
            return Outcome("value", canonical(result.plain_value()))
        except RuntimeError as error:
            return Outcome("error", message=str(error))
        except TypeError:
            return Outcome("value", OPAQUE)

    return evaluate


def _cel_type(text: str) -> Any:
    return cel.Type(text.replace("(", "<").replace(")", ">"))
