"""What operators do with the cache of a router that serves: look, purge, warm, reload."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from command_line import edgeroute
from e2e_config import basic_config
from e2e_router import Answer, Config, Router
from waiting import wait_for


@pytest.fixture
def router(start: Callable[[Config], Router], tmp_path: Path) -> Router:
    config = basic_config(workers=2, cache={"path": str(tmp_path / "cache"), "size": "8MiB"})
    config["models"]["fast"] = {"targets": ["one/gpt-5-mini"], "cache": "exact"}
    return start(config)


def ask(router: Router, content: str) -> str:
    return result(router.chat("fast", messages=[{"role": "user", "content": content}]))


def result(answer: Answer) -> str:
    assert answer.status == 200
    return answer.headers["x-edgeroute-cache"].partition(";")[0]


def purge(router: Router, **what: Any) -> Any:
    return router.admin.ask("POST", "/cache/purge", json.dumps(what).encode()).json


def test_report_and_purge(router: Router) -> None:
    assert [ask(router, "hello"), ask(router, "other")] == ["miss", "miss"]
    wait_for(lambda: ask(router, "hello") == "hit")
    report = wait_for(lambda: (found := router.admin.ask("GET", "/cache").json)["store"]["entries"] == 2 and found)
    [model] = report["models"]
    assert (model["model"], model["mode"], model["entries"]) == ("fast", "exact", 2)
    assert report["store"]["available"]
    wait_for(lambda: router.admin.ask("GET", "/cache").json["models"][0]["hit"] >= 1)
    metrics = router.admin.ask("GET", "/metrics").body.decode()
    assert 'edgeroute_cache_requests_total{model="fast",result="miss"} ' in metrics
    assert "edgeroute_cache_entries 2\n" in metrics
    assert purge(router, model="fast")["entries"] == 2
    assert ask(router, "another") == "miss"
    wait_for(lambda: router.admin.ask("GET", "/cache").json["store"]["entries"] == 1)
    assert purge(router, older_than="0s")["result"] == "applied"
    assert purge(router, all=True)["result"] == "unchanged"


def test_what_is_warmed_is_a_hit(router: Router, tmp_path: Path) -> None:
    response = {
        "object": "chat.completion",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "warm"}, "finish_reason": "stop"}],
    }
    # What the mock provider cuts is not kept, so asking for it meanwhile changes nothing.
    request: dict[str, Any] = {"max_tokens": 1, "messages": [{"content": "cold", "role": "user"}], "model": "fast"}
    written = {"request": request, "response": response}
    (tmp_path / "answers.jsonl").write_text(json.dumps(written))
    code, _, error = edgeroute(
        "cache", "warm", tmp_path / "answers.jsonl", "-c", router.file,
        ONE_KEY="sk-one", TWO_KEY="sk-two", CLAUDE_KEY="sk-claude",
    )  # fmt: skip
    assert (code, error.count("not kept")) == (0, 0), error

    def is_hit() -> bool:
        answer = router.chat("fast", messages=request["messages"], max_tokens=1)
        return result(answer) == "hit" and answer.json == response

    wait_for(is_hit)
