"""What every command does with files that cannot be read, output that cannot be written, and Ctrl-C."""

import fcntl
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from command_line import ENVIRONMENT, PROGRAM, QUICKSTART, as_process, edgeroute
from router_answers import RouterAdmin
from waiting import PATIENCE, free_port, wait_for

from edgeroute.cli import COMMANDS

READS = {
    "run": ["run -c {file}"],
    "check": ["check -c {file}", "check --json -c {file}"],
    "explain": ["explain -c {file} {request}", "explain -c {quickstart} {file}"],
    "test": ["test {file}", "test --json {tests} {file}"],
    "rules": ["rules explain -c {file}", "rules explain --json -c {file}"],
    "models": ["models -c {file}", "models --json -c {file}"],
    "import": ["import litellm {file}", "import bifrost {file}"],
}
"""How commands read files."""

PRINTS = {
    "run": ["run --help"],
    "check": ["check -c {quickstart}"],
    "explain": ["explain -c {quickstart} {request}"],
    "test": ["test {tests}"],
    "rules": ["rules explain -c {quickstart}"],
    "models": ["models -c {quickstart}"],
    "keys": ["keys new me"],
    "status": ["status --admin {admin}"],
    "replicas": ["replicas list --admin {admin}", "replicas drain vllm http://gpu-0 --admin {admin}"],
    "cache": ["cache report --admin {admin}", "cache purge --all --admin {admin}"],
    "reload": ["reload --admin {admin}"],
    "import": ["import --help"],
    "mock": ["mock --faults"],
    "schema": ["schema"],
    "completion": ["completion zsh"],
    "version": ["version"],
}
"""How each command prints something and ends."""

# Tests may run as root, who may read everything: what nobody can read stands for what is not permitted.
UNREADABLE = {
    "missing": "No such file or directory",
    "below-a-file/x": "Not a directory",
    "n" * 300: "File name too long",
    "folder": "",
    "/proc/self/mem": "Input/output error",
    "binary": "",
    "empty": "",
    "list": "",
}
"""Files, and what the message says of them if it is always the same."""


def every(table: dict[str, list[str]]) -> list[str]:
    return [line for each in table.values() for line in each]


@pytest.fixture
def words(tmp_path: Path, router: RouterAdmin) -> dict[str, str]:
    """What the placeholders of the tables stand for."""
    (request := tmp_path / "request.json").write_text('{"path": "/v1/models"}')
    (tests := tmp_path / "policy.test.yaml").write_text(
        f"{{configuration: {QUICKSTART}, key: demo, cases: [{{name: all, request: {{model: fast}}, expect: {{}}}}]}}"
    )
    return {"quickstart": str(QUICKSTART), "request": str(request), "tests": str(tests), "admin": router.address}


def test_every_command_is_tried_here():
    assert list(PRINTS) == list(COMMANDS)


@pytest.mark.parametrize("file", UNREADABLE, ids=lambda name: name[:20])
@pytest.mark.parametrize("line", every(READS))
def test_a_file_that_will_not_do(tmp_path: Path, words: dict[str, str], line: str, file: str):
    path = tmp_path / file
    (tmp_path / "folder").mkdir()
    (tmp_path / "below-a-file").touch()
    (tmp_path / "empty").touch()
    (tmp_path / "binary").write_bytes(bytes(range(256)))
    (tmp_path / "list").write_text("[1, 2]")
    code, out, error = edgeroute(*line.format(file=path, **words).split())
    said = out if "--json" in line and "check" in line else error
    assert code == 2
    assert (out == "") == (said is error)
    assert str(path) in said
    assert "error" in said


@pytest.mark.parametrize("line", ["run -c {file}", "check -c {file}", "models -c {file}", "explain -c {file} -"])
def test_a_pipe_is_no_configuration_and_not_waited_for(tmp_path: Path, line: str):
    os.mkfifo(tmp_path / "pipe")
    code, _, error = edgeroute(*line.format(file=tmp_path / "pipe").split())
    assert code == 2
    assert "it is not a regular file" in error


# Output that cannot be written


@pytest.mark.parametrize("line", every(PRINTS))
def test_output_that_cannot_be_written(words: dict[str, str], line: str):
    command = [*PROGRAM, *line.format(**words).split()]

    def check(redirection: str, status: int, error: str) -> None:
        script = f'"$@" {redirection}'
        found = subprocess.run(
            ["sh", "-c", script, "sh", *command], env=ENVIRONMENT,
            capture_output=True, text=True, timeout=PATIENCE,
        )  # fmt: skip
        assert (found.returncode, found.stdout, found.stderr) == (status, "", error), redirection

    check(">&-", 0, "")
    check(">/dev/full", 1, "error: cannot write: No space left on device\n")
    check(">&- 2>&- <&-", 0, "")
    reader, writer = os.pipe()
    os.close(reader)
    with subprocess.Popen(command, env=ENVIRONMENT, stdout=writer, stderr=subprocess.PIPE) as process:
        os.close(writer)
        assert (process.communicate(timeout=PATIENCE)[1], process.returncode) == (b"", 1)


def test_errors_that_cannot_be_written(tmp_path: Path):
    for redirection in ("2>&-", "2>/dev/full"):
        script = f'"$@" {redirection}'
        found = subprocess.run(
            ["sh", "-c", script, "sh", *PROGRAM, "check"], cwd=tmp_path, env=ENVIRONMENT, timeout=PATIENCE
        )
        assert found.returncode in (1, 2)


def test_names_that_are_no_text_are_printed(tmp_path: Path):
    file = os.fsencode(tmp_path) + b"/\xff.yaml"
    Path(os.fsdecode(file)).write_text(QUICKSTART.read_text())
    for encoding in ("utf-8", "ascii"):
        code, out, error = as_process("check", "-c", os.fsdecode(file), PYTHONIOENCODING=encoding)
        assert (code, error) == (0, "")
        assert ".yaml: ok" in out


# Ctrl-C


def interrupt_writing(command: list[str]) -> subprocess.CompletedProcess[bytes]:
    """Run a command whose standard output is a full pipe, and interrupt it when it waits there."""
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, 4096)
    os.write(writer, bytes(4096))
    os.set_blocking(writer, True)
    process = subprocess.Popen(command, env=ENVIRONMENT, stdout=writer, stderr=subprocess.PIPE)
    os.close(writer)
    wait_for(lambda: Path(f"/proc/{process.pid}/syscall").read_text().startswith("1 0x1 "))
    process.send_signal(signal.SIGINT)
    _, error = process.communicate(timeout=PATIENCE)
    os.close(reader)
    return subprocess.CompletedProcess(command, process.returncode, stderr=error)


@pytest.mark.parametrize("line", every(PRINTS))
def test_interrupted_while_printing(words: dict[str, str], line: str):
    found = interrupt_writing([*PROGRAM, *line.format(**words).split()])
    assert (found.returncode, found.stderr) == (130, b"\n")


@pytest.mark.parametrize("line", ["keys hash", "explain -c {quickstart} -"])
def test_interrupted_while_reading(words: dict[str, str], line: str):
    command = [*PROGRAM, *line.format(**words).split()]
    with subprocess.Popen(command, env=ENVIRONMENT, stdin=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        wait_for(lambda: Path(f"/proc/{process.pid}/syscall").read_text().startswith("0 0x0 "))
        process.send_signal(signal.SIGINT)
        assert (process.communicate(timeout=PATIENCE)[1], process.returncode) == (b"\n", 130)


def test_interrupted_while_importing(tmp_path: Path):
    (tmp_path / "click.py").write_text("import os, signal\nos.kill(os.getpid(), signal.SIGINT)\nsignal.pause()\n")
    path = os.pathsep.join([str(tmp_path), *filter(None, sys.path)])
    assert as_process("version", PYTHONPATH=path) == (130, "", "")


def test_an_ignored_interrupt_stays_ignored():
    script = f'trap "" INT; exec {" ".join(PROGRAM)} keys hash'
    with subprocess.Popen(
        ["sh", "-c", script], env=ENVIRONMENT, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        wait_for(lambda: Path(f"/proc/{process.pid}/syscall").read_text().startswith("0 0x0 "))
        process.send_signal(signal.SIGINT)
        assert process.communicate(b"sk-x\n", timeout=PATIENCE)[0].startswith(b"sha256:")


def test_the_mock_stops_on_an_interrupt():
    address = f"127.0.0.1:{free_port()}"
    command = [*PROGRAM, "mock", "--listen", address]
    with subprocess.Popen(
        command, env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        assert process.stdout is not None
        assert address in process.stdout.readline()
        process.send_signal(signal.SIGINT)
        assert "Traceback" not in process.communicate(timeout=PATIENCE)[0]
        assert process.returncode == 0
