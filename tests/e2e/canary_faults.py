"""Files with credentials in them that cannot be used as they are: our own configuration, and other gateways'."""

import json
from typing import Any

from canaries import canary, hash_of

FAULTY = canary("credential on a faulty line", "{}")
STRANGE = canary("credential in a strange place")
MISPLACED = canary("credential in a variable of the wrong place")

FAULTY_FILES = {
    "misspelt": f"providers:\n  one: {{dialect: openai-chat, api_kee: {FAULTY}}}\n",
    "misspelt-in-a-block": f"providers:\n  one:\n    apikye: {FAULTY}\n",
    "other-word": f"providers:\n  one: {{bearer: {FAULTY}, Authorization: Bearer {FAULTY}}}\n",
    "of-litellm": f"model_list:\n  - litellm_params: {{model: a, api_key: {FAULTY}}}\n"
    f"general_settings: {{master_key: {FAULTY}}}\n",
    "list": f"providers: {{one: {{dialect: openai-chat, api_key: [{FAULTY}]}}}}\n",
    "no-map": f"providers: {{one: {FAULTY}}}\nvirtual_keys: {{two: {FAULTY}}}\n",
    "key-as-a-name": f"virtual_keys: {{x: {{hash: {STRANGE}}}}}\n"
    f"models: {{a: {STRANGE}, b: {{targets: [{STRANGE}]}}}}\n",
    "in-a-url": f"providers: {{one: {{url: 'https://user:{FAULTY}@host/v1'}}, two: {{url: 'https://host/v1?key={FAULTY}'}}}}\n",
    "syntax-error": f"providers:\n  one: {{api_key: {FAULTY}, url: [}}\n",
    "unclosed-quote": f"providers:\n  one: {{api_key: '{FAULTY}}}\nlisten: x\n",
    "tab": f"providers:\n  one:\n\tapi_key: {FAULTY}\n",
    "anchor": f"providers: {{one: {{api_key: &key {FAULTY}}}, two: {{api_key: *key}}}}\n",
    "twice": f"providers: {{one: {{api_key: {FAULTY}, api_key: {FAULTY}}}}}\n",
    "admin-key-as-a-list": f"admin_key: [{FAULTY}]\n",
    "admin-key-with-a-word": f"admin_key: Bearer {FAULTY}\nlog: loud\n",
    "admin-key-misspelt": f"adminkey: {FAULTY}\nadmin_kye: {FAULTY}\nadmin: {{key: {FAULTY}}}\n",
    "several-keys": f"providers: {{one: {{api_keys: {FAULTY}}}, two: {{api_keys: [[{FAULTY}]]}},\n"
    f" three: {{api_keys: [{FAULTY}, {FAULTY}], api_key: {FAULTY}}}, four: {{api_keys: [a {FAULTY}]}}}}\n",
    "several-keys-in-a-block": f"providers:\n  one:\n    api_keys:\n      - {FAULTY}: {{}}\n      - [{FAULTY}\n",
    "extra-headers": f"providers: {{one: {{headers: {{x-a: [{FAULTY}], authorization: Bearer {FAULTY}}}}},\n"
    f" two: {{headers: [x-a: {FAULTY}]}}, three: {{headers: {FAULTY}}}, four: {{header: {{x-a: {FAULTY}}}}}}}\n",
    "proxies": f"providers: {{one: {{proxy: 'https://user:{FAULTY}@host'}}, two: {{proxy: 'http://user:a/{FAULTY}@host'}},\n"
    f" three: {{proxy: 'http://user:a@{FAULTY}@host:99999'}}, four: {{proxies: 'http://user:{FAULTY}@host'}}}}\n",
    "content-for-a-path": "providers: {one: {ca_file: \"-----BEGIN PRIVATE KEY-----\\n" + STRANGE + "\"}}\n"
    "tls: {certificate: a.pem, key: \"-----BEGIN PRIVATE KEY-----\\n" + FAULTY + "\"}\n",
    "in-a-rule": f"rules:\n  - {{name: x, when: 'headers[\"authorization\"] == \"{STRANGE}\" +', reject: no}}\n",
    "variables": "listen: '${CANARY_MISPLACED}'\nworkers: '${CANARY_MISPLACED}'\nlog: '${CANARY_MISPLACED}'\n"
    "providers: {one: {dialect: '${CANARY_MISPLACED}', url: '${CANARY_MISPLACED}'}}\n"
    "models: {a: '${CANARY_MISPLACED}', b: {targets: {'${CANARY_MISPLACED}': 1}, fallbacks: ['${CANARY_MISPLACED}']}}\n"
    "virtual_keys: {x: {hash: '${CANARY_MISPLACED}', team: '${CANARY_MISPLACED}'}}\n"
    "max_body: '${file:provider-key}'\n",
}  # fmt: skip
"""Configurations of ours."""

PROVIDER_KEY = canary("provider key of another gateway")
VIRTUAL_KEY = canary("virtual key of another gateway")
PASSWORD = canary("password of another gateway", "{}")

LITELLM = f"""
model_list:
  - model_name: fast
    litellm_params: {{model: openai/gpt-5-mini, api_key: {PROVIDER_KEY}, organization: ours}}
  - model_name: azure
    litellm_params:
      model: azure/deployment
      api_base: https://user:{PASSWORD}@host/x?key={PASSWORD}
      api_key: {PROVIDER_KEY}
      extra_headers: {{authorization: Bearer {PROVIDER_KEY}}}
  - model_name: cloud
    litellm_params: {{model: bedrock/x, aws_secret_access_key: {PROVIDER_KEY}, aws_access_key_id: {STRANGE}}}
credential_list:
  - credential_name: ours
    credential_values: {{api_key: {PROVIDER_KEY}}}
general_settings: {{master_key: {VIRTUAL_KEY}, database_url: "postgresql://user:{PASSWORD}@db/x"}}
litellm_settings: {{cache_params: {{password: {PASSWORD}, url: "redis://user:{PASSWORD}@cache"}}}}
router_settings: {{redis_password: {PASSWORD}, redis_url: "redis://user:{PASSWORD}@cache"}}
environment_variables: {{OPENAI_API_KEY: {PROVIDER_KEY}, LANGFUSE_SECRET_KEY: {PROVIDER_KEY}}}
"""
LITELLM_KEYS = f"""token,key_alias,team_id,models,rpm_limit,blocked,metadata
{hash_of("sk-known")},hashed,team,{{}},60,f,"{{""secret"": ""{PASSWORD}""}}"
{VIRTUAL_KEY},plain,,{{}},,f,
{VIRTUAL_KEY},{STRANGE},{STRANGE},{{}},{STRANGE},{STRANGE},
"""
LITELLM_TEAMS = json.dumps(
    [{"team_id": "team", "team_alias": "Team", "models": ["fast"], "metadata": {"callback": {"key": PASSWORD}}}]
)
_ALL_OF_OPENAI = [{"provider": "openai", "allowed_models": ["*"], "key_ids": ["*"], "weight": 1}]
_CUSTOM: dict[str, Any] = {
    "base_url": f"https://user:{PASSWORD}@host/v1?key={PASSWORD}",
    "extra_headers": {"authorization": f"Bearer {PROVIDER_KEY}"},
    "proxy_config": {"type": "http", "url": "http://proxy:1", "username": "user", "password": PASSWORD},
}
BIFROST = json.dumps(
    {
        "encryption_key": PASSWORD,
        "config_store": {"enabled": True, "type": "postgres", "config": {"host": "db", "password": PASSWORD}},
        "providers": {
            "openai": {"keys": [{"name": "a", "value": PROVIDER_KEY, "models": ["*"], "weight": 1}]},
            "anthropic": {"keys": [{"name": "b", "value": "env.CANARY_ENVIRONMENT", "models": ["*"], "weight": 1}]},
            "mistral": {"keys": [{"name": "c", "value": PROVIDER_KEY}, {"value": STRANGE}], "network_config": _CUSTOM},
            "azure": {"keys": [{"value": PROVIDER_KEY, "azure_key_config": {"client_secret": PASSWORD}}]},
        },
        "governance": {
            "virtual_keys": [
                {"id": "vk", "name": "mine", "value": VIRTUAL_KEY, "provider_configs": _ALL_OF_OPENAI},
                {"id": "other", "name": "other", "value": "env.CANARY_VIRTUAL", "provider_configs": _ALL_OF_OPENAI},
                {"id": STRANGE, "name": STRANGE, "value": [VIRTUAL_KEY], "team_id": STRANGE},
            ],
            "auth_config": {"admin_username": "admin", "admin_password": PASSWORD},
        },
    },
    indent=1,
)  # fmt: skip
FOREIGN_FAULTS = {
    "cut": BIFROST[:400],
    "list": json.dumps([PROVIDER_KEY]),
    "text": PROVIDER_KEY,
    "wrong-kinds": f"model_list: {{a: {FAULTY}}}\ngeneral_settings: [{FAULTY}]\nproviders: [{FAULTY}]\n",
    "no-list": f"model_list:\n  - {FAULTY}\n  - litellm_params: {FAULTY}\nproviders: {{openai: {FAULTY}}}\n",
    "syntax-error": f"model_list:\n  - litellm_params: {{api_key: {FAULTY}, model: [}}\n",
    "tab": f"providers:\n  openai:\n\tvalue: {FAULTY}\n",
    "anchors": f"model_list:\n  - &a {{litellm_params: {{model: x, api_key: {FAULTY}}}}}\n  - *b\n",
}
"""Given to both importers."""
