"""`edgeroute models`: who serves what."""

import json
from pathlib import Path

import pytest
from command_line import QUICKSTART, edgeroute

from edgeroute.cli.models import public_models, render
from edgeroute.cli.output import Screen
from edgeroute.config import load

CONFIGURATION = """
providers:
  openai: {api_key: sk-canary-one}
  anthropic: {api_key: sk-canary-two}
models:
  fast: {targets: {openai/gpt-5-mini: 80, anthropic/claude-haiku-4-5: 20}}
  smart: {targets: [anthropic/claude-opus-4-8], fallbacks: [deep]}
  deep: {targets: [anthropic/claude-sonnet-4-5], fallbacks: [cheap]}
  cheap: openai/gpt-5-nano
  nick: name
  name: fast
  best: gpt/5.5
  gpt/*: openai/*
virtual_keys:
  me: {hash: "sha256:2904cb91b4d3e13d761f8ea8a47d42158ae6729fe2c90764d9b3b0294140812e"}
"""
BOTH = ["anthropic-messages", "openai-chat"]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (found := tmp_path / "edgeroute.yaml").write_text(CONFIGURATION)
    return found


def test_models_in_json(file: Path):
    code, out, error = edgeroute("models", "-c", file, "--json")
    assert (code, error) == (0, "")
    assert "canary" not in out
    found = {each.pop("model"): each for each in json.loads(out)}
    assert list(found) == ["fast", "smart", "deep", "cheap", "gpt/*"]
    assert found["fast"] == {
        "dialects": BOTH,
        "strategy": "weighted",
        "targets": [
            {"target": "openai/gpt-5-mini", "weight": 80},
            {"target": "anthropic/claude-haiku-4-5", "weight": 20},
        ],
        "fallbacks": [],
        "aliases": ["nick", "name"],
    }
    assert found["gpt/*"] == {
        "dialects": ["openai-chat"],
        "strategy": "ordered",
        "targets": [{"target": "openai/*", "weight": None}],
        "fallbacks": [],
        "aliases": ["best"],
    }


def test_a_model_can_be_asked_in_the_dialects_of_its_fallbacks(file: Path):
    found = {each.model: each.dialects for each in public_models(load(file, {}).config)}
    assert found == {"fast": BOTH, "smart": BOTH, "deep": BOTH, "cheap": ["openai-chat"], "gpt/*": ["openai-chat"]}


def test_models_as_a_table(file: Path):
    code, out, _ = edgeroute("models", "-c", file)
    assert code == 0
    assert "\x1b" not in out
    assert out.splitlines()[:3] == [
        "model   dialects             strategy   targets                           fallbacks   aliases",
        "fast    anthropic-messages   weighted   openai/gpt-5-mini (80)                        nick",
        "        openai-chat                     anthropic/claude-haiku-4-5 (20)               name",
    ]


def test_nothing_is_cut_on_a_narrow_screen(file: Path):
    models = public_models(load(file, {}).config)
    shown = render(models, Screen(50, colour=False))
    assert max(map(len, shown.splitlines())) <= 50
    assert "…" not in shown
    wide = render(models, Screen(1000, colour=False))
    assert sorted(shown.replace("\n", "").replace(" ", "")) == sorted(wide.replace("\n", "").replace(" ", ""))


def test_the_quickstart():
    code, out, _ = edgeroute("models", "-c", QUICKSTART)
    assert code == 0
    assert "openai/*" in out
