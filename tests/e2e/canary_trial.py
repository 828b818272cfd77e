"""A router that is given canaries wherever something can be given, and all that is seen of it."""

import contextlib
import json
import os
import subprocess
import sys
from base64 import b64encode
from collections.abc import Callable
from pathlib import Path

from canaries import Evidence, Place, canary, core, found, hash_of, mark
from canary_cases import FIELDS, KEY, LIMITED, OF_TEAM, PROMPTS, Case
from canary_faults import MISPLACED, VIRTUAL_KEY
from canary_provider import CanaryProvider, CanaryRedis
from e2e_router import Answer, Config, Http, Router
from e2e_tls import Authority, Proxy
from waiting import PATIENCE, free_port, wait_for

ADMIN_KEY = canary("admin key")
WRONG_ADMIN_KEY = canary("admin key that is wrong")
PROXY_PASSWORD = canary("password of a proxy")
REDIS_PASSWORD = canary("password of Redis")
OTHER_PROXY_PASSWORD = canary("password of a proxy from the environment")


class Surroundings:
    """Who is there besides the router: providers, one of them by https, proxies on the way to it, and Redis."""

    def __init__(self, folder: Path) -> None:
        self.authority = Authority(folder / "authority")
        self.provider = CanaryProvider()
        self.secure = CanaryProvider(self.authority.server())
        self.redis = CanaryRedis()
        self.proxy, self.other_proxy = (
            Proxy("Basic " + b64encode(f"user:{password}".encode()).decode())
            for password in (PROXY_PASSWORD, OTHER_PROXY_PASSWORD)
        )

    def close(self) -> None:
        for each in (self.provider, self.secure, self.redis, self.proxy, self.other_proxy):
            each.close()


def configuration(around: Surroundings, face: str, log: str) -> Config:
    """Credentials in every form; a model for each way in which a provider behaves."""
    provider, authority = around.provider, around.authority
    from_environment = {"dialect": "openai-chat", "api_key": "${CANARY_ENVIRONMENT}"}
    plain = {"dialect": "openai-chat", "url": f"http://{provider.address}/v1"}
    secure = from_environment | {"url": f"https://{around.secure.address}/v1", "ca_file": "authority/authority.pem"}
    headers = {"x-gateway-key": canary("extra header of a provider")}
    providers = {
        "env": plain | from_environment | {"headers": headers},
        "file": {
            "dialect": "anthropic-messages",
            "url": f"http://{provider.address}",
            "api_key": "${file:provider-key}",
            "headers": headers,
        },
        "literal": plain | {"api_key": canary("provider key in the configuration")},
        "several": plain
        | {"api_keys": [canary("first of several provider keys"), canary("second of several provider keys")]},
        "tls": from_environment | {"url": f"https://{provider.address}/v1"},
        "tunnel": secure | {"proxy": f"http://user:{PROXY_PASSWORD}@{around.proxy.address}"},
        "tunnel-of-the-environment": secure,
        "tunnel-refused": secure | {"proxy": f"http://other:{PROXY_PASSWORD}@{around.proxy.address}"},
        "dead": from_environment | {"url": f"http://127.0.0.1:{free_port()}/v1"},
        "embedded": from_environment | {"url": "http://MOCK/v1"},
    }
    return {
        "workers": 2,
        "interface": face,
        "log": log,
        "max_body": "4KiB",
        "tls": {"certificate": str(authority.certificate), "key": str(authority.key)},
        "admin_key": ADMIN_KEY,
        "mock": {"first_token": "1ms", "token_interval": "0ms"},
        "cache": {"path": "cache", "size": "4MiB", "redis": f"redis://user:{REDIS_PASSWORD}@{around.redis.address}"},
        "providers": providers,
        "models": {f"{name}/*": f"{name}/*" for name in providers}
        | {"second-try": {"targets": ["dead/answer", "env/error-500", "literal/answer"]}}
        | {"kept": {"targets": ["env/kept"], "cache": "semantic"}}
        | {
            f"kept-by-{embedder}": {
                "targets": ["env/kept"], "cache": {"mode": "semantic", "embedder": f"env/{embedder}"}
            }
            for embedder in ("vectors", "error-401", "error-500-credential")
        },
        "defaults": {"timeouts": {"connect": "10s", "first_byte": "3s"}},
        "rules": [
            {"name": "marked", "when": "true", "continue": True,
             "set": {"headers": {"x-marked": canary("header that a rule sets")}}},
            {"name": "unwelcome", "when": 'headers["x-purpose"].startsWith("reject")', "reject": "Not here.",
             "on_error": "no_match"},
            {"name": "by-query", "when": 'params["tier"].startsWith("teapot")',
             "reject": {"status": 418, "message": "No."}, "on_error": "no_match"},
            {"name": "odd", "when": 'dyn(headers["x-number"]) > 3', "reject": "Odd.", "on_error": "no_match"},
        ],
        "teams": {"narrow": {"models": ["second-try"]}},
        "virtual_keys": {
            "everything": {"hash": f"sha256:{hash_of(KEY)}"},
            "limited": {"hash": f"sha256:{hash_of(LIMITED)}", "limits": {"concurrency": 1}},
            "of-team": {"hash": f"sha256:{hash_of(OF_TEAM)}", "team": "narrow"},
        },
    }  # fmt: skip


class Trial:
    """A router under test, with all that is known of it."""

    def __init__(self, folder: Path, face: str, log: str) -> None:
        self.evidence = Evidence()
        self.around = Surroundings(folder)
        self.log = log
        self.folder = folder
        for name in ("tmp", "home"):
            (folder / name).mkdir()
        (folder / "provider-key").write_text(canary("provider key from a file") + "\n")
        mark("certificate of an authority", self.around.authority.file.read_text().splitlines()[-3])
        mark("private key of the listener", self.around.authority.key.read_text().splitlines()[2])  # of P-256
        self.environment = {
            "CANARY_ENVIRONMENT": canary("provider key from the environment"),
            "CANARY_MISPLACED": MISPLACED,
            "CANARY_VIRTUAL": VIRTUAL_KEY,
            "https_proxy": f"http://user:{OTHER_PROXY_PASSWORD}@{self.around.other_proxy.address}",
            "no_proxy": "",
            "NO_PROXY": "",
            "TMPDIR": str(folder / "tmp"),
            "HOME": str(folder / "home"),
        }
        self.config = configuration(self.around, face, log)
        self.router = Router(folder, self.config, self.environment)
        self.router.tls = self.around.authority.client()
        self.router.admin_headers = {"authorization": f"Bearer {ADMIN_KEY}"}
        self.evidence.add(Place.GIVEN, "environment", json.dumps(self.environment))
        for file in (folder / "provider-key", self.around.authority.file, self.around.authority.key, self.router.file):
            self.evidence.add(Place.GIVEN, file.name, file.read_bytes())
        self.router.ready()

    def ask(self, case: Case) -> None:
        """Send a request, and check what its client got to see."""
        fields = {"model": case.model, **FIELDS.get(case.path, PROMPTS), "stream": case.stream}
        body = json.dumps(fields).encode() if case.body is None else case.body
        path = f"{case.path}?tier={case.query}"
        headers = self.headers(case.name, case.key) | dict(case.headers)
        answer = self.send("POST", path, body, headers, case.name)
        assert answer.status == case.status, answer
        seen = found(bytes_of(answer)) - {"request id"}
        assert seen == case.sees, case

    def headers(self, name: str, key: str) -> dict[str, str]:
        """What a client sends, most of it nobody's business."""
        return {
            "authorization": f"Bearer {key}",
            "content-type": "application/json",
            "x-request-id": request_id(name),
            "x-api-key": canary("second credential"),
            "cookie": canary("cookie", "session={}"),
            "x-custom": canary("header"),
        }

    def send(self, method: str, path: str, body: bytes | None, headers: dict[str, str], label: str) -> Answer:
        self.evidence.add(Place.GIVEN, label, json.dumps([path, headers]).encode() + (body or b""))
        answer = self.router.ask(method, path, body, headers)
        self.evidence.add(Place.CLIENT, label, bytes_of(answer))
        return answer

    def admin(self, method: str, path: str, key: str | None = ADMIN_KEY) -> Answer:
        """Ask the admin listener as somebody who sends secrets there, too."""
        headers = self.headers("admin", key or "")
        if key is None:
            del headers["authorization"]
        self.evidence.add(Place.GIVEN, "admin", json.dumps(headers))
        answer = self.router.admin.ask(method, path + canary("query parameter", "?key={}"), None, headers)
        self.evidence.add(Place.ADMIN, path, bytes_of(answer))
        return answer

    def command(
        self, *arguments: str, status: int | None, given: str = "", without: str = "", folder: str = ".", **more: str
    ) -> str:
        """Run a command with the router's environment, and `given` as standard input; gives all that it printed.

        A `status` of None is any but that of a crash.
        """
        environment = {**os.environ, **self.environment, "EDGEROUTE_RUN_DIR": str(self.folder / "other-run"), **more}
        environment.pop(without, None)
        self.evidence.add(Place.GIVEN, "command", json.dumps([arguments, given, more]))
        done = subprocess.run(
            [sys.executable, "-m", "edgeroute", *arguments],
            cwd=self.folder / folder, env=environment, input=given.encode(), capture_output=True, check=False,
            timeout=PATIENCE,
        )  # fmt: skip
        said = (done.stdout + done.stderr).decode()
        assert done.returncode in ((0, 1, 2) if status is None else (status,)), said
        assert "Traceback" not in said
        self.evidence.add(Place.COMMAND, " ".join(arguments), said)
        return said

    def from_environment(self, use: Callable[[Http, list[bytes], str], None], **more: str) -> str:
        """Run a router without a file; `use` gets its listener, its private files, what it said. Gives the latter."""
        folder = self.folder / "empty"
        folder.mkdir(exist_ok=True)
        listener, admin = Http(free_port()), Http(free_port())
        environment = {
            **os.environ, **self.environment, "EDGEROUTE_RUN_DIR": str(folder / "run"), **more,
            "EDGEROUTE_LISTEN": f"127.0.0.1:{listener.port}", "EDGEROUTE_ADMIN": f"127.0.0.1:{admin.port}",
        }  # fmt: skip
        self.evidence.add(Place.GIVEN, "environment", json.dumps(more))
        output = folder / "output.txt"
        with output.open("wb") as file:
            process = subprocess.Popen(
                [sys.executable, "-m", "edgeroute", "run"], cwd=folder, env=environment, stdout=file, stderr=file
            )

        def ready() -> bool:
            assert process.poll() is None, output.read_text()
            with contextlib.suppress(OSError):
                return admin.ask("GET", "/readyz").status == 200
            return False

        try:
            wait_for(ready)
            for pid in descendants(process.pid):
                self.evidence.add(Place.PROCESSES, f"process {pid}", Path(f"/proc/{pid}/cmdline").read_bytes())
            use(listener, [path.read_bytes() for path in (folder / "run").iterdir()], output.read_text())
        finally:
            process.terminate()
            process.wait(PATIENCE)
        said = output.read_text()
        self.evidence.add(Place.COMMAND, "run", said)
        return said

    def write(self, name: str, text: str) -> str:
        """A file of the test's own."""
        (self.folder / name).write_text(text)
        self.evidence.add(Place.GIVEN, name, text)
        return name

    def close(self) -> None:
        self.around.close()
        self.router.close()


def request_id(name: str) -> str:
    """The id that a case is told by in the log."""
    return f"{core('request id')}.{name}"


def bytes_of(answer: Answer) -> bytes:
    """All that a client got."""
    return json.dumps([answer.status, answer.headers]).encode() + answer.body


def descendants(pid: int) -> list[int]:
    """A process and all that it started."""
    found: list[int] = [pid]
    for path in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in path.read_text().split():
            found += descendants(int(child))
    return found
