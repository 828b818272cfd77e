"""What a supervisor tells without being asked: systemd, and who reads the log."""

import contextlib
import http.client
import json
import signal
import socket
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from router_process import Router
from waiting import PATIENCE, free_port, wait_for

MakeRouter = Callable[..., Router]


def test_systemd_is_told(make_router: MakeRouter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(str(path))
        listening.settimeout(PATIENCE)
        monkeypatch.setenv("NOTIFY_SOCKET", str(path))
        router = make_router().start()
        assert listening.recv(100) == b"READY=1"
        assert router.models() == ["first"], "ready means that requests are served"
        router.send(signal.SIGTERM)
        assert listening.recv(100) == b"STOPPING=1"
    assert router.wait() == 0


def ask(router: Router) -> None:
    """Ask for the model `first`, whatever becomes of it."""
    body = json.dumps({"model": "first", "messages": [{"role": "user", "content": "Hello"}]})
    connection = http.client.HTTPConnection("127.0.0.1", router.listen, timeout=PATIENCE)
    with contextlib.closing(connection):
        fields = {"authorization": "Bearer sk-test", "content-type": "application/json"}
        connection.request("POST", "/v1/chat/completions", body, fields)
        connection.getresponse().read()


def wait_for_trouble(router: Router, url: str) -> None:
    """Ask until it is told that this replica cannot be reached."""

    def told() -> bool:
        ask(router)
        return f"{url} cannot be reached: it is tried last, until it can be" in router.said()

    wait_for(told)


def test_a_replica_that_cannot_be_reached_is_told_once(make_router: MakeRouter) -> None:
    """A provider that nobody plays, and then somebody does."""
    router, port = make_router(), free_port()
    url = f"http://127.0.0.1:{port}/v1"
    router.replace(router.text("first").replace("http://127.0.0.1:9/v1", url))
    router.start().ready()

    wait_for_trouble(router, url)
    assert router.metric(f'edgeroute_replica_available{{provider="stub",url="{url}"}}') == 0
    with socket.create_server(("127.0.0.1", port)) as somebody:
        somebody.settimeout(PATIENCE)
        answer = (
            b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{}"
        )

        def serve() -> bool:
            somebody.settimeout(0.05)
            with contextlib.suppress(TimeoutError):
                connection, _ = somebody.accept()
                with connection:
                    connection.recv(65_536)
                    connection.sendall(answer)
            return f"{url} can be reached again" in router.said()

        stop = threading.Event()

        def go_on_asking() -> None:
            while not stop.is_set():
                ask(router)

        asking = threading.Thread(target=go_on_asking)
        asking.start()
        try:
            wait_for(serve)
        finally:
            stop.set()
            somebody.close()
            asking.join(PATIENCE)
    assert router.said().count("cannot be reached: it is tried last") == 1


def test_a_replica_that_is_configured_no_more_is_not_told_to_be_reached(make_router: MakeRouter) -> None:
    router = make_router()
    first, second = (f"http://127.0.0.1:{free_port()}/v1" for _ in range(2))
    router.replace(router.text("first").replace("http://127.0.0.1:9/v1", first))
    router.start().ready()
    wait_for_trouble(router, first)
    router.replace(router.text("first").replace("http://127.0.0.1:9/v1", second))
    wait_for_trouble(router, second)
    assert "can be reached again" not in router.said()
