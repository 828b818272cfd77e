"""Canaries through everything that prints: what is private stays where `canaries.POLICY` says, and was really there."""

import json
import os
import pickle
import re
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_type_hints

import msgspec
import pytest
from canaries import Evidence, Place, canary, core, found, hash_of
from canary_provider import CanaryProvider
from e2e_router import Answer, Config, Router
from waiting import PATIENCE, free_port, wait_for

from edgeroute._native import Cells, Snapshot, Worker
from edgeroute.cli import COMMANDS
from edgeroute.config import ConfigError, load, schema

KEY = canary("virtual key")
LIMITED = canary("virtual key with a limit")
OF_TEAM = canary("virtual key of a team")
UNKNOWN_KEY = canary("virtual key that is not known")
FAULTY = canary("credential on a faulty line", "{}")
STRANGE = canary("credential in a strange place")
MISPLACED = canary("credential in a variable of the wrong place")
CORRUPT = canary("credential in a corrupt generation")
PROVIDERS = {"openai": "env", "anthropic": "file"}
CHAT, MESSAGES, EMBEDDINGS = "/v1/chat/completions", "/v1/messages", "/v1/embeddings"

UNKNOWN_MODEL = "".join(
    (core("unknown model, its first characters"), "\x1b[31m\r\n", "x" * 80, core("unknown model, beyond 80 characters"))
)
UNKNOWN_PATH = "/" + core("path, its first characters") + "x" * 80 + core("path, beyond 80 characters")

PROMPTS = {
    "messages": [
        {"role": "user", "content": canary("prompt", "the prompt {}")},
        {"role": "assistant", "content": canary("tool arguments", '{{"city": "{}"}}')},
    ],
    "metadata": {"system": canary("system prompt", "be {}")},
    "max_tokens": 9,
}


def configuration(provider: CanaryProvider, face: str, log: str) -> Config:
    """Credentials in every form; a model for each way in which a provider behaves."""
    dead = f"http://127.0.0.1:{free_port()}"
    openai = {"dialect": "openai-chat", "url": f"http://{provider.address}/v1"}
    return {
        "workers": 2,
        "interface": face,
        "log": log,
        "max_body": "64KiB",
        "mock": {"first_token": "1ms", "token_interval": "0ms"},
        "providers": {
            "env": openai | {"api_key": "${CANARY_ENVIRONMENT}"},
            "file": {
                "dialect": "anthropic-messages",
                "url": f"http://{provider.address}",
                "api_key": "${file:provider-key}",
            },
            "literal": openai | {"api_key": canary("provider key in the configuration")},
            "tls": openai | {"url": f"https://{provider.address}/v1", "api_key": "${CANARY_ENVIRONMENT}"},
            "dead": openai | {"url": f"{dead}/v1", "api_key": "${CANARY_ENVIRONMENT}"},
            "embedded": openai | {"url": "http://MOCK/v1", "api_key": "${CANARY_ENVIRONMENT}"},
        },
        "models": {f"{name}/*": f"{name}/*" for name in ("env", "file", "literal", "tls", "dead", "embedded")}
        | {"second-try": {"targets": ["dead/answer", "env/error-500", "literal/answer"]}},
        "defaults": {"timeouts": {"connect": "10s", "first_byte": "3s"}},
        "rules": [
            {"name": "unwelcome", "when": 'headers["x-purpose"].startsWith("reject")', "reject": "Not here."},
            {"name": "by-query", "when": 'params["tier"].startsWith("teapot")',
             "reject": {"status": 418, "message": "No."}},
            {"name": "odd", "when": 'dyn(headers["x-number"]) > 3', "reject": "Odd."},
        ],
        "teams": {"narrow": {"models": ["second-try"]}},
        "virtual_keys": {
            "everything": {"hash": f"sha256:{hash_of(KEY)}"},
            "limited": {"hash": f"sha256:{hash_of(LIMITED)}", "limits": {"concurrency": 1}},
            "of-team": {"hash": f"sha256:{hash_of(OF_TEAM)}", "team": "narrow"},
        },
    }  # fmt: skip


@dataclass(frozen=True)
class Case:
    """A request, what must become of it, and the canaries that its client gets to see; no others."""

    name: str
    model: str
    status: int
    error: str | None = None
    sees: frozenset[str] = frozenset()
    path: str = CHAT
    key: str = KEY
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    query: str = "fine"
    body: bytes | None = None
    stream: bool = False


def _sees(*names: str) -> frozenset[str]:
    return frozenset(names)


_ANSWER = _sees("answer", "header of a provider")
_EVENTS = _sees("answer in events", "header of a provider")
_ERROR = _sees("error of a provider", "header of a provider")


def _of_each_dialect() -> Iterator[Case]:
    for dialect, path in (("openai", CHAT), ("anthropic", MESSAGES)):
        provider = PROVIDERS[dialect]
        for stream in (False, True):
            for model, status, error, sees in (
                ("answer", 200, None, _EVENTS if stream else _ANSWER),
                ("cut", 200 if stream else 502, "cut" if stream else "upstream_cut", _EVENTS if stream else _sees()),
                ("error-400", 400, None, _ERROR),
                ("error-429", 429, None, _ERROR),
                ("error-500", 500, None, _ERROR),
                ("error-401", 502, "upstream_authentication", _sees()),
                ("error-403", 502, "upstream_authentication", _sees()),
                ("error-400-credential", 400, "upstream_error", _sees()),
                ("error-500-credential", 502, "upstream_error", _sees()),
                ("error-in-html", 502, "upstream_error", _sees()),
                ("text", 502, "upstream_protocol_error", _sees()),
                ("garbage", 502, "upstream_protocol_error", _sees()),
                ("garbage-in-the-head", 502, "upstream_protocol_error", _sees()),
            ):
                name = f"{dialect}-{model}{'-stream' * stream}"
                yield Case(name, f"{provider}/{model}", status, error, sees, path=path, stream=stream)


CASES = [
    *_of_each_dialect(),
    Case("literal", "literal/answer", 200, sees=_ANSWER),
    Case("embeddings", "env/answer", 200, sees=_ANSWER, path=EMBEDDINGS,
         body=json.dumps({"model": "env/answer", "input": canary("embeddings input", "embed {}")}).encode()),
    Case("second-try", "second-try", 200, sees=_ANSWER),
    Case("refused-connection", "dead/answer", 502, "upstream_unreachable"),
    Case("tls-failure", "tls/answer", 502, "upstream_unreachable"),
    Case("silence", "env/silence", 504, "upstream_timeout"),
    Case("mock", "embedded/mock-tokens-3", 200),
    Case("mock-error", "embedded/mock-status-401", 502, "upstream_authentication"),
    # Refusals
    Case("unknown-key", "env/answer", 401, "invalid_api_key", key=UNKNOWN_KEY),
    Case("second-credential", "env/answer", 401, "invalid_api_key", key=""),
    Case("not-of-the-team", "env/answer", 403, "model_not_allowed", key=OF_TEAM),
    Case("unknown-model", UNKNOWN_MODEL, 404, "model_not_found", _sees("unknown model, its first characters")),
    Case("unknown-path", "env/answer", 404, "unknown_path", _sees("path, its first characters"), path=UNKNOWN_PATH),
    Case("other-dialect", "file/answer", 400, "no_target_for_dialect"),
    Case("too-large", "env/answer" + " " * 70_000, 413, "body_too_large"),
    Case("media-type", "env/answer", 415, "unsupported_media_type", _sees("media type"),
         headers={"content-type": canary("media type", "text/{}")}),
    Case("not-json", "", 400, "invalid_body", body=canary("prompt", '{{"model": "x", "messages": {}').encode()),
    Case("twice", "", 400, "invalid_body", _sees("name of a field"),
         body=canary("name of a field", '{{"model": "x", "{0}": 1, "{0}": 2}}').encode()),
    Case("no-text", "", 400, "invalid_field", body=canary("prompt", '{{"model": ["{}"]}}').encode()),
    Case("rule-rejects", "env/answer", 403, "rejected_by_rule",
         headers={"x-purpose": canary("header that a rule reads", "reject-{}")}),
    Case("rule-reads-query", "env/answer", 418, "rejected_by_rule", query=canary("query parameter", "teapot-{}")),
    Case("rule-fails", "env/answer", 200, sees=_ANSWER, headers={"x-number": canary("header that a rule reads")}),
]  # fmt: skip


class Trial:
    """A router under test, with all that is known of it."""

    def __init__(self, folder: Path, face: str, log: str) -> None:
        self.evidence = Evidence()
        self.provider = CanaryProvider()
        self.log = log
        self.folder = folder
        for name in ("tmp", "home"):
            (folder / name).mkdir()
        (folder / "provider-key").write_text(canary("provider key from a file") + "\n")
        self.environment = {
            "CANARY_ENVIRONMENT": canary("provider key from the environment"),
            "CANARY_MISPLACED": MISPLACED,
            "TMPDIR": str(folder / "tmp"),
            "HOME": str(folder / "home"),
        }
        self.config = configuration(self.provider, face, log)
        self.router = Router(folder, self.config, self.environment)
        self.evidence.add(Place.GIVEN, "environment", json.dumps(self.environment))
        self.evidence.add(Place.GIVEN, "provider-key", (folder / "provider-key").read_bytes())
        self.evidence.add(Place.GIVEN, "configuration", self.router.file.read_bytes())
        self.router.ready()

    def ask(self, case: Case) -> None:
        """Send a request, and check what its client got to see."""
        fields = {"model": case.model, **PROMPTS, "stream": case.stream}
        body = json.dumps(fields).encode() if case.body is None else case.body
        path = f"{case.path}?tier={canary('query parameter', case.query + '-{}')}" if case.query == "fine" else (
            f"{case.path}?tier={case.query}"
        )  # fmt: skip
        headers = self.headers(case.name, case.key) | dict(case.headers)
        answer = self.send("POST", path, body, headers, case.name)
        assert answer.status == case.status, answer
        seen = found(_bytes(answer)) - {"request id"}
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
        self.evidence.add(Place.CLIENT, label, _bytes(answer))
        return answer

    def admin(self, method: str, path: str) -> Answer:
        """Ask the admin listener as somebody who sends secrets there, too."""
        headers = self.headers("admin", KEY)
        query = canary("query parameter", "?key={}")
        answer = self.router.admin.ask(method, path + query, None, headers)
        self.evidence.add(Place.ADMIN, path, _bytes(answer))
        return answer

    def command(self, *arguments: str, status: int, without: str = "", **more: str) -> str:
        """Run a command with the router's environment; gives all that it printed."""
        environment = {**os.environ, **self.environment, "EDGEROUTE_RUN_DIR": str(self.folder / "other-run"), **more}
        environment.pop(without, None)
        done = subprocess.run(
            [sys.executable, "-m", "edgeroute", *arguments],
            cwd=self.folder, env=environment, capture_output=True, check=False, timeout=PATIENCE,
        )  # fmt: skip
        said = (done.stdout + done.stderr).decode()
        assert done.returncode == status, said
        assert "Traceback" not in said
        self.evidence.add(Place.COMMAND, " ".join(arguments), said)
        return said

    def write(self, name: str, text: str) -> str:
        """A file of the test's own."""
        (self.folder / name).write_text(text)
        self.evidence.add(Place.GIVEN, name, text)
        return name


def request_id(name: str) -> str:
    return f"{core('request id')}.{name}"


def _bytes(answer: Answer) -> bytes:
    return json.dumps([answer.status, answer.headers]).encode() + answer.body


@pytest.fixture(scope="module", params=[("asgi", "text"), ("rsgi", "json")], ids="-".join)
def trial(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trial]:
    trial = Trial(tmp_path_factory.mktemp("canary"), *request.param)
    try:
        yield trial
    finally:
        trial.provider.close()
        trial.router.close()


# In this order: the last test looks at what all the others did.


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_request(trial: Trial, case: Case) -> None:
    trial.ask(case)


def test_lists_of_models(trial: Trial) -> None:
    for path in ("/v1/models", "/v1/models/second-try", "/anthropic/v1/models"):
        answer = trial.send("GET", path, None, trial.headers("models", KEY), path)
        assert (answer.status, found(_bytes(answer))) == (200, {"request id"})


def test_a_client_that_leaves_and_one_that_has_to_wait(trial: Trial) -> None:
    body = {"model": "env/hold", **PROMPTS}
    with trial.router.stream(CHAT, body, key=LIMITED) as response:
        trial.evidence.add(Place.CLIENT, "held", response.read1())
        trial.ask(Case("limited", "env/answer", 429, "rate_limit_exceeded", key=LIMITED))
    trial.evidence.add(Place.GIVEN, "held", LIMITED)
    wait_for(lambda: "disconnected" in trial.router.said())


def test_the_admin_listener(trial: Trial) -> None:
    for method, path in (
        ("GET", "/healthz"),
        ("GET", "/readyz"),
        ("GET", "/metrics"),
        ("GET", "/status"),
        ("POST", "/reload"),
        ("POST", "/status"),
        ("GET", f"/{core('path, its first characters')}"),
    ):
        trial.admin(method, path)
    # Something was measured, so that its absence from the page means something.
    assert trial.router.metrics()['edgeroute_rule_errors_total{rule="odd"}'] >= 1


FAULTY_FILES = {
    "misspelt": f"providers:\n  one: {{dialect: openai-chat, api_kee: {FAULTY}}}\n",
    "misspelt-in-a-block": f"providers:\n  one:\n    apikye: {FAULTY}\n",
    "other-word": f"providers:\n  one: {{bearer: {FAULTY}, Authorization: Bearer {FAULTY}}}\n",
    "of-litellm": f"model_list:\n  - litellm_params: {{model: a, api_key: {FAULTY}}}\n"
    f"general_settings: {{master_key: {FAULTY}}}\n",
    "list": f"providers: {{one: {{dialect: openai-chat, api_key: [{FAULTY}]}}}}\n",
    "no-map": f"providers: {{one: {FAULTY}}}\nvirtual_keys: {{two: {FAULTY}}}\n",
    "key-as-a-name": f"virtual_keys: {{x: {{hash: {STRANGE}}}}}\n"
    f"models: {{a: {STRANGE}, b: {{targets: [{STRANGE}]}}}}\n",
    "in-a-url": f"providers: {{one: {{url: 'https://user:{FAULTY}@host/v1'}}, two: {{url: 'https://host/v1?key={FAULTY}'}}}}\n",
    "syntax-error": f"providers:\n  one: {{api_key: {FAULTY}, url: [}}\n",
    "unclosed-quote": f"providers:\n  one: {{api_key: '{FAULTY}}}\nlisten: x\n",
    "tab": f"providers:\n  one:\n\tapi_key: {FAULTY}\n",
    "anchor": f"providers: {{one: {{api_key: &key {FAULTY}}}, two: {{api_key: *key}}}}\n",
    "twice": f"providers: {{one: {{api_key: {FAULTY}, api_key: {FAULTY}}}}}\n",
    "in-a-rule": f"rules:\n  - {{name: x, when: 'headers[\"authorization\"] == \"{STRANGE}\" +', reject: no}}\n",
    "variables": "listen: '${CANARY_MISPLACED}'\nworkers: '${CANARY_MISPLACED}'\nlog: '${CANARY_MISPLACED}'\n"
    "providers: {one: {dialect: '${CANARY_MISPLACED}', url: '${CANARY_MISPLACED}'}}\n"
    "models: {a: '${CANARY_MISPLACED}', b: {targets: {'${CANARY_MISPLACED}': 1}, fallbacks: ['${CANARY_MISPLACED}']}}\n"
    "virtual_keys: {x: {hash: '${CANARY_MISPLACED}', team: '${CANARY_MISPLACED}'}}\n"
    "max_body: '${file:provider-key}'\n",
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTY_FILES)
def test_a_faulty_configuration(trial: Trial, fault: str) -> None:
    """Checked, and given to a running router, which serves on."""
    text = FAULTY_FILES[fault]
    valid = trial.router.file.read_text()
    trial.evidence.add(Place.GIVEN, "misplaced", MISPLACED)
    trial.command("check", trial.write(f"{fault}.yaml", text), status=2)
    trial.write("draft", text)
    (trial.folder / "draft").rename(trial.router.file)
    try:
        assert trial.admin("POST", "/reload").status == 422
    finally:
        trial.router.file.write_text(valid)
    assert trial.admin("POST", "/reload").status == 200


def test_a_valid_reload(trial: Trial) -> None:
    trial.config["models"]["new"] = "env/answer"
    trial.router.configure(trial.config)
    assert trial.admin("POST", "/reload").json["result"] in ("applied", "unchanged")
    trial.ask(Case("reloaded", "new", 200, sees=_ANSWER))


def test_commands(trial: Trial) -> None:
    """Each command that reads a configuration or speaks to a router; `test_every_command_is_here` lists the others."""
    secret = canary("request that is explained")
    headers = {"authorization": f"Bearer {KEY}", "x-number": secret, "cookie": core("cookie")}
    body = {"model": "second-try", "messages": [{"role": "user", "content": secret}], "user": secret}
    path = f"{CHAT}?tier={secret}"
    good = trial.write("request.json", json.dumps({"path": path, "headers": headers, "body": body}))
    wrong = {
        "headers": {"path": path, "headers": f"Bearer {secret}", "body": body},
        "header": {"path": path, "headers": {"authorization": [f"Bearer {secret}"]}, "body": body},
        "facts": {"path": path, "headers": headers, "facts": secret},
        "facts-of": {"path": path, "headers": headers, "facts": {"tokens_used": secret}},
        "seed": {"path": path, "headers": headers, "seed": secret},
        "all": secret,
    }
    for form in ([], ["--json"]):
        said = trial.command("explain", good, "--config", "edgeroute.yaml", *form, status=0)
        assert "second-try" in said
        assert "everything" in said
        for name, request in wrong.items():
            file = trial.write(f"{name}.json", json.dumps(request))
            trial.command("explain", file, "--config", "edgeroute.yaml", *form, status=2)
    trial.command("explain", trial.write("cut.json", json.dumps(body)[:-20]), "--config", "edgeroute.yaml", status=2)
    assert "ok" in trial.command("check", "edgeroute.yaml", status=0)
    trial.command("reload", "--admin", f"127.0.0.1:{trial.router.admin.port}", status=0)
    for arguments in (["schema"], ["version"], ["--help"], ["explain", "--help"]):
        trial.command(*arguments, status=0)


def test_every_command_is_here() -> None:
    """A new command has to be driven by `test_commands`, or to be left out here for a reason."""
    driven = {"run", "check", "explain", "reload", "schema", "version"}
    without_secrets = {"mock"}  # the mock provider, which runs inside the router under test
    assert set(COMMANDS) == driven | without_secrets


def test_every_secret_setting_has_a_canary() -> None:
    """A new setting that is a secret has to be given in `configuration`, and to have a row in `POLICY`."""
    structs = [each for each in vars(schema).values() if isinstance(each, type) and issubclass(each, msgspec.Struct)]
    hints = [(f"{each.__name__}.{name}", str(hint)) for each in structs for name, hint in get_type_hints(each).items()]
    assert {name for name, hint in hints if "Secret" in hint} == {"Provider.api_key"}


def test_a_router_that_cannot_start(trial: Trial) -> None:
    config = json.loads(trial.router.file.read_text())
    run = ("run", "--config")

    def changed(name: str, **changes: Any) -> str:
        free = {"listen": f"127.0.0.1:{free_port()}", "admin": f"127.0.0.1:{free_port()}", "mock": None}
        return trial.write(name, json.dumps({k: v for k, v in (config | free | changes).items() if v is not None}))

    one = config["providers"]["env"]
    assert "in use" in trial.command(*run, changed("port.yaml", listen=config["listen"]), status=1)
    assert "in use" in trial.command(*run, changed("admin.yaml", admin=config["admin"]), status=1)
    missing = changed("missing.yaml")
    assert "is not set" in trial.command(*run, missing, status=2, without="CANARY_ENVIRONMENT")
    (trial.folder / "folder").mkdir(exist_ok=True)
    for number, file in enumerate(("nothing-here", "folder", "/dev/zero")):
        unreadable = changed(f"unreadable-{number}.yaml", providers={"env": one | {"api_key": f"${{file:{file}}}"}})
        assert "cannot read" in trial.command(*run, unreadable, status=2)
    (trial.folder / "open").mkdir(mode=0o755, exist_ok=True)
    assert "chmod" in trial.command(*run, missing, status=1, EDGEROUTE_RUN_DIR=str(trial.folder / "open"))
    taken = str(trial.folder / "run")
    assert "in use" in trial.command(*run, missing, status=1, EDGEROUTE_RUN_DIR=taken)
    trial.command(*run, "misspelt.yaml", status=2)
    trial.command(*run, trial.write("none.yaml", ""), status=2)


def test_processes_and_files(trial: Trial) -> None:
    """Credentials are in no command line, and in one private file."""
    processes = descendants(trial.router.pid)
    assert len(processes) >= 5, "supervisor, server, two workers, mock"
    for pid in processes:
        trial.evidence.add(Place.PROCESSES, f"process {pid}", Path(f"/proc/{pid}/cmdline").read_bytes())
    run = trial.folder / "run"
    assert stat.S_IMODE(run.stat().st_mode) == 0o700
    assert {re.sub("[0-9]+", "N", path.name) for path in run.iterdir()} == {"cells", "lock", "generation-N.json"}
    for path in run.iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        place = Place.GENERATION if path.name.startswith("generation-") else Place.DISK
        trial.evidence.add(place, str(path), path.name.encode() + path.read_bytes())
    assert not any((trial.folder / "tmp").iterdir())
    assert not any((trial.folder / "home").iterdir())
    ours = {"run", "tmp", "home", "provider-key", "edgeroute.yaml", "output.txt", "other-run", "folder", "open"}
    strange = {path.name for path in trial.folder.iterdir()} - ours
    assert not {name for name in strange if not name.endswith((".yaml", ".json"))}


def test_workers_that_are_killed(trial: Trial) -> None:
    before = trial.router.workers()
    with trial.router.stream(CHAT, {"model": "env/hold", **PROMPTS}, key=KEY) as response:
        trial.evidence.add(Place.CLIENT, "killed", response.read1())
        for worker in before:
            os.kill(worker, signal.SIGKILL)
    wait_for(lambda: len(set(trial.router.workers()) - set(before)) == 2)
    wait_for(lambda: all(f"worker {worker} died" in trial.router.said() for worker in before))


def test_a_corrupt_generation(trial: Trial) -> None:
    """A worker that cannot start says so, without a word of what it read."""
    generation = trial.router.status()["generation"]
    file = trial.folder / "run" / f"generation-{generation}.json"
    good = file.read_bytes()
    for number, corrupt in enumerate(
        (
            good.replace(b'"weight":1', f'"weight":"{CORRUPT}"'.encode()),
            good.replace(b'"max_body":', f'"max_body":"{CORRUPT}","x":'.encode()),
        ),
        1,
    ):
        assert corrupt != good
        trial.evidence.add(Place.GIVEN, "corrupt", corrupt)
        file.write_bytes(corrupt)
        victim = trial.router.workers()[0]
        os.kill(victim, signal.SIGKILL)
        wait_for(lambda number=number: trial.router.said().count("cannot start: ") >= number)
        file.write_bytes(good)
        wait_for(lambda victim=victim: len(set(trial.router.workers()) - {victim}) == 2)


def test_what_python_shows(trial: Trial) -> None:
    """Objects that hold credentials print without them; so do the exceptions about them."""
    loaded = load(trial.router.file, trial.environment)
    cells = Cells.anonymous()
    cells.publish(1)
    worker = Worker(cells, 1, True)
    snapshot = worker.compile(loaded.normalised, 1)
    worker.configure(snapshot)
    head = [(name.encode(), value.encode()) for name, value in trial.headers("object", KEY).items()]
    ticket = worker.decide("POST", CHAT, "", head, "127.0.0.1", json.dumps({"model": "env/answer", **PROMPTS}).encode())
    things: list[object] = [
        loaded, loaded.config, loaded.warnings, *loaded.config.providers.values(), *loaded.config.virtual_keys.values(),
        *(provider.api_key for provider in loaded.config.providers.values()),
        cells, worker, snapshot, ticket,
    ]  # fmt: skip
    ticket.close()
    credential = loaded.config.providers["env"].api_key
    for fail in (
        lambda: Snapshot.compile(loaded.normalised[:-9], cells, 2),
        lambda: Snapshot.compile(loaded.normalised.replace(b'"weight":1', f'"weight":"{CORRUPT}"'.encode()), cells, 2),
        lambda: msgspec.json.encode(loaded.config),
        lambda: pickle.dumps(snapshot),
        lambda: int(credential),  # pyright: ignore[reportArgumentType]
        lambda: setattr(loaded.config, "log", credential),
        *(lambda text=text: load(_written(trial.folder, text), trial.environment) for text in FAULTY_FILES.values()),
    ):
        with pytest.raises((ConfigError, ValueError, TypeError, AttributeError)) as raised:
            fail()
        things += [raised.value, raised.value.args, getattr(raised.value, "diagnostics", None)]
    for thing in things:
        trial.evidence.add(Place.OBJECTS, type(thing).__name__, f"{thing!r} {thing!s} {thing}")
    # `hash` is the one private value that a structure shows: who holds the configuration object may see it.
    trial.evidence.seen[Place.OBJECTS] = [
        (label, data.replace(hash_of(KEY).encode(), b"")) for label, data in trial.evidence.seen[Place.OBJECTS]
    ]


def _written(folder: Path, text: str) -> Path:
    """The file of an attempt to load a text."""
    path = folder / "object.yaml"
    path.write_text(text)
    return path


def test_the_log_has_a_line_for_each_request(trial: Trial) -> None:
    for case in CASES:
        wait_for(lambda name=case.name: f"{request_id(name)}" in trial.router.said())
    lines = [line for line in trial.router.said().split("\n") if core("request id") in line]
    for case in CASES:
        [line] = [line for line in lines if re.search(rf"{re.escape(request_id(case.name))}[ \"]", line)]
        status, error = (
            (json.loads(line)["status"], json.loads(line).get("error"))
            if trial.log == "json"
            else (int(line.split()[1]), (re.findall(r" error=(\S+)", line) or [None])[0])
        )
        assert status == case.status, line
        if case.error is not None:
            assert error == case.error, line
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f]", trial.router.said()), "what clients send commands no terminal"


def test_canaries_are_where_they_may_be(trial: Trial) -> None:
    """Everything together: no leak, and no canary that was not there."""
    for request in trial.router.mock.requests():
        trial.evidence.add(Place.PROVIDER, "the mock", json.dumps(request["headers"]).encode() + request["body"])
    for received in trial.provider.received:
        trial.evidence.add(Place.PROVIDER, "the provider", received)
    for sent in trial.provider.sent:
        trial.evidence.add(Place.GIVEN, "the provider", sent)
    trial.router.stop()
    wait_for(lambda: not (trial.folder / "run" / "cells").exists())
    assert not any((trial.folder / "run").iterdir()), "what is shared is removed at the end"
    trial.evidence.add(Place.LOG, "output.txt", trial.router.output.read_bytes())
    problems = trial.evidence.problems()
    assert not problems, "\n".join(problems)


def descendants(pid: int) -> list[int]:
    """A process and all that it started."""
    found: list[int] = [pid]
    for path in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in path.read_text().split():
            found += descendants(int(child))
    return found
