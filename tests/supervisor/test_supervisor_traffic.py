"""What requests have to do with the supervisor: the metrics page is complete, and stopping lets streams finish."""

import contextlib
import hashlib
import http.client
import json
import os
import re
import signal
import threading
from collections.abc import Callable, Generator

import pytest
from router_process import Router
from waiting import PATIENCE, alive, free_port, wait_for

from edgeroute.telemetry import FAMILIES

CONFIG = """
listen: 127.0.0.1:{listen}
admin: 127.0.0.1:{admin}
drain: 10m
mock: {{listen: 127.0.0.1:{mock}, first_token: 0ms, token_interval: 20ms}}
providers:
  mock: {{dialect: openai-chat, url: http://127.0.0.1:{mock}/v1}}
  gone: {{dialect: openai-chat, url: http://127.0.0.1:9/v1}}
models:
  fast: mock/gpt-5-mini
  broken: gone/gpt-5-mini
  mock/*: mock/*
rules:
  - {{name: odd, when: "prompt_tokens + 9223372036854775807 > 0", model: fast}}
  - {{name: premium, when: 'headers["x-tier"] == "premium"', model: fast}}
teams:
  tiny: {{limits: {{requests_per_minute: 1}}}}
virtual_keys:
  demo: {{hash: "sha256:2904cb91b4d3e13d761f8ea8a47d42158ae6729fe2c90764d9b3b0294140812e"}}
  tiny: {{team: tiny, hash: "sha256:{tiny}"}}
"""


@pytest.fixture
def router(make_router: Callable[..., Router]) -> Router:
    made = make_router()
    tiny = hashlib.sha256(b"sk-tiny").hexdigest()
    made.replace(CONFIG.format(listen=made.listen, admin=made.admin, mock=free_port(), tiny=tiny))
    return made.start().ready()


@contextlib.contextmanager
def post(router: Router, body: dict[str, object], **headers: str) -> Generator[http.client.HTTPResponse, None, None]:
    connection = http.client.HTTPConnection("127.0.0.1", router.listen, timeout=PATIENCE)
    fields = {"authorization": "Bearer sk-edgeroute-demo", "content-type": "application/json", **headers}
    with contextlib.closing(connection):
        connection.request("POST", "/v1/chat/completions", json.dumps(body), fields)
        with connection.getresponse() as answer:
            yield answer


def chat(model: str, **extra: object) -> dict[str, object]:
    return {"model": model, "messages": [{"role": "user", "content": "Hello"}], **extra}


def test_the_metrics_page_knows_every_family(router: Router):
    for body, headers, status in [
        (chat("fast", stream=True), {}, 200),
        (chat("fast"), {"x-tier": "premium"}, 200),
        (chat("broken"), {}, 502),
        (chat("none"), {}, 404),
        (chat("fast"), {"authorization": "Bearer wrong"}, 401),
    ]:
        with post(router, body, **headers) as answer:
            answer.read()
            assert answer.status == status, body
    wait_for(lambda: router.metric("edgeroute_overhead_seconds_count") >= 3)
    page = router.ask("GET", "/metrics")[1]
    assert "untyped" not in page
    shown = re.findall(r"^# TYPE (\S+)", page, re.MULTILINE)
    seldom = {
        "edgeroute_limit_refusals_total",
        "edgeroute_reloads_total",
        "edgeroute_dropped_total",
        *(name for name in FAMILIES if name.startswith("edgeroute_cache_")),  # there is none
    }
    assert set(FAMILIES) - seldom <= set(shown)
    for line in page.splitlines():
        assert line.startswith("# ") or re.fullmatch(
            r'[a-z_]+(\{[a-z_]+="[^"]*"(,[a-z_]+="[^"]*")*\})? [0-9.e-]+', line
        )
    assert router.metric('edgeroute_rule_matches_total{rule="premium"}') == 1
    assert router.metric('edgeroute_overhead_seconds_bucket{le="+Inf"}') == router.metric(
        "edgeroute_overhead_seconds_count"
    )


@pytest.mark.parametrize("everybody", [False, True])
def test_stopping_lets_a_stream_finish(router: Router, everybody: bool):
    mock = router.mock_pid()
    with post(router, chat("mock/mock-tokens-60", stream=True)) as answer:
        first = answer.read(1)
        # systemd signals every process of a unit, so workers hear it from there and from the server.
        for pid in router.family() - {mock} if everybody else ():
            os.kill(pid, signal.SIGTERM)
        router.send(signal.SIGTERM)
        wait_for(lambda: router.ask("GET", "/readyz") == (503, "stopping: open responses may finish\n"))
        assert (first + answer.read()).endswith(b"data: [DONE]\n\n")
    assert router.wait() == 0


@pytest.mark.parametrize("interface", ["asgi", "rsgi"])
def test_what_is_longer_than_drain_is_told_so_and_recorded(make_router: Callable[..., Router], interface: str):
    router = make_router()
    text = CONFIG.format(listen=router.listen, admin=router.admin, mock=free_port(), tiny="0" * 64)
    router.replace(text.replace("drain: 10m", f"drain: 1s\ninterface: {interface}"))
    router.start().ready()
    plain: list[tuple[int, dict[str, dict[str, str]]]] = []

    def ask() -> None:
        with post(router, chat("mock/mock-delay-600000")) as answer:
            plain.append((answer.status, json.loads(answer.read())))

    asking = threading.Thread(target=ask)
    asking.start()
    with post(router, chat("mock/mock-stall-3", stream=True)) as answer:
        first = answer.read(1)
        wait_for(lambda: sum_of(router, "edgeroute_in_flight") == 2)
        router.send(signal.SIGTERM)
        *_, last, end = (first + answer.read()).split(b"\n\n")
    asking.join(PATIENCE)
    assert (json.loads(last.removeprefix(b"data: "))["error"]["code"], end) == ("stream_stopping", b"")
    ((status, body),) = plain
    assert (status, body["error"]["code"]) == (503, "stopping")
    assert router.wait() == 0
    said = router.said()
    assert said.count("error=stopping") == 2
    assert "2 requests were open longer than `drain` and are ended" in said
    assert "Killing" not in said


def sum_of(router: Router, family: str) -> float:
    lines = router.ask("GET", "/metrics")[1].splitlines()
    return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith(family + "{"))


def test_a_second_interrupt_stops_at_once(router: Router):
    with post(router, chat("mock/mock-stall-3", stream=True)) as answer:
        answer.read(1)
        family = router.family()
        router.send(signal.SIGINT)
        wait_for(lambda: router.ask("GET", "/readyz")[0] == 503)
        router.send(signal.SIGINT)
        assert router.wait() == 130
    assert not [pid for pid in family if alive(pid)]
    assert list((router.folder / "run").iterdir()) == []
