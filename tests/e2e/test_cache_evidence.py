"""Observe mode of a real router: who learns from comparisons, and for how long."""

import itertools
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, contextmanager
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest
from e2e_config import basic_config
from e2e_router import Answer, Config, Router
from waiting import wait_for

ENOUGH = 450
"""Comparisons that are all right after which similar requests are answered: about 380, for cells forget a little."""

RUN = Callable[[], AbstractContextManager[Router]]


@pytest.fixture
def run(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, face: str) -> RUN:
    """Runs a router with two workers on one folder, again and again."""

    @contextmanager
    def run() -> Generator[Router]:
        config: Config = basic_config(
            workers=2, interface=face, cache={"path": str(tmp_path / "cache"), "size": "32MiB"}
        )
        config["models"]["faq"] = {"targets": ["one/gpt-5-mini"], "cache": "semantic"}
        router = Router(tmp_path_factory.mktemp("router"), config).ready()
        try:
            yield router
        finally:
            router.close()

    return run


_gaps = itertools.product((" ", "  ", "   ", "    "), repeat=6)


def ask(router: Router, connection: HTTPConnection, mock: str) -> Answer:
    """The same question, every time written in another way."""
    question = "what{}is{}the{}tallest{}mountain{}in{}europe".format(*next(_gaps))
    messages = [{"role": "user", "content": question}]
    return router.chat("faq", messages=messages, metadata={"mock": mock}, connection=connection)


def asked_again(router: Router, connection: HTTPConnection) -> str:
    """What came of asking the cache; the mock's first three words are always the same."""
    answer = ask(router, connection, "tokens-3")
    assert answer.status == 200
    return answer.headers["x-edgeroute-cache"]


def would_be_hit(router: Router, connection: HTTPConnection) -> bool:
    """Whether the worker knows an answer, which is not given yet; the model fails, so that none is kept."""
    answer = ask(router, connection, "status-400")
    return (answer.status, answer.headers["x-edgeroute-cache"]) == (400, "miss; reason=not-proven")


def is_answered(router: Router, connection: HTTPConnection) -> bool:
    """In the end; now and then the model is asked all the same."""
    return wait_for(lambda: asked_again(router, connection).startswith("semantic; "))


def evidence(router: Router) -> Any:
    return router.admin.ask("GET", "/cache").json["models"][0]["evidence"]


def test_all_workers_learn_from_one_also_after_a_restart(run: RUN) -> None:
    with run() as router, router.connection_to_each_worker() as connections:
        one, other = connections.values()
        assert asked_again(router, one) == "miss"
        assert {asked_again(router, one) for _ in range(10)} == {"miss; reason=not-proven"}
        wait_for(lambda: evidence(router)["correct"] == 10)
        assert not evidence(router)["serving"]
        wait_for(lambda: would_be_hit(router, other))
        for _ in range(ENOUGH):
            asked_again(router, one)
        assert is_answered(router, other)
        found = wait_for(lambda: (seen := evidence(router))["serving"] and seen)
        assert (found["wrong"], found["unknown"]) == (0, 0)
        assert found["least_correct"] > 0.99

    with run() as router, router.connection_to_each_worker() as connections:
        for connection in connections.values():
            assert is_answered(router, connection)
        assert evidence(router)["correct"] >= found["correct"]
        assert router.admin.ask("POST", "/cache/purge", b'{"all": true}').json["result"] == "applied"
        wait_for(lambda: evidence(router)["correct"] == 0)
        for connection in connections.values():
            wait_for(lambda on=connection: asked_again(router, on) == "miss; reason=not-proven")


def test_a_worker_without_a_store_learns_by_itself(run: RUN, tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("no folder")
    with run() as router, router.connection_to_each_worker() as connections:
        one, other = connections.values()
        for _ in range(ENOUGH):
            asked_again(router, one)
        assert is_answered(router, one)
        asked_again(router, other)
        assert asked_again(router, other) == "miss; reason=not-proven"
