"""What the README tells a newcomer to paste works, word for word but for the port."""

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from e2e_router import Config, Router
from waiting import PATIENCE

ROOT = Path(__file__).parents[2]
BLOCKS = re.findall(r"```(\w+)\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
COMMANDS = [text for language, text in BLOCKS if language == "sh" and text.startswith("curl")]
SNIPPETS = [text for language, text in BLOCKS if language == "python"]


@pytest.fixture(scope="module")
def quickstart(start: Callable[[Config], Router]) -> Router:
    text = (ROOT / "config" / "quickstart.yaml").read_text()
    return start({**yaml.safe_load(text.replace("127.0.0.1:4010", "MOCK")), "mock": {}, "workers": 1})


def paste(command: list[str], router: Router) -> str:
    local = [part.replace("127.0.0.1:4000", f"127.0.0.1:{router.port}") for part in command]
    return subprocess.run(local, capture_output=True, text=True, timeout=PATIENCE, check=True).stdout


def test_the_readme_has_what_is_tested_here() -> None:
    assert (len(COMMANDS), len(SNIPPETS)) == (1, 2)


def test_the_command(quickstart: Router) -> None:
    answer = paste(["sh", "-c", COMMANDS[0]], quickstart)
    for header in ("x-edgeroute-model: smart", "x-edgeroute-rule: premium", "x-edgeroute-target: mock-openai/gpt-5.5"):
        assert header in answer


@pytest.mark.parametrize("snippet", SNIPPETS, ids=["openai", "anthropic"])
def test_the_snippets(quickstart: Router, snippet: str) -> None:
    assert paste([sys.executable, "-c", snippet], quickstart).startswith("mock reply from ")
