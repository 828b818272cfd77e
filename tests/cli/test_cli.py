"""The command line without a running router: what each command says, and its exit status."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from command_line import EVERY_COMMAND, QUICKSTART, edgeroute
from waiting import PATIENCE

from edgeroute import __version__
from edgeroute.cli import COMMANDS


def test_help_lists_every_command():
    code, out, _ = edgeroute("--help")
    assert code == 0
    assert all(f"{name}  " in out and about in out for name, about in COMMANDS.items())


@pytest.mark.parametrize("path", EVERY_COMMAND, ids=" ".join)
def test_help_fits_a_screen_and_has_an_example(path: tuple[str, ...]):
    code, out, _ = edgeroute(*path, "--help", COLUMNS="80")
    assert code == 0
    lines = out.splitlines()
    assert lines[0].startswith(f"Usage: {' '.join(('edgeroute', *path))} ")
    assert len(lines) <= 25
    assert max(map(len, lines)) <= 80
    assert any(" ".join(("edgeroute", *path)) in line for line in lines[1:]), "an example"


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ("vers", "error: no such command 'vers'. Did you mean 'version'?\n  usage: edgeroute [OPTIONS] COMMAND"),
        ("frobnicate", "error: no such command 'frobnicate'.\n"),
        ("keys nw", "error: no such command 'nw'. Did you mean 'new'?\n  usage: edgeroute keys [OPTIONS] COMMAND"),
        ("run --confg x", "Did you mean one of: '--config'"),
        ("check --jsn", "error: no such option '--jsn'. Did you mean '--json'?\n  usage: edgeroute check [OPTIONS]\n"),
        ("check a.yaml", "error: got unexpected extra argument (a.yaml)\n"),
        ("mock --first-token 20", "'20': this is neither a time nor a distribution of times: write 20ms"),
        ("mock --listen nowhere", "error: listen must be host:port, such as 127.0.0.1:4010, not 'nowhere'"),
        ("mock --seed x", "'x' is not a valid integer"),
        ("status --admin nowhere", "'nowhere': this is not an address to listen on"),
        ("reload --admin 127.0.0.1:99999", "this is not an address to listen on"),
        ("explain", "error: missing argument 'REQUEST.json'"),
        ("completion tcsh", "'tcsh' is not one of 'bash', 'zsh', 'fish'"),
        ("keys new", "error: missing argument 'NAME'"),
        ("replicas drian", "Did you mean one of: 'drain', 'undrain'?"),
        ("replicas weight vllm URL 0", "0 is not in the range 1<=x<=1000000"),
    ],
)
def test_wrong_use_is_explained(arguments: str, expected: str):
    code, out, error = edgeroute(*arguments.split())
    assert (code, out) == (2, "")
    assert expected in error
    assert "\n  help: edgeroute" in error


def test_without_a_command_there_is_help():
    code, out, error = edgeroute()
    assert (code, out) == (2, "")
    assert error == edgeroute("--help")[1]


# version, schema, completion


def test_version():
    assert edgeroute("version") == (0, f"edgeroute {__version__}\n", "")
    assert edgeroute("--version") == (0, f"edgeroute {__version__}\n", "")
    assert json.loads(edgeroute("version", "--json")[1]) == {"version": __version__}


def test_version_imports_neither_the_configuration_nor_the_native_module():
    script = (
        "import sys; from edgeroute.cli import commands\n"
        "commands(['version'], standalone_mode=False)\n"
        "print(*sorted(name for name in sys.modules if name.startswith('edgeroute.')))"
    )
    finished = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=PATIENCE, check=True
    )
    ours = ["edgeroute.cli", "edgeroute.cli.streams", "edgeroute.cli.usage", "edgeroute.cli.version"]
    assert finished.stdout.splitlines()[1].split() == ours


def test_schema_is_a_json_schema():
    code, out, _ = edgeroute("schema")
    assert code == 0
    assert "$schema" in json.loads(out)


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_prints_a_script(shell: str):
    code, out, _ = edgeroute("completion", shell)
    assert code == 0
    assert f"_EDGEROUTE_COMPLETE={shell}_complete" in out


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ("", {"plain,run", "plain,import", "plain,version"}),
        ("ch", {"plain,check"}),
        ("check --", {"plain,--config", "plain,--json"}),
        ("check -c ", {"file,"}),
        ("keys ", {"plain,new", "plain,hash"}),
        ("completion z", {"plain,zsh"}),
    ],
)
def test_what_a_shell_completes(typed: str, expected: set[str]):
    words = f"edgeroute {typed}".split(" ")
    code, out, _ = edgeroute(
        _EDGEROUTE_COMPLETE="bash_complete", COMP_WORDS=" ".join(words), COMP_CWORD=str(len(words) - 1)
    )
    assert code == 0
    assert expected <= set(out.split("\n"))


# check


def test_a_valid_configuration_is_ok():
    code, out, error = edgeroute("check", "-c", QUICKSTART)
    assert (code, error) == (0, "")
    assert out.startswith(f"{QUICKSTART}: ok (")
    assert edgeroute("check", EDGEROUTE_CONFIG=str(QUICKSTART)) == (0, out, "")
    report = json.loads(edgeroute("check", "-c", QUICKSTART, "--json")[1])
    assert report["valid"]
    [note] = report["diagnostics"]
    assert (note["severity"], note["code"]) == ("note", "missing_key")
    code, out, error = edgeroute("check", "-c", QUICKSTART, "--notes")
    assert (code, note["message"] in error, note["advice"] in error) == (0, True, True)
    assert "--notes" not in out


def test_an_invalid_configuration_shows_every_error(tmp_path: Path):
    file = tmp_path / "edgeroute.yaml"
    file.write_text("wrkers: 2\n" + QUICKSTART.read_text().replace("model: smart", "model: smrt"))
    code, out, error = edgeroute("check", "-c", file)
    assert (code, out) == (2, "")
    assert f"{file}:1:1: error: " in error
    assert "wrkers" in error
    assert "smrt" in error
    code, out, error = edgeroute("check", "-c", file, "--json")
    assert (code, error) == (2, "")
    first, second = json.loads(out)["diagnostics"]
    assert [*first] == [
        *("file", "line", "column", "width", "severity", "code", "message", "labels", "advice"),
    ]
    assert (first["file"], first["line"], first["column"], first["severity"]) == (str(file), 1, 1, "error")
    assert "workers" in first["advice"]
    assert "smrt" in second["message"]


@pytest.mark.parametrize("command", ["run", "check", "models", "explain -"])
def test_a_missing_configuration_says_what_to_do(tmp_path: Path, command: str):
    code, _, error = edgeroute(*command.split(), folder=tmp_path)
    assert code == 2
    assert error.startswith("the environment: error: there is no edgeroute.yaml here, and no key of a provider in the ")
    assert "\n  = help: name a file with -c FILE, or set OPENAI_API_KEY" in error
    code, _, error = edgeroute(*command.split(), "-c", "mine.yaml", folder=tmp_path)
    assert code == 2
    assert error.startswith("mine.yaml: error: there is no such configuration file\n  = help: name one with -c ")


def test_a_missing_configuration_in_json(tmp_path: Path):
    code, out, _ = edgeroute("check", "--json", folder=tmp_path)
    (found,) = json.loads(out)["diagnostics"]
    assert (code, found["line"], found["column"]) == (2, None, None)


# explain

REQUEST = {
    "path": "/v1/chat/completions",
    "headers": {"authorization": "Bearer sk-edgeroute-demo", "x-tier": "premium"},
    "body": {"model": "fast", "messages": [{"role": "user", "content": "Hello"}]},
}


def explain(request: object, *options: str) -> tuple[int, str, str]:
    return edgeroute("explain", "-", "--config", QUICKSTART, *options, given=json.dumps(request))


def test_explain_shows_the_reasons_and_the_decision(tmp_path: Path):
    request = REQUEST | {"facts": {"now": "2026-11-21T23:30:00Z"}}
    code, out, _ = explain(request)
    assert code == 0
    assert "match           rule `premium` matches: model `smart`\n" in out
    assert "\nrule            premium\n" in out
    file = tmp_path / "request.json"
    file.write_text(json.dumps(request))
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
    assert "\n  help: it holds one JSON object: `path` is needed; " in error


def test_explain_of_a_missing_file(tmp_path: Path):
    code, _, error = edgeroute("explain", tmp_path / "none.json", "--config", QUICKSTART)
    assert code == 2
    assert error == f"error: cannot read {tmp_path / 'none.json'}: No such file or directory\n"


# mock


def test_the_mock_lists_its_faults():
    code, out, _ = edgeroute("mock", "--faults")
    assert code == 0
    assert "cut-N" in out
