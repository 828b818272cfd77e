"""Leaving: `drain_delay`, during which a router serves on and says that it should not be asked."""

import os
import signal
import time
from collections.abc import Callable

from router_process import Router
from waiting import wait_for

MakeRouter = Callable[..., Router]


def test_requests_are_served_until_the_delay_is_over(make_router: MakeRouter) -> None:
    router = make_router(drain_delay="2s").start().ready()
    began = time.monotonic()
    router.send(signal.SIGTERM)
    wait_for(lambda: router.ask("GET", "/readyz") == (503, "stopping: open responses may finish\n"))
    assert router.ask("GET", "/healthz")[0] == 200
    assert router.models() == ["first"], "connections are still accepted"
    assert router.wait() == 0
    assert time.monotonic() - began >= 2
    assert "leaving: /readyz answers 503; connections are accepted for 2 s more" in router.said()


def test_ctrl_c_does_not_wait(make_router: MakeRouter) -> None:
    router = make_router(drain_delay="10m").start().ready()
    router.send(signal.SIGINT)
    assert router.wait() == 0
    assert "leaving" not in router.said()


def test_ctrl_c_ends_the_wait(make_router: MakeRouter) -> None:
    router = make_router(drain_delay="10m").start().ready()
    router.send(signal.SIGTERM)
    wait_for(lambda: "leaving" in router.said())
    router.send(signal.SIGINT)
    assert router.wait() == 0


def test_a_worker_that_dies_meanwhile_is_replaced(make_router: MakeRouter) -> None:
    router = make_router(drain_delay="10m").start().ready()
    router.send(signal.SIGTERM)
    wait_for(lambda: "leaving" in router.said())
    (worker,) = router.workers()

    os.kill(worker, signal.SIGKILL)
    wait_for(lambda: router.workers() not in ([], [worker]))
    wait_for(lambda: f"worker {worker} died" in router.said())
    router.send(signal.SIGINT)
    assert router.wait() == 0
