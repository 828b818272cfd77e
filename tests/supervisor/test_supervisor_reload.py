"""Reloading the configuration of a running router: by file, symlink, signal and command; valid and not."""

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable

import pytest
from router_process import Router
from waiting import PATIENCE, wait_for

MakeRouter = Callable[..., Router]


def reload_command(router: Router) -> tuple[int, str]:
    finished = subprocess.run(
        [sys.executable, "-m", "edgeroute", "reload", "--admin", f"127.0.0.1:{router.admin}"],
        capture_output=True, text=True, timeout=PATIENCE,
    )  # fmt: skip
    return finished.returncode, finished.stdout + finished.stderr


def reloads(router: Router, result: str) -> float:
    return router.metric(f'edgeroute_reloads_total{{result="{result}"}}')


# Valid.


def test_a_changed_file_is_taken_up_by_every_worker(make_router: MakeRouter):
    router = make_router(workers=2).start().ready()
    wait_for(lambda: len(router.workers()) == 2)
    router.configure("second")
    wait_for(lambda: reloads(router, "applied") == 1)
    assert {each["generation"] for each in router.status()["workers"]} == {2}
    assert {name for _ in range(8) for name in router.models()} == {"second"}
    assert "configuration reloaded: generation 2 serves" in router.said()


def test_a_swapped_symlink_is_a_change(make_router: MakeRouter):
    router = make_router()
    for model in ("first", "second"):
        (router.folder / model).mkdir()
        (router.folder / model / "edgeroute.yaml").write_text(router.text(model))
    router.config.unlink()
    (router.folder / "..data").symlink_to("first")
    router.config.symlink_to("..data/edgeroute.yaml")
    router.start().ready()
    (router.folder / "..new").symlink_to("second")
    (router.folder / "..new").rename(router.folder / "..data")
    wait_for(lambda: router.models() == ["second"])


def test_a_changed_secret_file_is_a_change(make_router: MakeRouter):
    router = make_router()
    secret = router.folder / "secret"
    secret.write_text("one")
    text = router.text("first").replace(
        "http://127.0.0.1:9/v1}", f'http://127.0.0.1:9/v1, api_key: "${{file:{secret}}}"}}'
    )
    assert str(secret) in text
    router.replace(text)
    router.start().ready()
    secret.write_text("two")
    wait_for(lambda: reloads(router, "applied") == 1)


def test_included_files_are_watched_and_so_is_their_folder(make_router: MakeRouter):
    router = make_router()
    (router.folder / "rules").mkdir()
    router.configure("first", include="[rules/*.yaml]")
    router.start().ready()
    rule = "rules: [{name: own, when: 'stream', model: NAME}]\n"
    (router.folder / "rules" / "own.yaml").write_text(rule.replace("NAME", "first"))
    wait_for(lambda: reloads(router, "applied") == 1)
    (router.folder / "rules" / "own.yaml").write_text(rule.replace("NAME", "nothing"))
    wait_for(lambda: reloads(router, "invalid") == 1)
    assert 'own.yaml:1:44: error: unknown model "nothing"' in router.said()
    (router.folder / "rules" / "own.yaml").unlink()
    wait_for(lambda: reloads(router, "applied") == 2)


def test_the_command_reloads_and_says_so(router: Router):
    router.configure("second")
    code, text = reload_command(router)
    assert code == 0
    # The file watch may have been first.
    assert re.search(r"generation 2 (still )?serves", text)
    assert router.models() == ["second"]


def test_the_signal_reloads(router: Router):
    router.send(signal.SIGHUP)
    wait_for(lambda: reloads(router, "unchanged") == 1)
    assert router.status()["generation"] == 1


def test_the_same_content_is_no_new_generation(router: Router):
    router.replace("# a remark changes nothing\n" + router.config.read_text())
    wait_for(lambda: reloads(router, "unchanged") == 1)
    assert reload_command(router) == (0, "nothing to reload: generation 1 still serves\n")
    assert [path.name for path in (router.folder / "run").glob("gen*")] == ["generation-1.json"]


def test_old_generations_are_removed(router: Router):
    for number in range(2, 6):
        router.configure(f"model-{number}")
        assert reload_command(router)[0] == 0
    wait_for(lambda: router.models() == ["model-5"])
    found = sorted(path.name for path in (router.folder / "run").glob("gen*"))
    assert found == ["generation-4.json", "generation-5.json"]


def test_a_worker_that_lags_is_told_of_until_it_has_caught_up(make_router: MakeRouter):
    router = make_router(workers=2).start().ready()
    wait_for(lambda: len(router.workers()) == 2)
    stopped = router.workers()[0]
    os.kill(stopped, signal.SIGSTOP)
    try:
        router.configure("second")
        wait_for(lambda: reloads(router, "unconfirmed") == 1)
        status, said = reload_command(router)
        assert status == 1
        assert f"workers [{stopped}] have not taken it up yet" in said
    finally:
        os.kill(stopped, signal.SIGCONT)
    wait_for(lambda: {each["generation"] for each in router.status()["workers"]} == {2})
    assert reload_command(router)[0] == 0


def test_a_worker_that_starts_later_serves_the_current_generation(router: Router):
    router.configure("second")
    wait_for(lambda: router.models() == ["second"])
    (worker,) = router.workers()
    os.kill(worker, signal.SIGKILL)
    wait_for(lambda: router.workers() not in ([], [worker]))
    router.ready()
    assert router.models() == ["second"]


# Invalid.


@pytest.mark.parametrize("way", ["file", "signal", "command"])
def test_an_invalid_file_changes_nothing_and_says_so(router: Router, way: str):
    broken = router.config.read_text().replace("stub/one", "stab/one")
    router.replace(broken)
    if way == "signal":
        router.send(signal.SIGHUP)
    if way == "command":
        code, text = reload_command(router)
        assert code == 1
        assert "reload refused, generation 1 still serves:" in text
        assert "stab" in text
        assert "^" in text
    wait_for(lambda: reloads(router, "invalid") >= 1)
    wait_for(lambda: "stab" in router.said())
    assert router.status()["generation"] == 1
    assert router.models() == ["first"]
    assert router.ask("GET", "/readyz")[0] == 200
    router.configure("second")
    wait_for(lambda: router.models() == ["second"])


def test_a_vanished_file_changes_nothing_until_it_is_back(router: Router):
    text = router.text("second")
    router.config.unlink()
    wait_for(lambda: reloads(router, "invalid") == 1)
    assert router.models() == ["first"]
    router.replace(text)
    wait_for(lambda: router.models() == ["second"])


def test_a_configuration_that_cannot_be_stored_changes_nothing_until_it_can(router: Router):
    blocker = router.folder / "run" / "generation-2.json"
    blocker.mkdir()
    router.configure("second")
    code, text = reload_command(router)
    assert code == 1
    assert "reload refused, generation 1 still serves:" in text
    assert f"cannot store the new configuration in {blocker.parent}: Is a directory" in text
    assert router.models() == ["first"]
    assert router.ask("GET", "/readyz")[0] == 200
    blocker.rmdir()
    assert reload_command(router)[0] == 0
    assert router.models() == ["second"]


def test_the_answer_of_the_admin_listener_is_json(router: Router):
    router.replace("nonsense: [")
    status, text = router.ask("POST", "/reload")
    answer = json.loads(text)
    assert (status, answer["result"], answer["generation"]) == (422, "invalid", 1)
    assert "edgeroute.yaml:" in answer["message"]


def test_no_router_to_reload_is_an_error(make_router: MakeRouter):
    code, text = reload_command(make_router())
    assert code == 1
    assert "no router answers" in text
    assert "--admin" in text


# Settings that wait for a restart.


def test_settings_for_the_next_start_are_named(router: Router):
    router.configure("second", workers=3, log="json", listen="127.0.0.1:1")
    code, text = reload_command(router)
    assert code == 0
    assert "warning: `listen`, `workers`, `log` take effect at restart" in text
    wait_for(lambda: router.models() == ["second"])
    assert len(router.workers()) == 1
