"""A reload in the middle of a load: nothing is dropped, and nothing sees two configurations."""

import http.client
import json
import threading
from collections.abc import Callable

from e2e_config import basic_config
from e2e_router import Config, Router
from waiting import wait_for

START = Callable[[Config], Router]
RELOADS = 8


def numbered(face: str, number: int) -> Config:
    """Everything has the number in its name: rule, model, target, credential; a mixture shows."""
    config = basic_config(workers=2, interface=face)
    config["providers"] = {
        f"provider-{number}": {"dialect": "openai-chat", "url": "http://MOCK/v1", "api_key": f"sk-{number}"}
    }
    # Each request fails on its first target, so that it is still under way when the next generation comes.
    config["models"] = {
        f"pool-{number}": {
            "targets": [f"provider-{number}/mock-status-500+delay-5", f"provider-{number}/upstream-{number}"]
        },
        "asked": f"provider-{number}/unused",
    }
    config["rules"] = [{"name": f"rule-{number}", "when": 'model == "asked"', "model": f"pool-{number}"}]
    return config


def test_a_reload_under_load(start: START, face: str) -> None:
    router = start(numbered(face, 0))
    done = threading.Event()
    seen: list[set[str]] = []
    problems: list[str] = []

    def load(stream: bool) -> None:
        """Ask again and again, on a connection that stays open."""
        connection: http.client.HTTPConnection = router.connect()
        while not done.is_set():
            try:
                answer = router.chat("asked", connection=connection, stream=stream, max_tokens=3)
            except (OSError, http.client.HTTPException) as error:
                problems.append(f"dropped: {error!r}")
                break
            if answer.status != 200 or (stream and answer.data[-1] != b"[DONE]"):
                problems.append(f"failed: {answer}")
                continue
            reply = json.loads(answer.data[0]) if stream else answer.json
            model, target, rule = answer.chosen()
            provider, _, upstream = target.partition("/")
            numbers = {name.rpartition("-")[2] for name in (model, provider, upstream, rule, reply["model"])}
            if len(numbers) > 1 or answer.headers["x-edgeroute-attempts"] != "2":
                problems.append(f"mixed: {answer}")
            seen.append(numbers)
        connection.close()

    threads = [threading.Thread(target=load, args=(stream,)) for stream in (False, True) * 4]
    for thread in threads:
        thread.start()
    try:
        for number in range(1, RELOADS + 1):
            router.configure(numbered(face, number))
            reloaded = router.admin.ask("POST", "/reload")
            assert (reloaded.status, reloaded.json["generation"]) == (200, number + 1), reloaded
            # All workers serve it now: what begins from here on sees nothing older.
            assert router.chat("asked").chosen()[0] == f"pool-{number}"
            wait_for(lambda number=number: {str(number)} in seen)
    finally:
        done.set()
        for thread in threads:
            thread.join()
    assert problems == []
    assert {next(iter(numbers)) for numbers in seen} == {str(number) for number in range(RELOADS + 1)}
    # The credential changed with all the rest, too: the mock remembers the last hundred requests.
    for request in router.mock.requests():
        upstream = json.loads(request["body"])["model"]
        if upstream.startswith("upstream-"):
            assert ["authorization", f"Bearer sk-{upstream.rpartition('-')[2]}"] in request["headers"]


def test_a_stream_finishes_on_the_configuration_it_began_with(start: START, face: str) -> None:
    config = numbered(face, 0)
    config["mock"] = {"first_token": "0ms", "token_interval": "20ms"}
    router = start(config)
    body = {"model": "asked", "messages": [{"role": "user", "content": "Hello"}]}
    with router.stream("/v1/chat/completions", body) as response:
        first = response.read1()
        config = numbered(face, 1)
        config["mock"] = {"first_token": "0ms", "token_interval": "20ms"}
        router.configure(config)
        assert router.admin.ask("POST", "/reload").status == 200
        assert router.chat("asked").chosen()[1] == "provider-1/upstream-1"
        rest = response.read()
    assert rest.endswith(b"data: [DONE]\n\n")
    assert b"upstream-1" not in first + rest


def test_a_configuration_that_is_wrong_changes_nothing(start: START, face: str) -> None:
    router = start(numbered(face, 0))
    router.file.write_text("models: {asked: nobody/nothing}\n")
    refused = router.admin.ask("POST", "/reload")
    assert (refused.status, refused.json["result"]) == (422, "invalid")
    assert router.chat("asked").chosen() == ("pool-0", "provider-0/upstream-0", "rule-0")
