"""The JSON Schema that editors use: kept up to date, and of one mind with the loader."""

from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml12

from edgeroute.config.schema_json import json_schema, render_json_schema

CONFIG = Path(__file__).parents[2] / "config"


def test_the_written_schema_is_up_to_date() -> None:
    """Mend with: python -m edgeroute.config.schema_json config/edgeroute.schema.json."""
    assert (CONFIG / "edgeroute.schema.json").read_text(encoding="utf-8") == render_json_schema()


def test_it_is_a_schema_and_accepts_the_files_we_ship() -> None:
    schema = json_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    for name in ("quickstart.yaml", "example.yaml"):
        jsonschema.validate(yaml12.load_file(CONFIG / name), schema)


def test_every_setting_is_described() -> None:
    schema = json_schema()
    for name, section in {"Config": schema, **schema["$defs"]}.items():
        assert section["description"], name
        for setting, described in section.get("properties", {}).items():
            assert described.get("description"), f"{name}.{setting}"


@pytest.mark.parametrize(
    "change",
    [
        {"wrkers": 1},
        {"workers": 65},
        {"workers": "many"},
        {"drain": 30},
        {"max_body": "8M"},
        {"interface": "wsgi"},
        {"listen": "4000"},
        {"providers": {"a": {"url": "http://h", "urls": ["http://h"]}}},
        {"providers": {"a": {"urls": [{"weight": 2}]}}},
        {"providers": {"a": {"urls": [{"url": "http://h", "weight": 0}]}}},
        {"providers": {"a": {"discover": {"every": "1s"}}}},
        {"providers": {"a": {"discover": {"dns": "http://h", "file": "f"}}}},
        {"providers": {"a": {"engine": "tgi"}}},
        {"models": {"fast": {"targets": []}}},
        {"models": {"fast": {"targets": ["a/b"], "strategy": "least-busy"}}},
        {"models": {"fast": {"targets": ["a/b"], "strategy": {"key": ["session"]}}}},
        {"models": {"fast": {"targets": ["a/b"], "strategy": {"name": "session", "key": ["cookie"]}}}},
        {"models": {"fast": {"targets": [{"target": "a/b", "price": {"input": 1}}]}}},
        {"models": {"fast": {"targets": [{"target": "a/b", "price": {"input": -1, "output": 1}}]}}},
        {"models": {"fast": {"fallbacks": ["slow"]}}},
        {"models": {"fast": {"targets": ["a/b"], "cache": "off"}}},
        {"models": {"fast": {"targets": ["a/b"], "cache": {"ttl": "1h"}}}},
        {"models": {"fast": {"targets": ["a/b"], "cache": {"mode": "semantic", "threshold": 95}}}},
        {"cache": {"size": "1TB"}},
        {"cache": {"redis": "http://h"}},
        {"rules": [{"name": "a", "when": "true", "cache": "on"}]},
        {"rules": [{"name": "a", "when": "true"}]},
        {"rules": [{"name": "a", "when": "true", "model": "fast", "reject": "no"}]},
        {"rules": [{"name": "a", "when": "true", "sticky": "user"}]},
        {"rules": [{"name": "a", "when": "true", "tag": "t", "team": "a", "virtual_key": "b"}]},
        {"rules": [{"name": "a", "when": "true", "set": {"body": {"temperature": None}}}]},
        {"virtual_keys": {"a": {"hash": "sk-plain"}}},
    ],
)
def test_it_refuses_what_the_loader_refuses(change: dict[str, Any]) -> None:
    example = yaml12.load_file(CONFIG / "example.yaml")
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**example, **change}, json_schema())


@pytest.mark.parametrize("change", [{"workers": "${WORKERS}"}, {"drain": "${DRAIN}"}, {"log": "${LOG}"}])
def test_any_value_may_be_a_variable(change: dict[str, Any]) -> None:
    example = yaml12.load_file(CONFIG / "example.yaml")
    jsonschema.validate({**example, **change}, json_schema())
