"""Fixtures for the tests of the configuration: a stand-in for the rule compiler, and golden files."""

import contextlib
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from edgeroute.config.rules import RuleProblem

_GOLDEN = Path(__file__).parents[1] / "golden" / "config"


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--update-golden`, unless the tests as a whole have it already."""
    with contextlib.suppress(ValueError):
        parser.addoption("--update-golden", action="store_true", help="write golden files instead of comparing")


def compile_stand_in(expressions: Sequence[str]) -> list[RuleProblem]:
    """Finds fault with every `WRONG` in a condition, in bytes, as the rule compiler would."""
    problems: list[RuleProblem] = []
    for index, expression in enumerate(expressions):
        start = expression.encode().find(b"WRONG")
        if start >= 0:
            problems.append(RuleProblem(index, start, start + 5, 'unknown name "WRONG"', 'did you mean "path"?'))
    return problems


@pytest.fixture(autouse=True)
def rule_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    """These tests are about configurations; the rule compiler has its own."""
    monkeypatch.setattr("edgeroute.config.rules.rule_diagnostics", compile_stand_in)


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Callable[[str, str], None]:
    """Compares a text with a golden file, or writes it when asked to."""
    update = bool(request.config.getoption("--update-golden", default=False))

    def compare(name: str, text: str) -> None:
        path = _GOLDEN / f"{name}.txt"
        if update:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text + "\n", encoding="utf-8")
        assert path.read_text(encoding="utf-8") == text + "\n"

    return compare
