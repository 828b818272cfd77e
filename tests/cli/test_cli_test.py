"""`edgeroute test`: the table, the exit status, JSON and JUnit XML."""

import json
from pathlib import Path
from xml.etree import ElementTree

import pytest
from command_line import QUICKSTART, edgeroute

TESTS = f"""\
configuration: {QUICKSTART}
key: demo
cases:
  - name: premium clients
    request: {{model: fast, headers: {{x-tier: premium}}}}
    expect: {{rules: premium, model: smart}}
  - name: "gold & \\x07 <clients>"
    request: {{model: fast, headers: {{x-tier: gold}}}}
    expect: {{rules: premium, model: smart}}
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (file := tmp_path / "policy.test.yaml").write_text(TESTS)
    return file


def test_the_table(file: Path):
    assert edgeroute("test", file) == (
        1,
        f"""\
{file}
case                 result
premium clients      passed
gold & \ufffd <clients>   failed

{file}:7: gold & \ufffd <clients>
field   expected   found
rules   premium    none
model   smart      fast
  match: rule `premium` does not match: false
  match: rule `near-limit` does not match: false
  match: none of 2 rules matches

1 passed, 1 failed
""",
        "",
    )


def test_all_passed(file: Path):
    file.write_text(TESTS.replace("{rules: premium, model: smart}", "{}"))
    code, out, error = edgeroute("test", file, file)
    assert (code, error) == (0, "")
    assert out.endswith("\n2 passed, 0 failed\n"), "a file that is named twice is run once"


def test_json(file: Path):
    code, out, _ = edgeroute("test", file, "--json")
    found = json.loads(out)
    assert (code, found["passed"]) == (1, False)
    premium, gold = found["cases"]
    assert premium == {
        "file": str(file), "line": 4, "name": "premium clients", "passed": True, "differences": [], "reasons": [],
    }  # fmt: skip
    assert gold["differences"] == [
        {"field": "rules", "expected": ["premium"], "found": []},
        {"field": "model", "expected": "smart", "found": "fast"},
    ]
    assert gold["reasons"] == [
        "match: rule `premium` does not match: false",
        "match: rule `near-limit` does not match: false",
        "match: none of 2 rules matches",
    ]


def test_junit(file: Path, tmp_path: Path):
    assert edgeroute("test", file, "--junit", tmp_path / "report.xml")[0] == 1
    (suite,) = ElementTree.parse(tmp_path / "report.xml").getroot()
    assert suite.attrib == {"name": str(file), "tests": "2", "failures": "1"}
    premium, gold = suite
    assert (premium.attrib["name"], premium.attrib["line"], len(premium)) == ("premium clients", "4", 0)
    (failure,) = gold
    assert gold.attrib["name"] == "gold & \ufffd <clients>"
    assert failure.attrib == {"message": "not as expected: rules, model"}
    assert "model   smart      fast" in (failure.text or "")


def test_a_report_that_cannot_be_written(file: Path, tmp_path: Path):
    code, _, error = edgeroute("test", file, "--junit", tmp_path)
    assert (code, error) == (1, f"error: cannot write {tmp_path}: Is a directory\n")


def test_a_mistake_is_told_and_nothing_is_run(file: Path, tmp_path: Path):
    (wrong := tmp_path / "wrong.test.yaml").write_text(TESTS.replace("rules: premium", "rules: premum"))
    code, out, error = edgeroute("test", file, wrong)
    assert (code, out) == (2, "")
    assert f"{wrong}:6:21: error: unknown rule" in error
    assert 'did you mean "premium"?' in error
