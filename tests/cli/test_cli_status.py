"""`edgeroute status` and `edgeroute reload`, beside a router whose answers are chosen."""

import json
import socket
import threading

import msgspec
import pytest
from command_line import edgeroute
from router_answers import STATUS, Outcome, RouterAdmin
from waiting import free_port

from edgeroute.cli.output import Screen
from edgeroute.cli.status import Status, render
from edgeroute.config import Secret

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


@pytest.mark.parametrize("command", ["status", "reload"])
def test_nobody_there(command: str):
    address = f"127.0.0.1:{free_port()}"
    code, out, error = edgeroute(command, "--admin", address)
    assert (code, out) == (1, "")
    assert error.startswith(f"error: no router answers on {address}: Connection refused\n  help: --admin takes ")
    code, out, error = edgeroute(command, "--admin", "a..b:9400")
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
@pytest.mark.parametrize("command", ["status", "reload"])
def test_somebody_else_there(command: str, answered: bytes, expected: str):
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def answer() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(65536)
                connection.sendall(answered)

        (thread := threading.Thread(target=answer)).start()
        code, out, error = edgeroute(command, "--admin", f"127.0.0.1:{listener.getsockname()[1]}")
        thread.join()
    assert (code, out) == (1, "")
    assert expected in error
    assert "\n  help: " in error
