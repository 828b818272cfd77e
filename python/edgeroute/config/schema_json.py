"""The schema as JSON Schema, for editors and for people who generate configurations.

`python -m edgeroute.config.schema_json FILE` writes it. It describes the file, so times and sizes are
text with a unit, and any value may be a variable; what needs the whole file (names, circles) only the loader
checks.
"""

import sys
from pathlib import Path
from typing import Any, cast

import msgspec
import orjson

from edgeroute.config.actions import ACTIONS
from edgeroute.config.schema import (
    Config,
    Discovery,
    ModelCache,
    Pool,
    Provider,
    Replica,
    Rule,
    RuleCache,
    Section,
    Strategy,
)
from edgeroute.config.values import QUANTITY_PATTERNS, Json, Value, format_quantity

_VARIABLE = {"$ref": "#/$defs/Variable"}
# What the types cannot say: settings of which exactly one, or at most one, is given.
_CONSTRAINTS: dict[str, dict[str, Any]] = {
    Rule.__name__: {
        "oneOf": [
            {"anyOf": [{"required": [action]} for action in ACTIONS]},
            {"required": ["reject"]},
        ],
        "not": {"required": ["virtual_key", "team"]},
    },
    Provider.__name__: {"not": {"anyOf": [{"required": ["url", "urls"]}, {"required": ["api_key", "api_keys"]}]}},
    Discovery.__name__: {"oneOf": [{"required": [source]} for source in ("dns", "srv", "file")]},
    Pool.__name__: {"properties": {"targets": {"minItems": 1, "minProperties": 1}}},
}
# Sections for which a single value may be written.
_WITH_SHORTHAND: tuple[type[Section], ...] = (Replica, Strategy, ModelCache, RuleCache)


def json_schema() -> dict[str, Any]:
    """The JSON Schema (draft 2020-12) of the configuration file; always the same for the same version."""
    schema = msgspec.json.schema(Config, schema_hook=_text_schema)
    definitions = {name: _adapt(each) for name, each in schema["$defs"].items()}
    for name, constraint in _CONSTRAINTS.items():
        definitions[name] = {**definitions[name], "allOf": [constraint]}
    for section in _WITH_SHORTHAND:
        whole = definitions[section.__name__]
        short = whole["properties"][section.shorthand]
        definitions[section.__name__] = {"description": whole["description"], "anyOf": [short, whole]}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **definitions.pop(Config.__name__),
        "title": "edgeroute configuration",
        "required": ["providers", "models", "virtual_keys"],
        "$defs": {
            **definitions,
            "Variable": {
                "type": "string",
                "description": "${NAME} from the environment, ${file:/path} from a file.",
                "pattern": r"\$\{[^{}]+\}",
            },
        },
    }


def render_json_schema() -> str:
    """The text of the schema file."""
    return orjson.dumps(json_schema(), option=orjson.OPT_INDENT_2).decode() + "\n"


def _text_schema(kind: type) -> dict[str, Any]:
    if kind is Json:
        return {"type": ["string", "number", "boolean", "array", "object"]}
    return {"type": "string", "pattern": cast(type[Value], kind).pattern}


def _adapt(node: Any) -> Any:
    """A part of msgspec's schema, which describes values in memory, as they are written in the file."""
    if isinstance(node, list):
        return [_adapt(each) for each in cast(list[Any], node)]
    if not isinstance(node, dict):
        return node
    schema = {key: _adapt(value) for key, value in cast(dict[str, Any], node).items() if key != "default"}
    default: Any = cast(dict[str, Any], node).get("default")
    unit = schema.pop("unit", None)
    if unit is not None:
        least, most = schema.pop("minimum"), schema.pop("maximum")
        schema["description"] += f" From {format_quantity(least, unit)} to {format_quantity(most, unit)}."
        schema |= {"type": "string", "pattern": QUANTITY_PATTERNS[unit]}
        default = None if default is None else format_quantity(default, unit)
    if "anyOf" in schema:
        choices = [each for each in schema.pop("anyOf") if each != {"type": "null"}]
        schema |= {"anyOf": choices} if len(choices) > 1 else choices[0]
    elif _is_scalar(schema):
        outside = {key: schema.pop(key) for key in ("description",) if key in schema}
        schema = {**outside, "anyOf": [schema, _VARIABLE]}
    if default is not None and not isinstance(default, (dict, list)):
        schema["default"] = default
    return schema


def _is_scalar(schema: dict[str, Any]) -> bool:
    """Whether it describes a single value, which may be a variable."""
    of_type = schema.get("type") in ("integer", "number", "boolean")
    return of_type or "enum" in schema or ("pattern" in schema and "type" in schema)


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(render_json_schema(), encoding="utf-8")
