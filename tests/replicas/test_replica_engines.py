"""What engines say of themselves: reading their metrics, asking them, telling the workers."""

import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import msgspec
import pytest
from waiting import free_port, wait_for

from edgeroute._native import Cells
from edgeroute.config import Config
from edgeroute.config.members import Member
from edgeroute.config.schema import Provider
from edgeroute.config.values import ProxyUrl, Url
from edgeroute.replicas.engines import Engine, EngineSignals, Polled, Signals, UnreadableError, parse, polled, read

VLLM = """\
# HELP vllm:num_requests_running Number of requests in model execution batches.
# TYPE vllm:num_requests_running gauge
vllm:num_requests_running{engine="0",model_name="m"} 3.0
vllm:num_requests_running{engine="1",model_name="m"} 4.0
vllm:num_requests_waiting{engine="0",model_name="m}"} 1.0
vllm:num_requests_waiting_by_reason{engine="0",reason="capacity"} 9.0
vllm:kv_cache_usage_perc{engine="0",model_name="m"} 0.25
vllm:kv_cache_usage_perc{engine="1",model_name="m"} 0.5
"""
SGLANG = """\
sglang:num_running_reqs{model_name="m",tp_rank="0"} 5.0
sglang:num_running_reqs{model_name="m",tp_rank="1"} 5.0
sglang:num_queue_reqs{model_name="m",tp_rank="0"} 2
sglang:token_usage{model_name="m",tp_rank="0"} 0.28 1395066363000
"""


@pytest.mark.parametrize(
    ("engine", "page", "expected"),
    [
        ("vllm", VLLM, Signals(7, 1, 0.5)),
        ("vllm", VLLM.replace("kv_cache", "gpu_cache"), Signals(7, 1, 0.5)),
        ("vllm", "vllm:num_requests_running 0\nvllm:num_requests_waiting 1e1\n", Signals(0, 10, 0.0)),
        ("sglang", SGLANG, Signals(5, 2, 0.28)),
    ],
)
def test_metrics_are_read(engine: Engine, page: str, expected: Signals):
    assert parse(page, engine) == expected


@pytest.mark.parametrize("page", ["", SGLANG, VLLM.replace("waiting", "delayed"), "vllm:num_requests_running NaN\n"])
def test_other_metrics_are_none(page: str):
    with pytest.raises(UnreadableError, match="its metrics are not those of vllm"):
        parse(page, "vllm")


def test_who_is_asked():
    config = Config(
        providers={
            "a": Provider(dialect="openai-chat", url=Url("http://a/v1"), engine="vllm"),
            "b": Provider(dialect="openai-chat", url=Url("http://b/v1")),
            "c": Provider(
                dialect="openai-chat", url=Url("https://c/v1"), engine="sglang", proxy=ProxyUrl("http://p:1")
            ),
        }
    )
    members = {
        name: [Member(url=Url(f"http://{name}/x/v1")), Member(url=Url("http://h:1"), address="10.0.0.7")]
        for name in "abc"
    }
    assert [(each.provider, each.replica, each.url, each.address) for each in polled(config, members)] == [
        ("a", "http://a/x/v1", "http://a/x/metrics", None),
        ("a", "http://h:1@10.0.0.7", "http://h:1/metrics", "10.0.0.7"),
    ]


# Over sockets.


@pytest.fixture
def serve() -> Iterator[Callable[[int, str], Polled]]:
    """Serves pages of metrics on loopback; each gives whom to ask."""
    servers: list[ThreadingHTTPServer] = []

    def start(status: int, page: str) -> Polled:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                known = self.path == "/metrics" and self.headers["host"] == f"gpu.invalid:{server.server_port}"
                self.send_response(status if known else 404)
                self.end_headers()
                self.wfile.write(page.encode())

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        servers.append(server)
        threading.Thread(target=server.serve_forever, args=(0.01,)).start()
        return asked(f"http://gpu.invalid:{server.server_port}/metrics")

    yield start
    for each in servers:
        each.shutdown()
        each.server_close()


def asked(url: str) -> Polled:
    return Polled(provider="vllm", replica="r", engine="vllm", url=url, address="127.0.0.1", ca=None)


def test_an_engine_is_asked_at_its_address_under_its_name(serve: Callable[[int, str], Polled]):
    assert read(serve(200, VLLM)) == Signals(7, 1, 0.5)


def test_engines_that_cannot_be_asked_say_why(serve: Callable[[int, str], Polled]):
    for wanted, expected in [
        (serve(503, ""), "it answers /metrics with 503"),
        (serve(200, "x" * (5 << 20)), "its metrics are too many"),
        (serve(200, "nothing"), "its metrics are not those of vllm"),
        (asked(f"http://gpu.invalid:{free_port()}/metrics"), "Connection refused"),
        (msgspec.structs.replace(serve(200, VLLM), url="https" + serve(200, VLLM).url[4:]), ""),
    ]:
        with pytest.raises(UnreadableError) as failed:
            read(wanted)
        assert expected in str(failed.value)


# Again and again.


class Engines:
    """Engines whose answers a test chooses; time is a number."""

    def __init__(self, cells: Cells) -> None:
        self.says: Signals | Exception = Signals(3, 1, 0.42)
        self.asked: list[str] = []
        self.signals = EngineSignals(cells, self._answer)

    def at(self, now: float, wanted: list[Polled], answers: int) -> list[dict[str, Any]]:
        """What is known once so many more have been asked and answered at this time."""
        before = len(self.asked)
        self.signals.look(wanted, now)
        wait_for(lambda: len(self.asked) == before + answers and not self.signals.is_asking())
        self.signals.look(wanted, now)
        assert len(self.asked) == before + answers
        return self.signals.described()

    def _answer(self, wanted: Polled) -> Signals:
        self.asked.append(wanted.replica)
        if isinstance(self.says, Exception):
            raise self.says
        return self.says


@pytest.fixture
def memory(tmp_path: Path) -> Path:
    return tmp_path / "cells"


@pytest.fixture
def engines(memory: Path) -> Engines:
    return Engines(Cells.create(str(memory)))


ONE = asked("http://gpu:1/metrics")
TWO = msgspec.structs.replace(ONE, replica="s")


def test_engines_are_asked_in_turn_and_what_they_say_is_told(engines: Engines, memory: Path):
    said = {"running": 3, "waiting": 1, "cache_usage": 0.42}
    one = {"provider": "vllm", "replica": "r", **said}
    assert engines.at(100, [ONE], 1) == [one]
    assert engines.at(100.9, [ONE], 0) == [one]
    assert engines.at(101, [ONE, TWO], 2) == [one, one | {"replica": "s"}]
    assert engines.at(101, [TWO], 0) == [one | {"replica": "s"}]
    words = memoryview(memory.read_bytes()).cast("Q")
    now = int(time.time())
    (stamp, _) = [word % (1 << 14) for word in words if word >> 14 == 3 << 30 | 1 << 10 | 420]
    assert (now - stamp) % (1 << 14) < 600


def test_an_engine_that_cannot_be_asked_is_told_once(engines: Engines, caplog: pytest.LogCaptureFixture):
    engines.says = UnreadableError("Connection refused")
    for now in (0, 1, 2):
        assert engines.at(now, [ONE], 1) == [{"provider": "vllm", "replica": "r", "trouble": "Connection refused"}]
    engines.says = Signals(0, 0, 0)
    assert engines.at(3, [ONE], 1)[0]["running"] == 0
    engines.says = RuntimeError("surprise")
    engines.at(4, [ONE], 1)
    assert [each.message for each in caplog.records] == [
        "vllm: r is used without the metrics of its engine: Connection refused",
        "vllm: r is used without the metrics of its engine: RuntimeError('surprise')",
    ]


def test_too_many_for_one_turn_each_get_theirs(engines: Engines):
    many = [msgspec.structs.replace(ONE, replica=str(number)) for number in range(70)]
    for turn in range(3):
        engines.signals.look(many, turn / 2)
        wait_for(lambda: not engines.signals.is_asking())
        assert len(engines.asked) == 32 * (turn + 1)
    assert set(engines.asked) == {each.replica for each in many}


def test_a_name_that_no_cell_can_have_is_said(engines: Engines):
    long = msgspec.structs.replace(ONE, replica="r" * 200)
    assert "trouble" in engines.at(0, [long], 1)[0]
