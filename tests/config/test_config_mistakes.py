"""Mistakes that people make, and what they are told: golden files, and never a secret in one."""

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from mistakes import DOUBTS, MISTAKES, SECTIONS, WHOLE

from edgeroute.config import ConfigError, load

_TLS = Path(__file__).parent / "tls"
_SECRETS = {
    "OPENAI_API_KEY": "sk-openai-do-not-print",
    "ANTHROPIC_API_KEY": "sk-anthropic-do-not-print",
    "SECRET": "swordfish-do-not-print",
    "TWO_LINES": "first-do-not-print\nsecond-do-not-print",
    "EMPTY": "",
    "HOME": "/home/somebody",
    "PEM": "-----BEGIN CERTIFICATE-----\ndo-not-print",
}
_LITERALS = ("do-not-print", "sk-very-secret-1234", "hunter2", "sk-plain-text-key")


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Path]:
    """Writes the configuration, in the current folder and beside the files it may name."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(_TLS, "tls")
    for name, mode in (("localhost.key", 0o600), ("other.key", 0o640), ("open.key", 0o644)):
        path = Path("tls", name)
        path.write_bytes((_TLS / name.replace("open", "localhost")).read_bytes())
        path.chmod(mode)
    shutil.copytree(_TLS.parent / "rules", "rules")
    Path("tls/damaged.key").write_text("-----BEGIN PRIVATE KEY-----\nMIGdo-not-print\n-----END PRIVATE KEY-----\n")

    def write(text: str) -> Path:
        path = Path("edgeroute.yaml")
        path.write_text(text, encoding="utf-8")
        return path

    return write


def complete(text: str) -> str:
    """The text, followed by the sections it needs and does not have."""
    text = text.strip("\n") + "\n"
    missing = (section for name, section in SECTIONS.items() if not re.search(f"(?m)^{name}:", text))
    return text + "".join(missing)


@pytest.mark.parametrize("name", [*WHOLE, *MISTAKES])
def test_mistake(name: str, write: Callable[[str], Path], golden: Callable[[str, str], None]) -> None:
    path = write(WHOLE[name].lstrip("\n") if name in WHOLE else complete(MISTAKES[name]))
    with pytest.raises(ConfigError) as caught:
        load(path, _SECRETS)
    for each in caught.value.diagnostics:
        assert each.line > 0, "it says where"
        cure = each.advice or "must be" in each.message or each.message.startswith("condition: ")
        assert cure, f"it says what to do: {each.message}"
    text = str(caught.value)
    assert not [secret for secret in _LITERALS if secret in text]
    golden(name, text)


@pytest.mark.parametrize("name", DOUBTS)
def test_doubt(name: str, write: Callable[[str], Path], golden: Callable[[str, str], None]) -> None:
    text = "\n\n".join(str(each) for each in load(write(complete(DOUBTS[name])), _SECRETS).warnings)
    assert not [secret for secret in _LITERALS if secret in text]
    golden(name, text)


def test_every_golden_file_has_its_mistake() -> None:
    files = (Path(__file__).parents[1] / "golden" / "config").iterdir()
    assert {file.stem for file in files} == {*WHOLE, *MISTAKES, *DOUBTS}
