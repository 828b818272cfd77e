"""What the audit of the lock files counts as affected, and as allowed."""

from typing import Any

import pytest
from audit import allowed, locked_distributions, python_affected, rust_affected, satisfies, unverified_crates


@pytest.mark.parametrize(
    ("version", "requirement", "expected"),
    [
        ("1.2.3", ">= 1.2.3", True),
        ("1.2.2", ">= 1.2.3", False),
        ("0.23.12", ">= 0.23, < 0.23.13", True),
        ("0.23.13", ">= 0.23, < 0.23.13", False),
        ("1.9.0", "^1.2", True),
        ("2.0.0", "^1.2", False),
        ("0.3.1", "0.2.9", False),
        ("0.2.10", "0.2.9", True),
        ("0.0.4", "^0.0.3", False),
        ("1.2.9", "~1.2.3", True),
        ("1.3.0", "~1.2.3", False),
        ("1.2.3", "=1.2.3", True),
    ],
)
def test_cargo_requirements(version: str, requirement: str, expected: bool) -> None:
    assert satisfies(version, requirement) is expected


@pytest.mark.parametrize(("version", "expected"), [("0.22.0", False), ("0.23.14", True), ("0.23.18", False)])
def test_rust_advisory(version: str, expected: bool) -> None:
    advisory: dict[str, Any] = {"patched": [">= 0.23.18"], "unaffected": [">= 0.23, < 0.23.13", "< 0.23"]}
    assert rust_affected(advisory, version) is expected


@pytest.mark.parametrize(("version", "expected"), [("3.9.14", True), ("3.9.15", False), ("4.1", True)])
def test_python_advisory(version: str, expected: bool) -> None:
    assert python_affected({"ranges": [("0", "3.9.15"), ("4", None)]}, version) is expected


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("MIT OR Apache-2.0", True),
        ("MIT/Apache-2.0", True),
        ("(MIT OR Apache-2.0) AND Unicode-3.0", True),
        ("(MIT OR Apache-2.0) AND GPL-3.0-only", False),
        ("Apache-2.0 WITH LLVM-exception OR GPL-3.0-only", True),
        ("GPL-3.0-only", False),
        ("Apache-2.0 AND GPL-3.0-only", False),
        ("LGPL-2.1-or-later OR MIT", True),
        ("", False),
    ],
)
def test_licences(expression: str, expected: bool) -> None:
    assert allowed(expression) is expected


def test_the_lock_files_are_complete() -> None:
    assert list(unverified_crates()) == []
    assert ("granian", "2.8.7") in locked_distributions()
