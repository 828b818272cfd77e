"""The address of LiteLLM's Redis, from its parts."""

import pytest
from migrate_inputs import NOW

from edgeroute.config.diagnostics import Source
from edgeroute.migrate import import_litellm

_UNKNOWN = "whether it uses TLS is known to the environment alone; here it does not"
_SECRET = "password: os.environ/SECRET"


@pytest.mark.parametrize(
    ("parts", "url", "reasons"),
    [
        ("", "redis://cache:6379", []),
        ("port: 6380, db: 0", "redis://cache:6380/0", []),
        ("ssl: true, db: os.environ/DB", "rediss://cache:6379/${DB}", []),
        ('ssl: "false"', "redis://cache:6379", []),
        ("ssl: os.environ/TLS", "redis://cache:6379", [_UNKNOWN]),
        (_SECRET, "redis://:${SECRET}@cache:6379", ["it becomes part of a URL"]),
        (f"username: me, {_SECRET}", "redis://me:${SECRET}@cache:6379", ["it becomes part of a URL"]),
        (f'username: "a:b$", {_SECRET}', "redis://a%3Ab%24:${SECRET}@cache:6379", ["it becomes part of a URL"]),
        (f"username: os.environ/ME, {_SECRET}", "redis://${ME}:${SECRET}@cache:6379", ["it becomes part of a URL"]),
        ("username: me", "redis://cache:6379", ["there is no password"]),
        ("db: first", None, ["this is no db of Redis"]),
    ],
)
def test_parts_of_the_address(parts: str, url: str | None, reasons: list[str]) -> None:
    text = f"""
general_settings: {{master_key: sk-x}}
litellm_settings:
  cache: true
  cache_params: {{type: redis, host: cache, {parts}}}
model_list: [{{model_name: g, litellm_params: {{model: openai/gpt-4o, api_key: os.environ/O}}}}]
"""
    draft = import_litellm(Source("config.yaml", text), {}, NOW)
    assert draft.redis == url
    of_redis = [each.reason for each in draft.report.findings if "cache_params" in each.setting]
    assert of_redis == reasons
