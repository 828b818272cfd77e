"""`edgeroute import` as people call it: files, the report, exit statuses."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from migrate_inputs import NOW

from edgeroute.cli.import_configuration import command
from edgeroute.config.diagnostics import Source
from edgeroute.migrate import import_litellm

HERE = Path(__file__).parent
REWRITTEN = "model_list: [{model_name: a, litellm_params: {model: gpt-4o, temperature: 1}}]\n"


def run(*arguments: str | Path) -> Result:
    result = CliRunner().invoke(command, [str(each) for each in arguments], env={"LITELLM_MASTER_KEY": "sk-master"})
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


def test_the_configuration_goes_to_standard_output_and_the_report_to_standard_error():
    result = run("litellm", HERE / "litellm" / "simple.yaml")
    assert result.exit_code == 0
    assert result.stdout.startswith("# Made from LiteLLM's simple.yaml")
    assert result.stderr.endswith("1 changed\n")


def test_a_new_file_is_written_and_none_replaced(tmp_path: Path):
    output = tmp_path / "edgeroute.yaml"
    assert run("bifrost", HERE / "bifrost" / "minimal.json", "-o", output).exit_code == 0
    written = output.read_text()
    again = run("bifrost", HERE / "bifrost" / "minimal.json", "-o", output)
    assert (again.exit_code, output.read_text()) == (1, written)
    assert f"{output} exists already" in again.stderr
    assert run("bifrost", HERE / "bifrost" / "minimal.json", "-o", tmp_path / "no" / "x").exit_code == 1


def test_the_report_for_scripts():
    result = run("litellm", HERE / "litellm" / "reliability.yaml", "--json")
    report = json.loads(result.stderr)
    assert report["left_out"] == sum(each["kind"] == "left out" for each in report["findings"]) > 0
    first = report["findings"][0]
    assert (first["line"], first["column"]) == (5, 22)
    assert first["setting"] == "model_list[0].litellm_params.model"


@pytest.mark.parametrize(("flags", "expected"), [([], 0), (["--strict"], 1)])
def test_strict(flags: list[str], expected: int):
    result = run("litellm", HERE / "litellm" / "simple.yaml", *flags)
    assert (result.exit_code, "models:" in result.stdout) == (expected, True)


def test_keys_in_the_environment_are_hashed():
    result = run("litellm", HERE / "litellm" / "credentials.yaml")
    assert "sha256:3b69a285cbd23f85131f55dfcac89d7d58835845072500d7d408898ad9c39e93" in result.stdout


def test_a_key_in_the_environment_that_is_no_text_is_not_hashed():
    source = Source("config.yaml", f"{REWRITTEN}general_settings: {{master_key: os.environ/MASTER}}\n")
    draft = import_litellm(source, {"MASTER": "sk-\udcff"}, NOW)
    assert draft.virtual_keys["master"].hash == "${MASTER_HASH}"
    assert "the key is in MASTER, which is not UTF-8 text" in draft.report.text()


def test_exports_of_keys_and_teams():
    folder = HERE / "litellm"
    exports = ["--keys", folder / "with_keys.keys.csv", "--teams", folder / "with_keys.teams.json"]
    result = run("litellm", folder / "with_keys.yaml", *exports)
    assert (result.exit_code, "search-prod:" in result.stdout) == (0, True)


@pytest.mark.parametrize(
    ("text", "status", "expected"),
    [
        ("model_list: [", 2, "1:14: error: this is not valid YAML"),
        ("- a list", 2, "a map of settings is expected"),
        ("", 2, "there are no settings in this file"),
        ("{}", 2, "there are no settings in this file"),
        ("model_list: [{model_name: a, litellm_params: {model: bedrock/x}}]", 1, "no model could be carried"),
        (REWRITTEN, 0, "model_list[0].litellm_params.temperature"),
    ],
)
def test_files_that_cannot_be_carried(tmp_path: Path, text: str, status: int, expected: str):
    file = tmp_path / "config.yaml"
    file.write_text(text)
    result = run("litellm", file)
    assert result.exit_code == status
    assert expected in result.stderr


def test_a_missing_file(tmp_path: Path):
    result = run("bifrost", tmp_path / "config.json")
    assert result.exit_code == 2
    assert "cannot read it: No such file or directory" in result.stderr


@pytest.mark.parametrize("arguments", [[], ["litellm"], ["bifrost"]])
def test_help_fits_a_screen_and_has_an_example(arguments: list[str]):
    lines = run(*arguments, "--help").stdout.splitlines()
    assert len(lines) <= 24
    assert max(map(len, lines)) <= 80
    assert any(line.strip().startswith("edgeroute import ") for line in lines)
