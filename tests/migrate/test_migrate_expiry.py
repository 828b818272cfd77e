"""Keys that expire: edgeroute does not end them, so one that is over must not come back to life."""

import json
from collections.abc import Callable

import pytest
from migrate_inputs import NOW

from edgeroute.config.diagnostics import Source
from edgeroute.migrate import Draft, Exports, import_bifrost, import_litellm

TOKEN = "1f" * 32


def litellm_csv(expiry: str) -> Draft:
    return _litellm(f"token,key_alias,expires\n{TOKEN},a,{expiry}\n")


def litellm_json(expiry: str) -> Draft:
    return _litellm(json.dumps([{"token": TOKEN, "key_alias": "a", "expires": expiry or None}]))


def _litellm(keys: str) -> Draft:
    source = Source("config.yaml", "model_list: [{model_name: a, litellm_params: {model: openai/gpt-4o}}]\n")
    return import_litellm(source, {}, NOW, Exports(keys=Source("keys", keys)))


def bifrost(expiry: str) -> Draft:
    key = {"name": "a", "value": "sk-a", "expires_at": expiry or None, "provider_configs": [{"provider": "openai"}]}
    content = {
        "version": 1,
        "providers": {"openai": {"keys": [{"value": "env.OPENAI_API_KEY", "models": ["*"]}]}},
        "governance": {"virtual_keys": [key]},
    }
    return import_bifrost(Source("config.json", json.dumps(content)), {}, NOW)


@pytest.mark.parametrize("importer", [litellm_csv, litellm_json, bifrost], ids=lambda each: each.__name__)
@pytest.mark.parametrize(
    ("expiry", "carried", "told"),
    [
        ("", True, None),
        ("2030-01-01 00:00:00", True, "changed: virtual keys do not expire here; this one would on 2030-01-01"),
        ("2026-09-01T12:00:00.001Z", True, "this one would on 2026-09-01"),
        ("2026-09-01 13:00:00+00", True, "this one would on 2026-09-01"),
        ("2026-09-01 12:00:00", False, "left out: the key has expired"),
        ("2026-09-01T13:00:00+02:00", False, "left out: the key has expired"),
        ("2020-05-17 08:00:00.123", False, "left out: the key has expired"),
        ("2020-05-17", False, "left out: the key has expired"),
        ("infinity", False, "left out: the key expires at a time that cannot be read"),
        ("1999999999", False, "left out: the key expires at a time that cannot be read"),
    ],
)
def test_keys_that_expire(importer: Callable[[str], Draft], expiry: str, carried: bool, told: str | None) -> None:
    draft = importer(expiry)
    assert ("a" in draft.virtual_keys) is carried
    assert told in draft.report.text() if told else "expire" not in draft.report.text()
