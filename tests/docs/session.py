"""What a reader does with a page: its blocks, one after the other, in a folder with routers of its own.

A session begins with `edgeroute.yaml`, which is `config/quickstart.yaml`, and with the certificates and exports that
pages speak of. `base.yaml` completes the fragments of configurations. What a page has to leave open is filled in: ports
are others, and `sk-…` and `sha256:…` stand for the key that `edgeroute keys new` made last.
"""

import contextlib
import doctest
import io
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import yaml
import yaml12
from pages import ROOT, Block
from waiting import PATIENCE, free_port, wait_for

Config = dict[str, Any]

_LISTEN, _ADMIN, _MOCK = 4000, 9400, 4010
_PORTS = (_LISTEN, _ADMIN, _MOCK, 4001, 9401)
_BACKGROUND = re.compile(r"edgeroute (run|mock)\b(?!.*--(faults|help))|make run\b|uvicorn ")
_NEEDS_ROUTER = re.compile(rf":{_LISTEN}\b|:{_ADMIN}\b|edgeroute (status|replicas|cache|reload)\b")
_OF_OTHERS = re.compile(r"EDGEROUTE_|\w+_PROXY$", re.IGNORECASE)
"""Variables that would change what routers and clients do."""
_PROGRAMS = {
    "edgeroute": "-m edgeroute",
    "python": "",
    "pytest": "-m pytest -p no:cacheprovider --rootdir .",
    "uvicorn": "-m uvicorn",
}
_BASE = Path(__file__).with_name("base.yaml")
_TLS = ROOT / "tests" / "config" / "tls"
_EXPORTS = ROOT / "tests" / "migrate"
_FILES = {
    "tls.crt": _TLS / "localhost.crt",
    "tls.key": _TLS / "localhost.key",
    "ca.pem": _TLS / "localhost.crt",
    "config.yaml": _EXPORTS / "litellm" / "with_keys.yaml",
    "config.json": _EXPORTS / "bifrost" / "minimal.json",
    "keys.csv": _EXPORTS / "litellm" / "with_keys.keys.csv",
    "teams.csv": _EXPORTS / "litellm" / "with_keys.teams.json",
}


class Session:
    """A folder, its shell and what runs in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._ports = {port: free_port() for port in _PORTS}
        self._running: dict[int, tuple[subprocess.Popen[bytes], Path]] = {}
        self._said = ""
        self._key, self._hash = "sk-edgeroute-demo", f"sha256:{'0' * 64}"
        self._python: dict[str, Any] = {"__name__": "__main__"}
        for name, source in _FILES.items():
            shutil.copy(source, folder / name)
        (folder / "config").mkdir()
        for name in ("quickstart.yaml", "example.yaml"):
            self._write(f"config/{name}", self.local((ROOT / "config" / name).read_text()))
        shutil.copy(folder / "config" / "quickstart.yaml", folder / "edgeroute.yaml")
        (folder / "secrets").mkdir()
        (folder / "bin").mkdir()
        for name, arguments in _PROGRAMS.items():
            program = folder / "bin" / name
            program.write_text(f'#!/bin/sh\nexec "{sys.executable}" {arguments} "$@"\n')
            program.chmod(0o755)
        self._environ = {
            **{name: value for name, value in os.environ.items() if not _OF_OTHERS.match(name)},
            "PATH": f"{folder / 'bin'}{os.pathsep}{os.environ['PATH']}",
            "EDGEROUTE_LISTEN": f"127.0.0.1:{self._ports[_LISTEN]}",
            "EDGEROUTE_ADMIN": f"127.0.0.1:{self._ports[_ADMIN]}",
            "HTTPS_PROXY": "http://127.0.0.1:1",  # no page reaches the network
            "NO_COLOR": "1",
        }

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for port in list(self._running):
            said = self._stop(port)
            assert kind is not None or "Traceback" not in said, said

    def do(self, block: Block) -> None:
        """Do what a block says."""
        text = self.local(block.text)
        match block.directives:
            case {"not tested": _}:
                return
            case {"file": name}:
                self._write(name, text)
                self._took(block, name)
            case {"append": name}:
                self._write(name, f"{(self.folder / name).read_text()}\n{text}")
                self._took(block, name)
            case _:
                self._by_language(block, text)

    def _by_language(self, block: Block, text: str) -> None:
        match block.language:
            case "sh":
                self._shell(text, int(block.directives.get("exits", "0")), may_stay="exits" not in block.directives)
            case "text":
                self._expect(block)
            case "yaml":
                self._write("fragment.yaml", yaml.safe_dump(self._completed(text), sort_keys=False))
                self._check("fragment.yaml", wrong="wrong" in block.directives)
            case "json":
                self._write("written.json", text)
                self._shell("edgeroute explain -c edgeroute.yaml written.json", 0)
            case "python":
                self._run_python(text)
            case other:
                raise AssertionError(f"{block}: no test knows the language {other!r}")

    # Files

    def local(self, text: str) -> str:
        """A text of a page with what is only true here: ports, paths, the key that was made last."""
        for port, ours in self._ports.items():
            text = re.sub(rf"(:|=|--port ){port}\b", rf"\g<1>{ours}", text)
        text = re.sub(r"/(?:etc/edgeroute|run/secrets)/(?=[\w.-]+)", f"{self.folder}/", text)
        text = text.replace("sha256:…", self._hash).replace("sk-…", self._key)
        for name in re.findall(rf"\$\{{file:{re.escape(str(self.folder))}/([\w.-]+)\}}", text):
            self._write(name, "sk-of-a-file")
        return text

    def _write(self, name: str, text: str) -> None:
        (self.folder / name).parent.mkdir(exist_ok=True)
        (self.folder / name).write_text(text, encoding="utf-8")

    def _took(self, block: Block, name: str) -> None:
        """A file has been written: a configuration is checked, and served if a router runs."""
        if not name.endswith(".yaml") or name.endswith(".test.yaml") or name.startswith("rules/"):
            return
        wrong = "wrong" in block.directives
        self._check(name, wrong=wrong)
        if name == "edgeroute.yaml" and _LISTEN in self._running and not wrong:
            self._shell("edgeroute reload", 0)

    def _completed(self, fragment: str) -> Config:
        """A configuration with everything that a fragment may refer to."""
        found: Config = {}
        for text in (_BASE.read_text(), (self.folder / "edgeroute.yaml").read_text(), fragment):
            for setting, value in yaml12.load(text).items():
                found[setting] = {**found.get(setting, {}), **value} if isinstance(value, dict) else value
        by_hash = {key["hash"]: name for name, key in found["virtual_keys"].items()}
        return found | {"virtual_keys": {name: found["virtual_keys"][name] for name in by_hash.values()}}

    def _check(self, name: str, *, wrong: bool) -> None:
        text = (self.folder / name).read_text()
        variables = {name: f"sk-of-{name}" for name in re.findall(r"\$\{(\w+)\}", text)}
        done = self._finish(["edgeroute", "check", "-c", name], self._environ | variables)
        self._environ.update({key: value for key, value in variables.items() if key not in self._environ})
        assert done.returncode == (2 if wrong else 0), f"{text}\n{done.stdout}"

    # Commands

    def _shell(self, text: str, status: int, *, may_stay: bool = True) -> None:
        if not _BACKGROUND.search(text):
            self._start_if_needed(text)
        commands = re.findall(r"(?:.*\\\n)*.+", text)
        foreground: list[str] = []
        said = ""
        for command in commands:
            if may_stay and _BACKGROUND.match(command):
                said += self._finish_shell(foreground, 0)
                foreground = []
                said += self._start(command)
            else:
                foreground.append(command)
        self._said = said + self._finish_shell(foreground, status)
        for made in re.finditer(r"(sk-[\w-]{43})\b.*?(sha256:\w{64})", self._said, re.DOTALL):
            self._key, self._hash = made.groups()

    def _finish_shell(self, commands: list[str], status: int) -> str:
        """Run commands in the page's shell: its variables last."""
        if not commands:
            return ""
        script = "set -ea; [ ! -f bin/variables ] || . bin/variables\n" + "\n".join(commands)
        done = self._finish(["bash", "-c", f"{script}\nexport -p > bin/variables"], self._environ)
        assert done.returncode == status, f"{script}\n{done.stdout}"
        return done.stdout

    def _finish(self, command: list[str], environ: dict[str, str]) -> "subprocess.CompletedProcess[str]":
        done = subprocess.run(
            command, cwd=self.folder, env=environ, text=True, timeout=2 * PATIENCE, check=False,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        assert "Traceback" not in done.stdout, done.stdout
        return done

    def _start_if_needed(self, text: str) -> None:
        """Start the router that something talks to, if the page has not."""
        if _LISTEN not in self._running and _NEEDS_ROUTER.search(self._documented(text)):
            self._start("edgeroute run")

    def _start(self, command: str) -> str:
        """Start what goes on running, instead of what had its port before; what it says until it is ready."""
        command = command.replace("make run", "edgeroute run -c config/quickstart.yaml")
        mock = command.startswith("edgeroute mock")
        named = re.search(r"(?:--listen |--port[ =])(?:[\w.]+:)?(\d+)", command)
        ours = {own: port for port, own in self._ports.items()}
        port = ours.get(int(named[1]), 0) if named else _MOCK if mock else _LISTEN
        self._stop(port)
        output = self.folder / "bin" / f"output-{port}"
        script = f"set -a; [ ! -f bin/variables ] || . bin/variables\nexec {command.partition(' #')[0]}"
        with output.open("wb") as file:
            process = subprocess.Popen(
                ["bash", "-c", script], cwd=self.folder, env=self._environ, stdout=file, stderr=file
            )
        self._running[port] = process, output

        def ready() -> bool:
            assert process.poll() is None, output.read_text()
            said = output.read_text()
            return re.search(r"is ready: |ready on |running on http", said) is not None or (mock and "http://" in said)

        wait_for(ready)
        return output.read_text()

    def _stop(self, port: int) -> str:
        if port not in self._running:
            return ""
        process, output = self._running.pop(port)
        process.terminate()
        try:
            process.wait(PATIENCE)
        finally:
            process.kill()
            process.wait()
        return output.read_text()

    def _run_python(self, text: str) -> None:
        """A program, or a session of the interpreter with its answers."""
        self._start_if_needed(text)
        if not text.startswith(">>>"):
            self._write("program.py", text)
            self._said = self._finish(["python", "program.py"], self._environ).stdout
            return
        said = io.StringIO()
        with contextlib.chdir(self.folder):
            test = doctest.DocTestParser().get_doctest(text, self._python, "page", None, 0)
            runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS)
            runner.run(test, out=said.write, clear_globs=False)
        self._python.update(test.globs)
        assert not runner.failures, said.getvalue()

    # What they say

    def _documented(self, text: str) -> str:
        """An output with the ports of the page."""
        for port, ours in self._ports.items():
            text = text.replace(str(ours), str(port))
        return text.replace(str(self.folder) + "/", "/etc/edgeroute/")

    def _expect(self, block: Block) -> None:
        """The lines of a block are in what was said, in this order: by the last commands, then by what still runs.

        What runs may take a moment to say it: log lines are written in batches.
        """
        deadline = time.monotonic() + (PATIENCE if self._running else 0)
        while True:
            logged = "".join(path.read_text() for _, path in self._running.values())
            said = self._documented(f"{self._said}\n{logged}")
            missing = _missing(block.text, said)
            if missing is None:
                return
            assert time.monotonic() < deadline, f"{block}: not said: {missing}\n---\n{said}"
            time.sleep(0.05)


def _missing(expected: str, said: str) -> str | None:
    """The first line that is not said. Blanks count as one, and `…` ends with its line."""
    rest = "\n".join(" ".join(line.split()) for line in said.splitlines())
    for line in filter(str.strip, expected.splitlines()):
        pattern = ".*?".join(re.escape(" ".join(part.split())) for part in line.split("…"))
        found = re.search(pattern, rest)
        if found is None:
            return line
        rest = rest[found.end() :]
    return None
