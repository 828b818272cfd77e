"""Replicas of a running router that change: by an admin call and the command, across reloads and restarts."""

import http.client
import json
import signal
import subprocess
import sys
from collections.abc import Callable
from typing import Any

from router_process import Router
from waiting import PATIENCE, wait_for

MakeRouter = Callable[..., Router]
FIRST, OTHER = "http://127.0.0.1:9/v1", "http://127.0.0.1:10/v1"


def change(router: Router, action: str, replica: str, weight: int | None = None) -> tuple[int, dict[str, Any]]:
    """Ask for a change of the provider `stub`; status and outcome."""
    wanted = {"action": action, "provider": "stub", "replica": replica, "weight": weight}
    connection = http.client.HTTPConnection("127.0.0.1", router.admin, timeout=PATIENCE)
    connection.request("POST", "/replicas", json.dumps(wanted))
    answer = connection.getresponse()
    outcome = json.loads(answer.read())
    connection.close()
    return answer.status, outcome


def weights(router: Router) -> dict[str, int]:
    found = json.loads(router.ask("GET", "/replicas")[1])["replicas"]
    return {each["replica"]: each["weight"] for each in found}


def served(router: Router) -> list[str]:
    """The replicas of the generation that the workers serve."""
    return [each["url"] for each in router.status()["targets"][0]["replicas"]]


def test_a_change_is_a_generation_that_every_worker_serves(make_router: MakeRouter):
    router = make_router(workers=2).start().ready()
    wait_for(lambda: len(router.workers()) == 2)
    status, outcome = change(router, "add", OTHER, 3)
    assert (status, outcome["result"], outcome["generation"]) == (200, "applied", 2)
    assert outcome["message"].startswith("replicas changed: generation 2 serves\nuntil the next restart: write it into")
    assert {each["generation"] for each in router.status()["workers"]} == {2}
    assert weights(router) == {FIRST: 1, OTHER: 3}
    assert served(router) == [FIRST, OTHER]
    assert change(router, "drain", FIRST)[0] == 200
    assert weights(router) == {FIRST: 0, OTHER: 3}
    assert router.status()["changes"] == [
        {"provider": "stub", "replica": OTHER, "change": "added, weighted 3", "fits": True},
        {"provider": "stub", "replica": FIRST, "change": "drained", "fits": True},
    ]
    assert change(router, "remove", FIRST)[0] == 200
    assert served(router) == [OTHER]
    assert f"replicas: remove stub {FIRST}: replicas changed: generation 4 serves" in router.said()


def test_a_change_that_is_refused_changes_nothing(router: Router):
    status, outcome = change(router, "remove", FIRST)
    assert (status, outcome["result"], outcome["generation"]) == (422, "invalid", 1)
    assert outcome["message"].startswith("change refused, generation 1 still serves:\n")
    assert "is the last replica of stub that takes requests; add another first" in outcome["message"]
    assert weights(router) == {FIRST: 1}
    blocker = router.folder / "run" / "generation-2.json"
    blocker.mkdir()
    assert change(router, "add", OTHER)[0] == 422
    blocker.rmdir()
    assert (router.status()["changes"], weights(router)) == ([], {FIRST: 1})
    assert change(router, "add", OTHER)[0] == 200


def test_a_reload_keeps_changes_and_says_which_fit_no_more(router: Router):
    assert change(router, "add", OTHER)[0] == 200
    assert change(router, "drain", FIRST)[0] == 200
    router.configure("second")
    assert json.loads(router.ask("POST", "/reload")[1])["generation"] == 4
    assert (router.models(), weights(router)) == (["second"], {FIRST: 0, OTHER: 1})
    router.replace(router.text("second").replace(":9/v1", ":11/v1"))
    outcome = json.loads(router.ask("POST", "/reload")[1])
    assert f"warning: stub: {FIRST} is not there, so that it is drained has no effect" in outcome["message"]
    assert weights(router) == {"http://127.0.0.1:11/v1": 1, OTHER: 1}
    assert [each["fits"] for each in router.status()["changes"]] == [True, False]


def test_a_restart_forgets_changes(make_router: MakeRouter):
    router = make_router().start().ready()
    assert change(router, "add", OTHER)[0] == 200
    router.send(signal.SIGTERM)
    assert router.wait() == 0
    router.start().ready()
    assert (weights(router), router.status()["changes"]) == ({FIRST: 1}, [])


def test_the_command_changes_and_lists(router: Router):
    def command(*arguments: str) -> tuple[int, str]:
        finished = subprocess.run(
            [sys.executable, "-m", "edgeroute", "replicas", *arguments, "--admin", f"127.0.0.1:{router.admin}"],
            capture_output=True, text=True, timeout=PATIENCE,
        )  # fmt: skip
        return finished.returncode, finished.stdout + finished.stderr

    assert command("add", "stub", OTHER, "--weight", "2")[0] == 0
    code, text = command("list")
    assert code == 0
    assert OTHER in text
    assert "added, weighted 2" in text
    code, text = command("drain", "stub", "http://nobody/v1")
    assert code == 1
    assert f"stub has no such replica; there is {FIRST}, {OTHER}" in text
