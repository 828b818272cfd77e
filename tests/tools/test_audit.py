"""What the audit of the lock files counts as affected, and as allowed."""

import json
from pathlib import Path
from typing import Any

import audit
import pytest
from audit import (
    Packages,
    allowed,
    locked_distributions,
    matches,
    python_affected,
    rust_affected,
    satisfies,
    unverified_crates,
)


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


@pytest.mark.parametrize(("version", "expected"), [("3.9.14", True), ("3.9.15", False), ("3.10", True), ("4.1", True)])
def test_python_advisory(version: str, expected: bool) -> None:
    assert python_affected({"ranges": [("0", "3.9.15"), ("4", None)], "versions": ["3.10.0"]}, version) is expected


def test_a_package_that_no_database_was_asked_about_is_a_finding() -> None:
    advisory: dict[str, Any] = {"id": "PYSEC-2026-1", "title": "bad", "ranges": [("0", "2")], "versions": []}
    known: Packages = {"asked": [], "bad": [advisory]}
    locked = [("asked", "1.0"), ("bad", "1.0"), ("bad", "2.0"), ("new", "3.0")]
    assert list(matches(known, locked, python_affected)) == [
        "bad 1.0 is in PYSEC-2026-1: bad",
        "new 3.0 is not in advisories.json: run tools/audit.py --update (see its --help)",
    ]


def test_an_update_asks_about_every_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Advisories that name versions instead of ranges count too."""
    crates, vulnerabilities = tmp_path / "rustsec" / "crates", tmp_path / "pypa" / "vulns"
    (crates / "hyper").mkdir(parents=True)
    (crates / "hyper" / "RUSTSEC-2026-0001.md").write_text(
        '```toml\n[advisory]\nid = "RUSTSEC-2026-0001"\n[versions]\npatched = [">= 2"]\n```\n# A bad thing\n'
    )
    (vulnerabilities / "listed").mkdir(parents=True)
    (vulnerabilities / "listed" / "PYSEC-2026-2.yaml").write_text(
        "id: PYSEC-2026-2\ndetails: A bad thing\naffected:\n"
        '- {package: {name: listed}, versions: ["1.0", "0.1dev-r7", "1.1"]}\n'
        '- {package: {name: listed}, versions: ["2.0"], ranges: [{type: ECOSYSTEM, events: [{introduced: "1.1"}, '
        '{fixed: "1.2"}]}]}\n'
    )
    monkeypatch.setattr(audit, "ADVISORIES", tmp_path / "advisories.json")

    def date(_: Path) -> str:
        return "2026-08-21"

    monkeypatch.setattr(audit, "_date", date)
    audit.update(tmp_path / "rustsec", tmp_path / "pypa", {"hyper", "mio"}, {"listed", "clean"})
    known = json.loads((tmp_path / "advisories.json").read_text())
    assert known["rust"]["mio"] == known["python"]["clean"] == []
    assert list(matches(known["rust"], [("hyper", "1.0.0")], rust_affected)) == [
        "hyper 1.0.0 is in RUSTSEC-2026-0001: A bad thing"
    ]
    (advisory,) = known["python"]["listed"]
    affected = [version for version in ("0.9", "1.0", "1.1.5", "1.2", "2.0") if python_affected(advisory, version)]
    assert affected == ["1.0", "1.1.5", "2.0"]


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
