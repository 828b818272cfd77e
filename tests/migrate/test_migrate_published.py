"""Configurations like those that LiteLLM and Bifrost publish: what becomes of them, and that it is valid and runs.

Each input says which published example it corresponds to. `pytest tests/migrate --update-golden` writes the
expected files anew.
"""

import re
from pathlib import Path

import pytest
from migrate_inputs import INPUTS, environment, imported

from edgeroute.config import load
from edgeroute.migrate import write

EXPECTED_WARNINGS = re.compile("never match|has no path|cannot be reached")
"""They are true of the other gateway's file as well."""

SECRET = re.compile(r"not-shown-anywhere|sk-(live|ant|bf|master|1234|one|two)")


def test_there_are_ten_of_each():
    assert min(len([each for each in INPUTS if each.suffix == suffix]) for suffix in (".yaml", ".json")) >= 10


@pytest.mark.parametrize("path", INPUTS, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_output_and_report(path: Path, request: pytest.FixtureRequest):
    draft = imported(path)
    found = {
        path.with_suffix(".expected.yaml"): write(draft, path.name),
        path.with_suffix(".report.txt"): draft.report.text().replace(f"{path.parent}/", "") + "\n",
    }
    for expected, text in found.items():
        if request.config.getoption("--update-golden"):
            expected.write_text(text)
        assert text == expected.read_text()


@pytest.mark.parametrize("path", INPUTS, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_output_is_valid(path: Path, tmp_path: Path):
    text = write(imported(path), path.name)
    file = tmp_path / "edgeroute.yaml"
    file.write_text(text)
    warnings = load(file, environment(text)).warnings
    assert not [each.message for each in warnings if not EXPECTED_WARNINGS.search(each.message)]


@pytest.mark.parametrize("path", INPUTS, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_no_credential_is_copied_or_shown(path: Path):
    draft = imported(path)
    assert not SECRET.search(write(draft, path.name) + draft.report.text() + draft.report.json())
