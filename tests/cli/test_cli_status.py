"""`edgeroute status`, `edgeroute replicas` and `edgeroute reload`, beside a router whose answers are chosen."""

import json
import shlex
import socket
import threading
from typing import Any

import msgspec
import pytest
from command_line import edgeroute
from router_answers import CACHE, REPLICAS, STATUS, Outcome, RouterAdmin
from waiting import free_port

from edgeroute.cli.cache import Report
from edgeroute.cli.cache import render as render_cache
from edgeroute.cli.output import Screen
from edgeroute.cli.status import Status, render
from edgeroute.config import Secret
from edgeroute.supervisor.caches import PurgeCommand, Purged

SHOWN = """\
edgeroute    0.1.0
state        ready
generation   3
listen       0.0.0.0:4000
admin        127.0.0.1:9400
pid          4711

worker   generation   heartbeat
4712     3            0.4 s ago
4713     2            2 m ago

target           in flight   breaker                replica
openai/gpt-5.5          12   closed                 https://api.openai.com/v1
vllm/llama               0   open for 12.3 s more   http://gpu-0:8000/v1
                             half-open              http://gpu-1:8000/v1

owner            limit                                used   most   full
team search      requests_per_minute                    12   6000    0 %
team search      tokens_per_minute     1900 (400 reserved)   2000   95 %
virtual key me   concurrency                             1      3   33 %
"""


def test_a_router_that_is_ready(router: RouterAdmin):
    assert edgeroute("status", "--admin", router.address) == (0, SHOWN, "")
    assert edgeroute("status", EDGEROUTE_ADMIN=router.address)[:2] == (0, SHOWN)
    code, out, _ = edgeroute("status", "--json", "--admin", router.address)
    assert (code, json.loads(out)) == (0, STATUS)


def test_a_router_that_is_not_ready(router: RouterAdmin):
    router.answers.now = STATUS | {"ready": False, "reason": "no worker lives", "workers": []}
    code, out, error = edgeroute("status", "--admin", router.address)
    assert (code, error) == (1, "")
    assert "state        not ready: no worker lives\n" in out
    assert "worker  " not in out
    assert edgeroute("status", "--json", "--admin", router.address)[0] == 1


def test_the_screen_decides_on_colour_and_width():
    status = msgspec.convert(STATUS, Status)
    assert render(status, Screen(1000, colour=False)) + "\n" == SHOWN
    assert "\x1b[32mready" in render(status, Screen(80, colour=True))
    narrow = render(status, Screen(40, colour=False))
    assert max(map(len, narrow.splitlines())) <= 40
    assert "…" not in narrow


def test_names_cannot_command_a_terminal(router: RouterAdmin):
    router.answers.now = STATUS | {"listen": "\x1b[2J", "reason": "\x1b]0;x\x07", "ready": False}
    assert "\x1b" not in edgeroute("status", "--admin", router.address)[1]
    router.answers.outcome = Outcome("applied", 1, "\x1b[2Jdone")
    assert edgeroute("reload", "--admin", router.address)[1] == "\ufffd[2Jdone\n"


# replicas

LISTED = """\
provider   replica                 weight   origin       breaker
vllm       http://gpu-0:8000/v1         2   configured   closed
vllm       http://gpu-1:8000/v1   drained   added        open

provider   replica                changed until restart
vllm       http://gpu-1:8000/v1   added, drained
vllm       http://gpu-7:8000/v1   removed, without effect

provider   looked up by              found   trouble
vllm       dns http://vllm:8000/v1       2   it names no replica

provider   replica                engine
vllm       http://gpu-0:8000/v1   3 running, 1 waiting, cache 42% full
vllm       http://gpu-1:8000/v1   Connection refused
"""


def test_replicas_are_listed_with_what_was_changed(router: RouterAdmin):
    assert edgeroute("replicas", "list", "--admin", router.address) == (0, LISTED, "")
    code, out, _ = edgeroute("replicas", "list", "--json", "--admin", router.address)
    assert (code, json.loads(out)) == (0, REPLICAS)


def test_the_status_shows_what_was_changed(router: RouterAdmin):
    router.answers.now = STATUS | {each: REPLICAS[each] for each in ("changes", "discovery", "engines")}
    out = edgeroute("status", "--admin", router.address)[1]
    assert LISTED.partition("\n\n")[2] in out


@pytest.mark.parametrize(
    ("arguments", "weight"),
    [("add vllm URL", None), ("add vllm URL --weight 3", 3), ("drain vllm URL", None), ("undrain vllm URL", None),
     ("remove vllm URL", None), ("weight vllm URL 3", 3)],
)  # fmt: skip
def test_a_replica_is_changed(router: RouterAdmin, arguments: str, weight: int | None):
    router.answers.outcome = Outcome("applied", 4, "replicas changed: generation 4 serves")
    code, out, error = edgeroute("replicas", *arguments.split(), "--admin", router.address)
    assert (code, out, error) == (0, "replicas changed: generation 4 serves\n", "")
    (command,) = router.answers.commands
    assert (command.action, command.provider, command.replica) == (arguments.partition(" ")[0], "vllm", "URL")
    assert command.weight == weight
    router.answers.outcome = Outcome("invalid", 4, "no")
    assert edgeroute("replicas", *arguments.split(), "--admin", router.address) == (1, "", "no\n")


# reload


def test_reload(router: RouterAdmin):
    done = "configuration reloaded: generation 4 serves"
    assert edgeroute("reload", "--admin", router.address) == (0, f"{done}\n", "")
    code, out, _ = edgeroute("reload", "--json", "--admin", router.address)
    assert (code, json.loads(out)) == (0, {"result": "applied", "generation": 4, "message": done})


def test_a_reload_that_is_refused(router: RouterAdmin):
    router.answers.outcome = Outcome("invalid", 3, "reload refused\nline 2")
    assert edgeroute("reload", "--admin", router.address) == (1, "", "reload refused\nline 2\n")
    code, out, error = edgeroute("reload", "--json", "--admin", router.address)
    assert (code, json.loads(out)["result"], error) == (1, "invalid", "")


# cache

REPORT = """\
cache
state       available
path        /var/cache/edgeroute
entries     1234 of 100000
size        5.0 MiB of 256.0 MiB
hit share   41.7%
not kept    5

model   cache               entries   hit   semantic   joined   miss   bypass   hit share
faq     semantic, observe      1200     4          1        0      7        2       41.7%
chat    by rules                  0     0          0        0      0        1

not answered because of   requests
names                            1
numbers                          3

compared with the model's   correct   wrong   unknown   correct, at least   answers
faq                              40       0        12               92.8%   not given
"""


def test_the_report_of_the_cache(router: RouterAdmin):
    assert edgeroute("cache", "report", "--admin", router.address) == (0, REPORT, "")
    code, out, _ = edgeroute("cache", "report", "--json", "--admin", router.address)
    assert (code, json.loads(out)) == (0, CACHE)


def test_the_report_without_a_cache():
    nothing: dict[str, Any] = CACHE | {"store": None, "models": [], "refused": {}, "dropped": 0}
    shown = render_cache(msgspec.convert(nothing, Report), Screen(1000, colour=False))
    assert shown == "cache\nstate   nothing is cached: no model and no rule has a cache"


def test_the_status_shows_the_cache(router: RouterAdmin):
    router.answers.now = STATUS | {"cache": CACHE["store"]}
    out = edgeroute("status", "--admin", router.address)[1]
    assert REPORT.partition("not kept")[0] in out
    router.answers.now = STATUS | {"cache": CACHE["store"] | {"available": False, "hit_share": None, "redis": True}}
    out = edgeroute("status", "--admin", router.address)[1]
    assert "state       not available: the log says why\n" in out
    assert "path        /var/cache/edgeroute, shared over Redis when it can be reached\n" in out
    assert "hit share   nothing was asked yet\n" in out


@pytest.mark.parametrize(
    ("option", "expected"),
    [
        ("--all", PurgeCommand(all=True)),
        ("--everybody", PurgeCommand(everybody=True)),
        ("--model faq", PurgeCommand(model="faq")),
        ("--team search", PurgeCommand(team="search")),
        ("--virtual-key me", PurgeCommand(virtual_key="me")),
        ("--older-than 1h", PurgeCommand(older_than="1h")),
        (f"--key {'0f' * 16}", PurgeCommand(key="0f" * 16)),
    ],
)
def test_a_purge(router: RouterAdmin, option: str, expected: PurgeCommand):
    done = router.answers.purged.message
    assert edgeroute("cache", "purge", *option.split(), "--admin", router.address) == (0, f"{done}\n", "")
    assert router.answers.purges == [expected]
    code, out, _ = edgeroute("cache", "purge", *option.split(), "--json", "--admin", router.address)
    assert (code, json.loads(out)) == (0, {"result": "applied", "entries": 12, "message": done})
    router.answers.purged = Purged("invalid", 0, "no")
    assert edgeroute("cache", "purge", *option.split(), "--admin", router.address) == (1, "", "no\n")


@pytest.mark.parametrize("options", ["", "--all --model faq", "--model ''"])
def test_a_purge_that_does_not_say_of_what(router: RouterAdmin, options: str):
    code, out, error = edgeroute("cache", "purge", *shlex.split(options), "--admin", router.address)
    assert (code, out, router.answers.purges) == (2, "", [])
    assert error.startswith("error: say which answers, by one of --key, --virtual-key, --team, --everybody, --model")


# The key, and who answers


def test_the_key_is_taken_from_the_environment():
    with RouterAdmin(Secret("letmein")) as router:
        for command in ("status", "reload"):
            code, out, error = edgeroute(command, "--admin", router.address)
            assert (code, out) == (1, "")
            assert error.startswith(f"error: the router on {router.address} refuses: this needs the header")
            assert "\n  help: export EDGEROUTE_ADMIN_KEY with the `admin_key`" in error
            code, _, error = edgeroute(command, "--admin", router.address, EDGEROUTE_ADMIN_KEY="canary")
            assert code == 1
            assert "canary" not in error
            assert edgeroute(command, "--admin", router.address, EDGEROUTE_ADMIN_KEY="letmein")[0] == 0


def test_a_key_that_is_none(router: RouterAdmin):
    code, _, error = edgeroute("status", "--admin", router.address, EDGEROUTE_ADMIN_KEY="can\nary")
    assert code == 2
    assert error.startswith("error: EDGEROUTE_ADMIN_KEY: a credential is printable")
    assert "can" not in error.split(":", 2)[1]


@pytest.mark.parametrize(
    "command",
    ["status", "reload", "replicas list", "replicas drain vllm http://gpu-0", "cache report", "cache purge --all"],
)
def test_nobody_there(command: str):
    address = f"127.0.0.1:{free_port()}"
    code, out, error = edgeroute(*command.split(), "--admin", address)
    assert (code, out) == (1, "")
    assert error.startswith(f"error: no router answers on {address}: Connection refused\n  help: --admin takes ")
    code, out, error = edgeroute(*command.split(), "--admin", "a..b:9400")
    assert (code, out) == (2, "")
    assert "'a..b:9400': this is not an address to listen on" in error


@pytest.mark.parametrize(
    ("answered", "expected"),
    [
        (b"", "error: no router answers on"),
        (b"\x16\x03\x01\r\n\r\n", "error: no router answers on"),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n{", "is not understood"),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}", "is not understood"),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n[]", "is not understood"),
        (b"HTTP/1.1 404 Not Found\r\ncontent-length: 6\r\n\r\n<html>", "is not understood"),
        (b"HTTP/1.1 403 No\r\ncontent-length: 5\r\n\r\n\x1b[2J\xff", "refuses: \ufffd[2J"),
    ],
)
@pytest.mark.parametrize("command", ["status", "reload", "replicas list", "cache report", "cache purge --all"])
def test_somebody_else_there(command: str, answered: bytes, expected: str):
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def answer() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(65536)
                connection.sendall(answered)
                connection.shutdown(socket.SHUT_WR)
                while connection.recv(65536):  # a request that is not read to its end is answered with a reset
                    pass

        (thread := threading.Thread(target=answer)).start()
        code, out, error = edgeroute(*command.split(), "--admin", f"127.0.0.1:{listener.getsockname()[1]}")
        thread.join()
    assert (code, out) == (1, "")
    assert expected in error
    assert "\n  help: " in error
