"""The command line without a running router: what each command says, and its exit status."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from edgeroute import __version__
from edgeroute.cli import COMMANDS

QUICKSTART = Path(__file__).parents[2] / "config" / "quickstart.yaml"
PATIENCE = 60


def edgeroute(*arguments: str | Path, given: str = "", folder: Path | None = None) -> tuple[int, str, str]:
    """Exit status, standard output, standard error."""
    finished = subprocess.run(
        [sys.executable, "-m", "edgeroute", *arguments],
        input=given, capture_output=True, text=True, timeout=PATIENCE, cwd=folder,
    )  # fmt: skip
    assert "Traceback" not in finished.stderr
    return finished.returncode, finished.stdout, finished.stderr


def test_help_lists_every_command():
    code, out, _ = edgeroute("--help")
    assert code == 0
    assert all(f"{name}  " in out and about in out for name, about in COMMANDS.items())


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(command: str):
    code, out, _ = edgeroute(command, "--help")
    assert code == 0
    assert out.startswith("Usage: ")


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["vers"], "No such command 'vers': did you mean 'version'?"),
        (["frobnicate"], "No such command 'frobnicate': there are run, check,"),
        (["check"], "Missing argument 'FILE'"),
        (["run", "--confg", "x"], "--config"),
        (["mock", "--first-token", "20"], "'20': this is not a time such as 20ms"),
        (["explain"], "Missing argument 'REQUEST.json'"),
    ],
)
def test_wrong_use_is_explained(arguments: list[str], expected: str):
    code, _, error = edgeroute(*arguments)
    assert code == 2
    assert expected in error


# version, schema


def test_version():
    assert edgeroute("version") == (0, f"edgeroute {__version__}\n", "")


def test_version_imports_neither_the_configuration_nor_the_native_module():
    script = (
        "import sys; from edgeroute.cli import main\n"
        "main(['version'], standalone_mode=False)\n"
        "print(*[name for name in sys.modules if name.startswith('edgeroute.')])"
    )
    finished = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=PATIENCE, check=True
    )
    assert finished.stdout.splitlines()[1].split() == ["edgeroute.cli", "edgeroute.cli.version"]


def test_schema_is_a_json_schema():
    code, out, _ = edgeroute("schema")
    assert code == 0
    assert "$schema" in json.loads(out)


# check


def test_a_valid_configuration_is_ok():
    code, out, error = edgeroute("check", QUICKSTART)
    assert (code, error) == (0, "")
    assert out.startswith(f"{QUICKSTART}: ok (")


def test_an_invalid_configuration_shows_every_error(tmp_path: Path):
    file = tmp_path / "edgeroute.yaml"
    file.write_text("wrkers: 2\n" + QUICKSTART.read_text().replace("model: smart", "model: smrt"))
    code, out, error = edgeroute("check", file)
    assert (code, out) == (2, "")
    assert f"{file}:1:1: error: " in error
    assert "wrkers" in error
    assert "smrt" in error


def test_a_missing_configuration_says_what_to_do(tmp_path: Path):
    for command in ("run", "explain"):
        arguments = [command] if command == "run" else [command, "-"]
        code, _, error = edgeroute(*arguments, folder=tmp_path)
        assert code == 2
        assert error.startswith("error: there is no configuration file edgeroute.yaml\n  help: ")


# explain

REQUEST = {
    "path": "/v1/chat/completions",
    "headers": {"authorization": "Bearer sk-edgeroute-demo", "x-tier": "premium"},
    "body": {"model": "fast", "messages": [{"role": "user", "content": "Hello"}]},
}


def explain(request: object, *options: str) -> tuple[int, str, str]:
    return edgeroute("explain", "-", "--config", QUICKSTART, *options, given=json.dumps(request))


def test_explain_shows_the_reasons_and_the_decision(tmp_path: Path):
    code, out, _ = explain(REQUEST)
    assert code == 0
    assert "match           rule `premium` matches: model `smart`\n" in out
    assert "\nrule            premium\n" in out
    file = tmp_path / "request.json"
    file.write_text(json.dumps(REQUEST))
    assert edgeroute("explain", file, "--config", QUICKSTART) == (0, out, "")


def test_explain_in_json():
    code, out, _ = explain(REQUEST, "--json")
    assert code == 0
    assert json.loads(out)["decision"]["rule"] == "premium"


def test_explain_shows_a_refusal():
    code, out, _ = explain(REQUEST | {"headers": {}})
    assert code == 0
    assert "refusal         401 " in out


@pytest.mark.parametrize("given", ["", "{", "[]", '{"headers": {}}', '{"path": 1}', '{"path": "/", "x": 1}'])
def test_explain_refuses_what_is_no_request(given: str):
    code, out, error = edgeroute("explain", "-", "--config", QUICKSTART, given=given)
    assert (code, out) == (2, "")
    assert error.startswith("error: -: ")


def test_explain_of_a_missing_file(tmp_path: Path):
    code, _, error = edgeroute("explain", tmp_path / "none.json", "--config", QUICKSTART)
    assert code == 2
    assert error == f"error: cannot read {tmp_path / 'none.json'}: No such file or directory\n"


# mock


def test_a_mock_address_that_makes_no_sense_is_explained():
    code, _, error = edgeroute("mock", "--listen", "nowhere")
    assert code == 1
    assert "error: listen must be host:port" in error
