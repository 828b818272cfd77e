"""What a worker does besides answering: its start, its configuration, its log, its end."""

import asyncio
import json
import logging
import os
from collections.abc import MutableMapping
from pathlib import Path

import pytest
import uvloop
from app_in_process import ANSWER, CONFIG, Client, Face, Running, completion, run, supervised_app, wait_for, whole

from edgeroute._native import Cells
from edgeroute.app import App
from edgeroute.config import load
from edgeroute.worker import LogWriter, Worker


@pytest.fixture(params=["asgi", "rsgi"])
def face(request: pytest.FixtureRequest) -> Face:
    return request.param


@pytest.fixture
def run_directory(tmp_path: Path) -> Path:
    """With a configuration, published."""
    path = tmp_path / "edgeroute.yaml"
    path.write_text(CONFIG.format(port=9, max_stream="1MiB"))
    (tmp_path / "generation-1.json").write_bytes(load(path, {}).normalised)
    Cells.create(str(tmp_path / "cells")).publish(1)
    return tmp_path


# Start


def start_and_fail(face: Face, app: App) -> None:

    async def asgi() -> None:
        said: list[MutableMapping[str, str]] = []

        async def receive() -> MutableMapping[str, str]:
            return {"type": "lifespan.startup"}

        async def send(message: MutableMapping[str, str]) -> None:
            said.append(message)

        await app({"type": "lifespan"}, receive, send)
        assert said == [{"type": "lifespan.startup.failed"}]

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        loop = runner.get_loop()
        if face == "asgi":
            runner.run(asgi())
            return
        with pytest.raises(SystemExit) as ended:
            app.__rsgi_init__(loop)
    assert ended.value.code == 1


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("cells", None, "cells"),
        ("cells", b"something else", "cells"),
        ("generation-1.json", None, "generation-1.json"),
        ("generation-1.json", b'{"providers":', "line 1"),
    ],
    ids=["no memory file", "another file", "no configuration", "a broken configuration"],
)
def test_a_worker_that_cannot_start_says_why_and_ends(
    name: str,
    content: bytes | None,
    message: str,
    face: Face,
    run_directory: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    if content is None:
        (run_directory / name).unlink()
    else:
        (run_directory / name).write_bytes(content)
    start_and_fail(face, supervised_app(run_directory))
    (record,) = caplog.records
    assert record.getMessage().startswith(f"worker {os.getpid()} cannot start: ")
    assert message in record.getMessage()


# Configuration


def test_requests_go_on_with_the_configuration_they_began_with(tmp_path: Path, face: Face) -> None:
    """One waits for its provider while the configuration changes; a new request sees the new one."""

    async def scenario(running: Running) -> None:
        answer = asyncio.Event()
        running.provider.scripts = [[answer, whole(ANSWER)]]
        first = Client(body=completion())
        task = running.serve(first)
        await wait_for(lambda: running.provider.requests)
        running.publish(2, models=[], max_body=10)
        await wait_for(lambda: [worker.generation for worker in running.cells.workers()] == [2])
        second = await running.ask(Client(body=completion()))
        assert second.status == 413
        answer.set()
        await task
        assert first.status == 200

    assert [line["status"] for line in run(tmp_path, face, scenario).log()] == [413, 200]


def test_a_body_is_read_and_judged_by_the_same_configuration(tmp_path: Path) -> None:
    """The largest body grows while a larger one than before is on its way."""

    async def scenario(running: Running) -> None:
        running.publish(2, max_body=10)
        await wait_for(lambda: [worker.generation for worker in running.cells.workers()] == [2])
        gate = asyncio.Event()
        body = completion()
        pieces = [body[:8], body[8:30], body[30:]]
        sent: list[int] = []

        async def receive() -> dict[str, object]:
            if len(pieces) == 2:
                await gate.wait()
            return {"type": "http.request", "body": pieces.pop(0), "more_body": bool(pieces)}

        async def send(message: dict[str, object]) -> None:
            if message["type"] == "http.response.start":
                sent.append(int(str(message["status"])))

        running.provider.scripts = [[whole(ANSWER)]]
        headers = [(b"authorization", b"Bearer test")]
        scope = {"type": "http", "method": "POST", "path": "/v1/chat/completions", "query_string": b""}
        task = asyncio.ensure_future(running.app(scope | {"headers": headers}, receive, send))  # pyright: ignore
        await asyncio.sleep(0)
        running.publish(3, max_body=1000)
        await wait_for(lambda: [worker.generation for worker in running.cells.workers()] == [3])
        gate.set()
        await task
        assert sent == [200]

    run(tmp_path, "asgi", scenario)


def test_a_configuration_that_cannot_be_taken_up_is_tried_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario(running: Running) -> None:
        running.cells.publish(2)  # and its file is missing
        await wait_for(lambda: caplog.records)
        (before,) = [worker.heartbeat_ms for worker in running.cells.workers()]
        await wait_for(lambda: [worker.heartbeat_ms for worker in running.cells.workers()] != [before])
        client = await running.ask(Client("GET", "/v1/models"))
        assert client.status == 200, "the worker goes on with what it has"
        running.publish(2)
        await wait_for(lambda: [worker.generation for worker in running.cells.workers()] == [2])

    run(tmp_path, "asgi", scenario)
    assert "cannot take up the new configuration" in caplog.records[0].getMessage()
    assert len(caplog.records) < 5, "it is not tried twenty times a second"


def test_ticking_goes_on_after_a_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    failures = 0

    def fail(_: LogWriter, lines: bytes) -> None:
        nonlocal failures
        failures += 1
        raise RuntimeError("the log fails")

    async def scenario(running: Running) -> None:
        monkeypatch.setattr(LogWriter, "write", fail)
        await wait_for(lambda: failures >= 3)
        monkeypatch.undo()
        assert (await running.ask(Client("GET", "/v1/models"))).status == 200

    left = run(tmp_path, "asgi", scenario)
    assert len(left.mishaps) >= 3, "each is reported"
    assert len(left.log()) == 1


def test_a_part_of_a_body_that_has_come_is_not_late(run_directory: Path) -> None:
    """It may be there at its deadline, while the request that awaits it has not gone on yet."""

    async def look_at_late_bodies() -> None:
        worker = Worker.supervised(asyncio.get_running_loop(), run_directory, json_log=False)
        there, missing = asyncio.Future[bytes](), asyncio.Future[bytes]()
        there.set_result(b"{")
        worker.reading.update({there: 0, missing: 0})
        await wait_for(missing.cancelled)
        assert worker.reading == {there: 0}
        worker.stop()

    asyncio.run(look_at_late_bodies())


def test_nothing_runs_after_the_end(run_directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edgeroute.worker._TICK_SECONDS", 0)  # a tick in every turn of the loop
    compiled: list[int] = []

    async def main() -> None:
        loop = asyncio.get_running_loop()
        worker = Worker.supervised(loop, run_directory, json_log=True)
        monkeypatch.setattr(worker, "_compile", compiled.append)
        worker.stop()
        worker.stop()
        assert worker.native.serve() is False
        Cells.open(str(run_directory / "cells")).publish(worker.native.published + 1)
        for _ in range(100):
            await asyncio.sleep(0)
        await loop.shutdown_default_executor()
        assert compiled == [], "a tick came after the end and took up the new generation"

    asyncio.run(main())


# Log


def test_the_log_is_written_whole_and_in_order() -> None:
    read, write = os.pipe()
    log = LogWriter(write)
    lines = [b'{"line":%d}\n' % number for number in range(10_000)]
    for line in lines:
        log.write(line)
    log.write(b"")
    with os.fdopen(read, "rb") as reader:
        got = [reader.readline() for _ in lines]
        log.close()
        os.close(write)
        assert reader.read() == b""
    assert got == lines


def test_a_reader_that_does_not_read_costs_lines_but_stops_nothing(caplog: pytest.LogCaptureFixture) -> None:
    read, write = os.pipe()
    log = LogWriter(write, most=1 << 20)
    for _ in range(400):
        log.write(b"x" * 9_999 + b"\n")
    assert caplog.records == []
    with os.fdopen(read, "rb") as reader:
        kept = sum(len(reader.readline()) == 10_000 for _ in range((1 << 20) // 10_000))
        log.write(b"last\n")
        assert f"{400 - kept} log lines were dropped" in caplog.text
        log.close()
        os.close(write)
        assert reader.read() == b"last\n"


def test_the_end_does_not_wait_for_ever_for_a_reader(caplog: pytest.LogCaptureFixture) -> None:
    read, write = os.pipe()
    log = LogWriter(write)
    log.write(b"x\n" * (1 << 20))
    log.close(patience=0.01)
    assert "bytes not written" in caplog.text
    os.close(read)
    log.close()  # nobody reads any more, so nothing waits
    os.close(write)


def test_a_reader_that_is_gone_is_reported_once(caplog: pytest.LogCaptureFixture) -> None:
    read, write = os.pipe()
    os.close(read)
    log = LogWriter(write)
    for _ in range(100):
        log.write(b"line\n")
    log.close()
    os.close(write)
    assert [record.getMessage() for record in caplog.records] == [
        "cannot write the log, lines are lost: [Errno 32] Broken pipe"
    ]


def test_without_standard_output_there_is_no_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    log = LogWriter(None)
    log.write(b"line\n")
    log.close()
    assert [record.getMessage() for record in caplog.records] == ["standard output is closed: there is no request log"]


def test_every_request_is_one_line_of_json(tmp_path: Path, face: Face) -> None:
    async def scenario(running: Running) -> None:
        for _ in range(20):
            await running.ask(Client("GET", "/v1/models", headers={"authorization": 'Bearer "\n{'}))

    lines = run(tmp_path, face, scenario).log()
    assert len(lines) == 20
    assert len({line["id"] for line in lines}) == 20
    assert json.dumps(lines).count("invalid_api_key") == 20
