"""What requests have to do with the supervisor: the metrics page is complete, and stopping lets streams finish."""

import contextlib
import hashlib
import http.client
import json
import os
import re
import signal
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
