"""Extra headers of another gateway: carried where our configuration takes them, and the rest is reported."""

import json
from pathlib import Path

import pytest
from migrate_inputs import NOW

from edgeroute.config import ConfigError, load
from edgeroute.config.diagnostics import Source
from edgeroute.migrate import Draft, import_bifrost, import_litellm, write

KEY = "sk-written"


def litellm(headers: dict[str, str], **settings: str) -> Draft:
    parameters = {"model": "openai/gpt-4o", "extra_headers": headers, **settings}
    return import_litellm(_source({"model_list": [{"model_name": "a", "litellm_params": parameters}]}), {}, NOW)


def bifrost(headers: dict[str, str], key: str | None) -> Draft:
    keys = [] if key is None else [{"value": key, "models": ["a"]}]
    network = {"base_url": "http://h", "extra_headers": headers}
    return import_bifrost(_source({"providers": {"vllm": {"keys": keys, "network_config": network}}}), {}, NOW)


def _source(content: object) -> Source:
    return Source("config", json.dumps(content))


def is_valid(draft: Draft, folder: Path) -> bool:
    path = folder / "edgeroute.yaml"
    path.write_text(write(draft, "config"))
    environ = dict.fromkeys(("AUTHORIZATION_1", "X_API_KEY_1", "COOKIE_1"), "two words")
    hashes = {"EDGEROUTE_KEY_HASH": "sha256:" + "1f" * 32}
    try:
        load(
            path, {"OPENAI_API_KEY": "sk-a", "OPENAI_API_KEY_1": "sk-a", "VLLM_API_KEY_1": "sk-a", **environ, **hashes}
        )
    except ConfigError:
        return False
    return True


@pytest.mark.parametrize(
    "name", ["x-note", "X-Note", "host", "Cookie", "te", "proxy-x", "x-edgeroute-y", "a b", "é", ""]
)
@pytest.mark.parametrize("value", ["v", "two words", " spaced ", "a\tb", "line\nbreak", "é", "", "$x"])
def test_what_is_carried_is_valid_and_the_rest_reported(name: str, value: str, tmp_path: Path) -> None:
    draft = litellm({name: value}, api_key=KEY)
    [provider] = draft.providers.values()
    assert is_valid(draft, tmp_path)
    expected = name.lower() in ("x-note", "cookie") and value in ("v", "two words", "$x")
    assert bool(provider.headers) is expected
    assert expected or any("extra_headers" in each.setting for each in draft.report.findings)


@pytest.mark.parametrize("name", ["Authorization", "x-api-key"])
def test_a_header_that_is_the_credential(name: str, tmp_path: Path) -> None:
    def check(draft: Draft, keys: int, expected: bool) -> None:
        [provider] = draft.providers.values()
        variable = name.upper().replace("-", "_")
        assert provider.headers == (((name.lower(), f"${{{variable}_1}}"),) if expected else ())
        assert len(provider.api_keys) == keys
        assert ("has an api_key" in draft.report.text()) is not expected
        assert KEY not in draft.report.text()
        assert is_valid(draft, tmp_path)

    headers = {name: f"Bearer {KEY}"}
    check(litellm(headers), 0, expected=True)
    check(litellm(headers, api_base="http://h/v1"), 0, expected=True)
    check(litellm(headers, api_key="dummy"), 0, expected=True)
    check(litellm(headers, api_key=KEY), 1, expected=False)
    check(litellm(headers, api_key="os.environ/OPENAI_API_KEY"), 1, expected=False)
    check(bifrost(headers, None), 0, expected=True)
    check(bifrost(headers, "dummy"), 0, expected=True)
    check(bifrost(headers, KEY), 1, expected=False)
