"""Imported configurations run: each model that clients may ask for answers, and clients keep their keys."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from e2e_router import KEY, Config, Router, hashed
from migrate_inputs import FOLDER, environment, imported

from edgeroute.migrate import write
from edgeroute.providers import CATALOGUE

MOCK_URLS = {"openai-chat": "http://MOCK/v1", "anthropic-messages": "http://MOCK"}


def at_the_mock(path: Path) -> Config:
    """What an import wrote, with every provider at the mock, and a key that may ask for everything."""
    text = write(imported(path), path.name)
    for name, value in environment(text).items():
        text = text.replace(f"${{{name}}}", value)
    config: dict[str, Any] = yaml.safe_load(text)
    for name, provider in config["providers"].items():
        dialect = provider.get("dialect") or CATALOGUE[name].dialect
        config["providers"][name] = {"dialect": dialect, "url": MOCK_URLS[dialect]}
    config["virtual_keys"]["tester"] = {"hash": hashed(KEY)}
    return config | {"workers": 1, "mock": {"first_token": "0ms", "token_interval": "0ms"}, "rules": []}


def dialect_of(config: Config, name: str) -> str:
    """The dialect of the first target that serves a model."""
    value: Any = config["models"][name]
    first: Any = value if isinstance(value, str) else next(iter(value["targets"]))
    target: str = first if isinstance(first, str) else first["target"]
    provider = target.partition("/")[0]
    if provider in config["providers"] and "/" in target:
        return config["providers"][provider]["dialect"]
    return dialect_of(config, target)


@pytest.mark.parametrize(
    "name",
    [
        "litellm/two_keys.yaml", "litellm/wildcards.yaml", "litellm/reliability.yaml", "litellm/pass_through.yaml",
        "bifrost/minimal.json", "bifrost/governance.json", "bifrost/routing_rules.json", "bifrost/version_one.json",
    ],
)  # fmt: skip
def test_every_model_answers(name: str, start: Callable[[Config], Router]):
    config = at_the_mock(FOLDER / name)
    router = start(config)
    for model in config["models"]:
        asked = model.replace("*", "some-model")
        ask = router.chat if dialect_of(config, model) == "openai-chat" else router.messages
        answer = ask(asked)
        assert answer.status == 200, (model, answer.body)
        value = config["models"][model]
        alias = value if isinstance(value, str) and value in config["models"] and "/" not in value else model
        assert answer.headers["x-edgeroute-model"] == alias


def test_clients_of_litellm_keep_their_keys(start: Callable[[Config], Router]):
    router = start(at_the_mock(FOLDER / "litellm" / "with_keys.yaml"))
    found = {
        (key, model): router.chat(model, key=key).status
        for key in ("sk-master", "sk-one", "sk-two", "sk-three", "sk-five", "sk-seven", "sk-nine", "sk-ten")
        for model in ("fast", "openai/gpt-5.5")
    }
    assert {key: (found[key, "fast"], found[key, "openai/gpt-5.5"]) for key, _ in found} == {
        "sk-master": (200, 200),
        "sk-one": (200, 403),  # its team may use fast and smart
        "sk-two": (200, 403),  # it may use fast alone
        "sk-three": (200, 200),
        "sk-five": (401, 401),  # blocked
        "sk-seven": (401, 401),  # its models are gone
        "sk-nine": (200, 403),  # its own models, as far as its team may use them
        "sk-ten": (401, 401),  # the models of its team are gone
    }


def test_rules_of_bifrost_decide(start: Callable[[Config], Router]):
    path = FOLDER / "bifrost" / "routing_rules.json"
    rules = yaml.safe_load(write(imported(path), path.name))["rules"]
    router = start(at_the_mock(path) | {"rules": rules})
    premium = router.chat("openai/anything", headers={"x-tier": "premium"})
    assert premium.chosen()[0] == "rule-premium-tier-route"
    split = router.chat("openai/gpt-4o", key="sk-bf-prod")
    assert split.chosen()[::2] == ("rule-gpt-70-30", "gpt-70-30")
    own = router.messages("claude-haiku-4-5", key="sk-bf-other")
    assert own.chosen()[::2] == ("rule-key", "key")
    assert json.loads(own.body)["type"] == "message"
