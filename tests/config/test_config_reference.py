"""The reference of the configuration: up to date, whole, and with examples that load."""

import shutil
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml

from edgeroute.config import load, schema
from edgeroute.config.reference import examples, render_reference
from edgeroute.config.schema import Section
from edgeroute.supervisor.generations import AT_RESTART

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "configuration.md"
TLS = Path(__file__).parent / "tls"
ENVIRON = {"OPENAI_API_KEY": "a", "ANTHROPIC_API_KEY": "b", "EDGEROUTE_ADMIN_KEY": "c"}
MODELS = ("fast", "smart", "long")


def test_the_written_page_is_up_to_date() -> None:
    """Mend with: make reference."""
    assert PAGE.read_text(encoding="utf-8") == render_reference(AT_RESTART)


def test_every_setting_has_its_row_and_every_link_its_section() -> None:
    page = render_reference(AT_RESTART)
    sections = [each for each in vars(schema).values() if isinstance(each, type) and issubclass(each, Section)]
    for section in sections:
        for name in section.__struct_fields__:
            assert f"| `{name}` |" in page, f"{section.__name__}.{name}"
    for title in examples():
        assert page.count(f"\n## {title}\n") == 1


@pytest.mark.parametrize("title", examples())
def test_every_example_loads(title: str, tmp_path: Path) -> None:
    shutil.copy(TLS / "localhost.crt", tmp_path / "tls.crt")
    shutil.copy(TLS / "localhost.key", tmp_path / "tls.key")
    shutil.copy(TLS / "localhost.crt", tmp_path / "ca.pem")
    example = yaml.safe_load(examples()[title].replace("/run/secrets/openai", "ca-name"))
    (tmp_path / "ca-name").write_text("sk-of-a-file")
    provider = {"dialect": "openai-chat", "url": "http://localhost:1/v1"}
    base: dict[str, Any] = {
        "providers": dict.fromkeys(("openai", "anthropic", "vllm"), provider),
        "models": dict.fromkeys(MODELS, "openai/any"),
        "teams": {"search": {}},
        "virtual_keys": {"search-prod": {"hash": f"sha256:{'0' * 63}1", "team": "search"}},
    }
    for section, values in example.items():
        base[section] = {**base.get(section, {}), **values} if isinstance(values, dict) else values
    path = tmp_path / "edgeroute.yaml"
    path.write_bytes(msgspec.json.encode(base))  # JSON is YAML
    load(path, ENVIRON)
