"""`edgeroute run` as processes: start, refusal to start, stop, and the death of each of its processes."""

import contextlib
import http.client
import os
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from router_process import Router
from waiting import PATIENCE, alive, free_port, wait_for

MakeRouter = Callable[..., Router]


def run_to_end(router: Router) -> tuple[int, str]:
    """Start it, and wait for it to give up."""
    router.start()
    return router.wait(), router.said()


# Start.


def test_ready_means_that_requests_are_served(router: Router):
    assert router.models() == ["first"]
    assert router.ask("GET", "/healthz") == (200, "ok\n")
    status = router.status()
    assert (status["pid"], status["generation"], len(status["workers"])) == (router.pid, 1, 1)
    wait_for(lambda: f"edgeroute is ready: http://127.0.0.1:{router.listen}" in router.said())


def test_threads_of_a_worker_do_not_interrupt_each_other(make_router: MakeRouter):
    router = make_router().start().ready()
    (worker,) = router.workers()
    threads = [int(thread.name) for thread in Path(f"/proc/{worker}/task").iterdir()]
    assert len(threads) >= 3, "the event loop and granian's"
    assert {os.sched_getscheduler(thread) for thread in threads} == {os.SCHED_BATCH}
    assert os.sched_getscheduler(router.pid) == os.SCHED_OTHER


@pytest.mark.parametrize("interface", ["asgi", "rsgi"])
def test_both_faces_with_two_workers(make_router: MakeRouter, interface: str):
    router = make_router(interface=interface, workers=2).start().ready()
    wait_for(lambda: len(router.workers()) == 2)
    assert router.models() == ["first"]
    assert router.metric("edgeroute_workers") == 2


def test_it_can_be_started_again_at_once(router: Router):
    """The connections of probes that the router closed itself do not hold its ports."""
    with socket.create_connection(("127.0.0.1", router.admin), PATIENCE) as probe:
        probe.sendall(b"GET /readyz HTTP/1.0\r\n\r\n")
        assert probe.makefile("rb").read().startswith(b"HTTP/1.1 200")
    router.send(signal.SIGTERM)
    assert router.wait() == 0
    assert router.start().ready().models() == ["first"]


def test_the_run_directory_is_private(router: Router):
    run = router.folder / "run"
    files = {path.name: stat.S_IMODE(path.stat().st_mode) for path in run.iterdir()}
    assert files == {"cells": 0o600, "generation-1.json": 0o600, "lock": 0o600}


def test_the_mock_provider_comes_and_goes_with_the_router(make_router: MakeRouter):
    port = free_port()
    router = make_router(mock=f"{{listen: 127.0.0.1:{port}}}").start().ready()
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)) as connection:
        connection.request("GET", "/v1/models")
        assert connection.getresponse().status == 200
    router.send(signal.SIGTERM)
    assert router.wait() == 0
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)


# Refusal to start.


@pytest.mark.parametrize("setting", ["listen", "admin", "mock.listen"])
def test_a_port_in_use_is_refused(make_router: MakeRouter, setting: str):
    with socket.create_server(("127.0.0.1", 0), reuse_port=True) as holder:
        port = holder.getsockname()[1]
        address = f"127.0.0.1:{port}"
        given = {"mock": f"{{listen: {address}}}"} if setting == "mock.listen" else {setting: address}
        code, text = run_to_end(make_router(**given))
    assert code == 1
    assert f"error: cannot listen on {address} (`{setting}`): the port is in use" in text
    assert "ss -ltnp" in text
    assert "Traceback" not in text


def test_a_second_router_on_the_same_address_is_refused(router: Router, make_router: MakeRouter):
    code, text = run_to_end(make_router(listen=f"127.0.0.1:{router.listen}"))
    assert code == 1
    assert "the port is in use" in text
    assert router.models() == ["first"]


def test_all_errors_of_the_configuration_are_told_at_once(make_router: MakeRouter):
    router = make_router(interfase="asgi")
    router.replace(router.text("first").replace("stub/one", "stab/one"))
    code, text = run_to_end(router)
    assert code == 2
    assert "interfase" in text
    assert "stab" in text
    assert "Traceback" not in text
    assert not (router.folder / "run").exists()


def test_a_missing_configuration_says_what_to_do(make_router: MakeRouter):
    router = make_router()
    router.config.unlink()
    code, text = run_to_end(router)
    assert code == 2
    assert text.startswith("the environment: error: there is no edgeroute.yaml here, and no key of a provider")


# Stop.


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_stopping_leaves_nothing(make_router: MakeRouter, number: signal.Signals):
    router = make_router(mock=f"{{listen: 127.0.0.1:{free_port()}}}", workers=2).start().ready()
    family = router.family()
    assert len(family) >= 4, "the server, its two workers and the mock provider"
    router.send(number)
    assert router.wait() == 0
    assert not [pid for pid in family if alive(pid)]
    assert list((router.folder / "run").iterdir()) == []
    assert router.ask("GET", "/healthz")[0] == 0


def test_the_port_is_free_again_at_once(make_router: MakeRouter):
    first = make_router().start().ready()
    first.models()
    first.send(signal.SIGTERM)
    first.wait()
    second = make_router(listen=f"127.0.0.1:{first.listen}").start().ready()
    assert second.models() == ["first"]


@pytest.mark.parametrize("interface", ["asgi", "rsgi"])
@pytest.mark.parametrize("workers", [0, 1, 2])
def test_a_stop_is_not_lost_on_workers_that_are_just_starting(make_router: MakeRouter, interface: str, workers: int):
    router = make_router(interface=interface, workers=2).start()
    wait_for(lambda: router.ask("GET", "/healthz")[0] == 200)
    wait_for(lambda: len(router.workers()) >= workers)
    router.send(signal.SIGTERM)  # a worker that does not hear it would be waited for as long as `drain`
    assert router.wait() == 0


# Deaths.


def test_a_killed_supervisor_takes_its_children_along(make_router: MakeRouter):
    router = make_router(mock=f"{{listen: 127.0.0.1:{free_port()}}}", workers=2).start().ready()
    family = router.family()
    router.send(signal.SIGKILL)
    router.wait()
    wait_for(lambda: not any(alive(pid) for pid in family))


def test_a_killed_worker_is_replaced(router: Router):
    (worker,) = router.workers()
    os.kill(worker, signal.SIGKILL)
    wait_for(lambda: router.workers() not in ([], [worker]))
    router.ready()
    assert router.models() == ["first"]
    wait_for(lambda: router.metric("edgeroute_worker_deaths_total") == 1)
    assert f"worker {worker} died" in router.said()


def test_a_killed_server_is_started_again(router: Router):
    (worker,) = router.workers()
    server = int(Path(f"/proc/{worker}/stat").read_text().rpartition(")")[2].split()[1])
    os.kill(server, signal.SIGKILL)
    wait_for(lambda: not alive(worker))
    wait_for(lambda: router.workers() not in ([], [worker]))
    router.ready()
    assert router.models() == ["first"]
    assert "the server ended (signal 9): starting it again" in router.said()


def test_a_killed_mock_provider_is_started_again(make_router: MakeRouter):
    port = free_port()
    router = make_router(mock=f"{{listen: 127.0.0.1:{port}}}").start().ready()
    os.kill(router.mock_pid(), signal.SIGKILL)
    wait_for(lambda: "the mock provider ended (signal 9)" in router.said())

    def answers() -> bool:
        with contextlib.suppress(OSError):
            socket.create_connection(("127.0.0.1", port), timeout=PATIENCE).close()
            return True
        return False

    wait_for(answers)


def test_a_server_that_cannot_start_is_not_tried_for_ever(make_router: MakeRouter, tmp_path: Path):
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "uvloop.py").write_text("raise ImportError('broken on purpose')\n")
    router = make_router()
    process = subprocess.run(
        [sys.executable, "-m", "edgeroute", "run"],
        cwd=router.folder, capture_output=True, text=True, timeout=PATIENCE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(broken), os.environ.get("PYTHONPATH", "")])},
    )  # fmt: skip
    assert process.returncode == 1
    assert "the server could not start" in process.stderr
