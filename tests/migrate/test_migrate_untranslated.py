"""What an import says of models that clients of OpenAI's protocol could ask for, since the other gateway translates."""

from pathlib import Path

import pytest
from migrate_inputs import NOW

from edgeroute.config import load
from edgeroute.config.diagnostics import Source
from edgeroute.config.models import dialects_of_model
from edgeroute.migrate import import_litellm

MODELS = {
    "claude": "{model: anthropic/claude-sonnet-4-5, api_key: os.environ/A}",
    "gpt": "{model: openai/gpt-4o, api_key: os.environ/O}",
    "opus": "{model: anthropic/claude-opus-4-8, api_key: os.environ/A}",
}
REFUSED = "clients that speak OpenAI's protocol get 400 for models that only providers of Anthropic's protocol serve"


def report(models: list[tuple[str, str]], settings: str = "") -> list[tuple[int, str]]:
    """Lines and reasons of the findings on public models, each with a target by its name in MODELS."""
    lines = ["general_settings: {master_key: sk-x}", f"litellm_settings: {{{settings}}}", "model_list:"]
    lines += [f"  - {{model_name: {name}, litellm_params: {MODELS[target]}}}" for name, target in models]
    draft = import_litellm(Source("config.yaml", "\n".join(lines)), {}, NOW)
    assert all("https://api.anthropic.com/v1" in each.advice for each in draft.report.findings)
    return [(each.line, each.reason) for each in draft.report.findings]


@pytest.mark.parametrize(
    ("models", "settings", "expected"),
    [
        ([("g", "gpt")], "", []),
        ([("c", "claude")], "", [(4, REFUSED)]),
        ([("c", "claude"), ("o", "opus")], "fallbacks: [{c: [o]}]", [(4, REFUSED), (5, REFUSED)]),
        (
            [("c", "claude"), ("g", "gpt")],
            "fallbacks: [{c: [g]}]",
            [(4, 'clients that speak OpenAI\'s protocol get the fallback "g" instead of "c", without a word')],
        ),
        (
            [("c", "claude"), ("o", "opus"), ("openai/*", "gpt"), ("g", "gpt")],
            "fallbacks: [{c: [o]}, {o: [g]}]",
            [
                (4, 'clients that speak OpenAI\'s protocol get the fallback "g" instead of "c", without a word'),
                (5, 'clients that speak OpenAI\'s protocol get the fallback "g" instead of "o", without a word'),
            ],
        ),
        (
            [("g", "gpt"), ("c", "claude")],
            "fallbacks: [{g: [c]}]",
            [(2, 'clients that speak OpenAI\'s protocol never get to the fallback "c"'), (5, REFUSED)],
        ),
        (
            [("m", "claude"), ("m", "gpt")],
            "",
            [(4, 'clients that speak OpenAI\'s protocol get, of the targets of "m", only openai/gpt-4o')],
        ),
    ],
)
def test_what_clients_of_openai_get(models: list[tuple[str, str]], settings: str, expected: list[tuple[int, str]]):
    assert report(models, settings) == expected


def test_the_cure_of_the_guide_serves_both_protocols(tmp_path: Path):
    guide = (Path(__file__).parents[2] / "docs" / "migrate.md").read_text()
    cure = guide.partition("## Clients of OpenAI's protocol")[2].partition("```yaml\n")[2].partition("```")[0]
    file = tmp_path / "edgeroute.yaml"
    file.write_text(cure + f"virtual_keys: {{a: {{hash: 'sha256:{'5a' * 32}'}}}}\n")
    config = load(file, {"ANTHROPIC_API_KEY": "value"}).config
    assert dialects_of_model(config, "claude") == ("anthropic-messages", "openai-chat")
