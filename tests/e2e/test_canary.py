"""Canaries through everything that prints: what is private stays where `canaries.POLICY` says, and was really there."""

import contextlib
import json
import os
import pickle
import re
import signal
import socket
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_type_hints

import msgspec
import pytest
from canaries import Place, canary, core, found, hash_of
from canary_cases import CASES, CHAT, KEY, LIMITED, PROMPTS, QUESTION, RESPONSES, Case
from canary_faults import (
    BIFROST,
    FAULTY_FILES,
    FOREIGN_FAULTS,
    LITELLM,
    LITELLM_KEYS,
    LITELLM_TEAMS,
    MISPLACED,
    VIRTUAL_KEY,
)
from canary_provider import kept_answer
from canary_trial import ADMIN_KEY, WRONG_ADMIN_KEY, Trial, bytes_of, descendants, request_id
from e2e_router import Answer, Http
from waiting import free_port, wait_for

from edgeroute._native import Cells, Snapshot, Worker
from edgeroute.cli import COMMANDS
from edgeroute.config import ConfigError, load, schema
from edgeroute.config.certificates import PemFile
from edgeroute.config.values import Secret

CORRUPT = canary("credential in a corrupt generation")
NEW_KEY = re.compile(r"\bsk-[\w-]{43}(?![\w-])")
"""A virtual key as edgeroute makes them."""


@pytest.fixture(scope="module", params=[("asgi", "text"), ("rsgi", "json")], ids="-".join)
def trial(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trial]:
    with contextlib.closing(Trial(tmp_path_factory.mktemp("canary"), *request.param)) as trial:
        yield trial


# In this order: the last test looks at what all the others did.


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_request(trial: Trial, case: Case) -> None:
    trial.ask(case)


def test_lists_of_models(trial: Trial) -> None:
    for path in ("/v1/models", "/v1/models/second-try", "/anthropic/v1/models"):
        answer = trial.send("GET", path, None, trial.headers("models", KEY), path)
        assert (answer.status, found(bytes_of(answer))) == (200, {"request id"})


def test_responses_that_nobody_keeps(trial: Trial) -> None:
    path = f"{RESPONSES}/{core('path, its first characters')}"
    for method in ("GET", "DELETE"):
        assert trial.send(method, path, None, trial.headers("kept", KEY), path).status == 404


def test_a_client_that_leaves_and_one_that_has_to_wait(trial: Trial) -> None:
    body = {"model": "env/hold", **PROMPTS}
    with trial.router.stream(CHAT, body, key=LIMITED) as response:
        trial.evidence.add(Place.CLIENT, "held", response.read1())
        trial.ask(Case("limited", "env/answer", 429, "rate_limit_exceeded", key=LIMITED))
    trial.evidence.add(Place.GIVEN, "held", LIMITED)
    wait_for(lambda: "disconnected" in trial.router.said())


def test_an_answer_that_is_kept(trial: Trial) -> None:
    """It is given again, and lies on the disk with its question, as nothing else of the request does."""
    body = json.dumps(QUESTION | {"metadata": PROMPTS["metadata"]}).encode()

    def ask() -> Answer | None:
        answer = trial.send("POST", CHAT, body, trial.headers("kept", KEY), "kept")
        return answer if answer.headers["x-edgeroute-cache"].startswith("hit") else None

    answer = wait_for(ask)  # the other worker may not know of it yet
    assert isinstance(answer, Answer)
    assert found(bytes_of(answer)) - {"request id"} == {"answer that is kept"}
    for path in (trial.folder / "cache").iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        trial.evidence.add(Place.CACHE, path.name, path.name.encode() + path.read_bytes())
    wait_for(lambda: "answers are not shared over Redis" in trial.router.said())


def test_questions_that_embedders_get(trial: Trial) -> None:
    """They lie on the disk with their vectors; what embedders say else is nobody's business."""
    for embedder, question in (
        ("vectors", "question that an embedder gets"),
        ("error-401", "prompt"),
        ("error-500-credential", "prompt"),
    ):
        messages = [{"role": "user", "content": canary(question, "what is {}?")}]
        body = json.dumps({"model": f"kept-by-{embedder}", "messages": messages}).encode()
        answer = trial.send("POST", CHAT, body, trial.headers("embedded", KEY), embedder)
        sees = found(bytes_of(answer)) - {"request id", "header of a provider"}
        assert (answer.status, sees) == (200, {"answer that is kept"})
    for embedder in ("error-401", "error-500-credential"):
        wait_for(lambda embedder=embedder: f"the cache's embedder `env/{embedder}` fails" in trial.router.said())
    [file] = (path for path in (trial.folder / "cache").iterdir() if path.name.endswith(".mdb"))
    wait_for(lambda: "question that an embedder gets" in found(file.read_bytes()))
    trial.evidence.add(Place.CACHE, file.name, file.read_bytes())


def test_the_admin_listener(trial: Trial) -> None:
    own, wrong = core("path, its first characters"), (KEY, WRONG_ADMIN_KEY, f"{WRONG_ADMIN_KEY} {ADMIN_KEY}", "", None)
    for method, path, status, guarded in (
        ("GET", "/healthz", 200, False),
        ("GET", "/readyz", 200, False),
        ("GET", "/metrics", 200, False),
        ("GET", "/status", 200, True),
        ("POST", "/reload", 200, True),
        ("GET", "/cache", 200, True),
        ("POST", "/cache/purge", 400, True),
        ("POST", "/status", 405, False),
        ("GET", f"/{own}", 404, False),
    ):
        assert trial.admin(method, path).status == status
        for key in wrong:
            assert trial.admin(method, path, key).status == (401 if guarded else status)
    for odd in ("BREW /status HTTP/1.1", "GET /status HTTP/9.9", "GET /status", "GET  /status  HTTP/1.1"):
        with trial.router.admin.raw() as connection:
            connection.sendall(f"{odd}\r\nauthorization: Bearer {WRONG_ADMIN_KEY}\r\n\r\n".encode())
            connection.shutdown(socket.SHUT_WR)
            trial.evidence.add(Place.ADMIN, odd, connection.makefile("rb").read())
    # Something was measured, so that its absence from the page means something.
    assert trial.router.metrics()['edgeroute_rule_errors_total{rule="odd"}'] >= 1


@pytest.mark.parametrize("fault", FAULTY_FILES)
def test_a_faulty_configuration(trial: Trial, fault: str) -> None:
    """Checked, and given to a running router, which serves on."""
    text = FAULTY_FILES[fault]
    valid = trial.router.file.read_text()
    trial.evidence.add(Place.GIVEN, "misplaced", MISPLACED)
    file = trial.write(f"{fault}.yaml", text)
    for command in (["check"], ["check", "--json"], ["models"]):
        trial.command(*command, "-c", file, status=2)
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
    trial.ask(Case("reloaded", "new", 200, sees=frozenset({"answer", "header of a provider"})))


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
    assert "ok" in trial.command("check", "-c", "edgeroute.yaml", status=0)
    assert "second-try" in trial.command("models", status=0)
    case = {"name": "a case", "request": {"path": path, "headers": headers, "body": body}, "expect": {"rules": "odd"}}
    cases = {"configuration": "edgeroute.yaml", "key": "everything", "cases": [case]}
    policy = trial.write("policy.test.yaml", json.dumps(cases))
    misplaced = trial.write("wrong.test.yaml", json.dumps(cases | {"key": secret}))
    for form in ([], ["--json"]):
        assert "odd" in trial.command("test", policy, *form, status=1)
        trial.command("test", misplaced, *form, status=2)
        assert "marked" in trial.command("rules", "explain", *form, status=0)
    for arguments in (["check", "--json"], ["models", "--json"], ["schema"], ["version"], ["--help"]):
        trial.command(*arguments, status=0)
    for shell in ("bash", "zsh", "fish"):
        trial.command("completion", shell, status=0)


def test_answers_that_are_written_down(trial: Trial) -> None:
    """They come into the cache, which the command then says nothing of but their number."""
    line = {"virtual_key": "everything", "request": QUESTION, "response": json.loads(kept_answer())}
    secret = canary("request that is explained")
    wrong = [line | {"headers": secret}, line | {"ttl": secret}, line | {"request": {"model": 1, "user": secret}}]
    good = trial.write("good.json", json.dumps(line))
    bad = trial.write("bad.json", "\n".join(map(json.dumps, wrong)) + f'\n{{"request": {secret}')
    for form in ([], ["--json"]):
        assert "1" in trial.command("cache", "warm", good, "-c", "edgeroute.yaml", *form, status=0)
        trial.command("cache", "warm", bad, "-c", "edgeroute.yaml", *form, status=1)


@pytest.mark.parametrize(
    "command",
    [
        [*name, *form]
        for name in (
            ["status"], ["reload"], ["replicas", "list"], ["cache", "report"], ["cache", "purge", "--model", "kept"]
        )
        for form in ([], ["--json"])
    ],
    ids=" ".join,
)  # fmt: skip
def test_commands_for_a_running_router(trial: Trial, command: list[str]) -> None:
    here = ("--admin", f"127.0.0.1:{trial.router.admin.port}")
    trial.command(*command, *here, status=0, EDGEROUTE_ADMIN_KEY=ADMIN_KEY)
    assert "refuses" in trial.command(*command, *here, status=1)
    assert "refuses" in trial.command(*command, *here, status=1, EDGEROUTE_ADMIN_KEY=WRONG_ADMIN_KEY)
    trial.command(*command, *here, status=2, EDGEROUTE_ADMIN_KEY=f"Bearer {WRONG_ADMIN_KEY}")
    assert "EDGEROUTE_ADMIN" in trial.command(*command, status=2, EDGEROUTE_ADMIN=MISPLACED)


def test_a_replica_that_is_refused(trial: Trial) -> None:
    """A credential in its URL is not told to anybody."""
    here = ("--admin", f"127.0.0.1:{trial.router.admin.port}")
    url = f"http://user:{MISPLACED}@127.0.0.1:9/v1"
    for form in ([], ["--json"]):
        for action in ("add", "drain"):
            trial.command("replicas", action, "env", url, *form, *here, status=1, EDGEROUTE_ADMIN_KEY=ADMIN_KEY)


def test_settings_of_the_environment(trial: Trial) -> None:
    for variable in ("EDGEROUTE_LISTEN", "EDGEROUTE_ADMIN", "EDGEROUTE_WORKERS", "EDGEROUTE_LOG"):
        for form in ([], ["--json"]):
            assert variable in trial.command("check", *form, status=2, **{variable: MISPLACED})
    for proxy in (f"https://user:{MISPLACED}@host", f"http://user:a/{MISPLACED}@host", MISPLACED + ":x"):
        assert "proxy" in trial.command("check", status=2, https_proxy=proxy)


def test_commands_for_keys(trial: Trial) -> None:
    """A new key is shown once; one that somebody has is shown never."""
    for form in ([], ["--json"]):
        assert len(NEW_KEY.findall(trial.command("keys", "new", "search", "--team", "narrow", *form, status=0))) == 1
        key = canary("virtual key that is hashed")
        assert hash_of(key) in trial.command("keys", "hash", *form, status=0, given=f"{key}\n")
        trial.command("keys", "hash", *form, status=2, given=f"Bearer {key}\n")
        trial.command("keys", "hash", *form, status=2, given=f"{key * 3000}\n")
        assert "no argument" in trial.command("keys", "hash", key, *form, status=2)


def test_imports(trial: Trial) -> None:
    """Keys in other gateways' files are hashed, or left out; their providers' credentials are not copied."""
    tables = ("--keys", trial.write("keys.csv", LITELLM_KEYS), "--teams", trial.write("teams.json", LITELLM_TEAMS))
    for source, (gateway, *arguments) in {
        LITELLM: ("litellm", *tables),
        BIFROST: ("bifrost",),
    }.items():
        file = trial.write(f"of-{gateway}.yaml", source)
        for form in ([], ["--json"], ["--strict"]):
            command = ("import", gateway, file, *arguments, *form)
            said = trial.command(*command, status=1 if form == ["--strict"] else 0)
            assert hash_of(VIRTUAL_KEY) in said
        made = f"from-{gateway}.yaml"
        trial.command("import", gateway, file, *arguments, "-o", made, status=0)
        trial.evidence.add(Place.DISK, made, (trial.folder / made).read_bytes())
    for name, text in FOREIGN_FAULTS.items():
        file = trial.write(f"foreign-{name}.json", text)
        for gateway in ("litellm", "bifrost"):
            trial.command("import", gateway, file, status=None)
        trial.command("import", "litellm", "of-litellm.yaml", "--keys", file, "--teams", file, status=None)


def test_a_configuration_made_from_the_environment(trial: Trial) -> None:
    """It is printed, without a secret but the key that is made for it: that is shown once and stored nowhere."""
    provider = {"OPENAI_API_KEY": canary("provider key from the environment")}

    def use(listener: Http, files: list[bytes], said: str) -> None:
        [key] = NEW_KEY.findall(said)
        assert listener.ask("GET", "/v1/models", headers={"authorization": f"Bearer {key}"}).status == 200
        assert not any(key.encode() in each for each in files)
        assert any(hash_of(key).encode() in each for each in files)

    assert len(NEW_KEY.findall(trial.from_environment(use, **provider))) == 1
    given = canary("virtual key of the environment")
    said = trial.from_environment(lambda _listener, _files, _said: None, **provider, EDGEROUTE_KEY=given)
    assert not NEW_KEY.findall(said)
    for command in (["check"], ["check", "--json"], ["models"], ["models", "--json"]):
        assert not NEW_KEY.findall(trial.command(*command, folder="empty", status=0, **provider))
        trial.command(*command, folder="empty", status=2, **provider, EDGEROUTE_KEY=f"a {given}")


def test_every_command_is_here() -> None:
    """A new command has to be driven by a test here, or to be left out for a reason."""
    driven = {
        "run",
        "check",
        "explain",
        "test",
        "rules",
        "models",
        "keys",
        "status",
        "reload",
        "replicas",
        "cache",
        "import",
        "completion",
        "schema",
        "version",
    }
    without_secrets = {"mock"}  # the mock provider, which runs inside the router under test
    assert set(COMMANDS) == driven | without_secrets


def test_every_secret_setting_has_a_canary() -> None:
    """A new setting that is a secret has to be given in `configuration`, and to have a row in `POLICY`."""
    structs = [each for each in vars(schema).values() if isinstance(each, type) and issubclass(each, msgspec.Struct)]
    hints = [(f"{each.__name__}.{name}", str(hint)) for each in structs for name, hint in get_type_hints(each).items()]
    private = {kind.__name__ for kind in (Secret, *Secret.__subclasses__(), *PemFile.__subclasses__())}
    assert {name for name, hint in hints if private & set(re.findall(r"\w+", hint))} == {
        "Config.admin_key", "Tls.certificate", "Tls.key", "Provider.api_key", "Provider.api_keys", "Provider.headers",
        "Provider.proxy", "Provider.ca_file", "Settings.headers", "Cache.redis",
    }  # fmt: skip


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
    assert {re.sub("[0-9]+", "N", path.name) for path in run.iterdir()} == {
        "cells", "lock", "generation-N.json", "tls.pem",
    }  # fmt: skip
    places = {"generation": Place.GENERATION, "tls": Place.CERTIFICATE}
    for path in run.iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        place = places.get(re.split("[-.]", path.name)[0], Place.DISK)
        trial.evidence.add(place, str(path), path.name.encode() + path.read_bytes())
    assert not any((trial.folder / "tmp").iterdir())
    assert not any((trial.folder / "home").iterdir())
    ours = {
        "run",
        "cache",
        "tmp",
        "home",
        "authority",
        "provider-key",
        "output.txt",
        "other-run",
        "folder",
        "open",
        "empty",
    }
    strange = {path.name for path in trial.folder.iterdir()} - ours
    assert not {name for name in strange if not name.endswith((".yaml", ".json", ".csv"))}


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
            good.replace(b"http://user:", f"{CORRUPT}://{CORRUPT}:".encode()),
            good.replace(b"CERTIFICATE-----", f"CERTIFICATE-----{CORRUPT}".encode()),
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
        *(getattr(each, name) for each in loaded.config.providers.values() for name in type(each).__struct_fields__),
        loaded.config.admin_key, loaded.config.tls,
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
    around = trial.around
    for provider in (around.provider, around.secure):
        for received in provider.received:
            trial.evidence.add(Place.PROVIDER, "a provider", received)
        for sent in provider.sent:
            trial.evidence.add(Place.GIVEN, "a provider", sent)
    trial.evidence.add(Place.REDIS, "Redis", b"".join(around.redis.received))
    for proxy in (around.proxy, around.other_proxy):
        trial.evidence.add(Place.PROXY, "a proxy", b"".join(proxy.received))
        assert around.secure.address in proxy.targets
    trial.router.stop()
    wait_for(lambda: not (trial.folder / "run" / "cells").exists())
    assert not any((trial.folder / "run").iterdir()), "what is shared is removed at the end"
    trial.evidence.add(Place.LOG, "output.txt", trial.router.output.read_bytes())
    problems = trial.evidence.problems()
    assert not problems, "\n".join(problems)
