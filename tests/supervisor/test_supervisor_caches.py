"""The cache as the supervisor has it: it follows the configuration, purges, and tells what workers count."""

import hashlib
import logging
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
from waiting import wait_for

from edgeroute._native import Store
from edgeroute.config import Config
from edgeroute.config.schema import Cache, ModelCache, Pool, Rule, RuleCache, Team
from edgeroute.config.values import Condition, FolderPath, RedisUrl
from edgeroute.supervisor.caches import Caches, PurgeCommand, Purged

NOW = time.time_ns() // 1_000_000
HOUR = 3_600_000
KEYS = [f"{number:032x}" for number in range(1, 5)]


def config(folder: Path, **settings: Any) -> Config:
    pool = Pool(targets=["openai/a"], cache=ModelCache(mode="semantic"))
    cache = Cache(path=FolderPath(folder / "cache"), **settings)
    return Config(cache=cache, models={"faq": pool, "batch": pool, "chat": "openai/b"}, teams={"search": Team()})


@pytest.fixture
def caches(tmp_path: Path) -> Iterator[Caches]:
    """With four answers: two of `faq`, one of `batch`, one of a model that is not configured any more."""
    made = Caches({})
    made.follow(config(tmp_path))
    store = store_of(made)
    wait_for(lambda: store.statistics().available)
    put(store, KEYS[0], "virtual_key", "me", "faq", NOW)
    put(store, KEYS[1], "team", "search", "faq", NOW - HOUR)
    put(store, KEYS[2], "everybody", "", "batch", NOW)
    put(store, KEYS[3], "virtual_key", "gone", "old", NOW)
    wait_for(lambda: store.statistics().entries == 4)
    yield made
    made.follow(Config())


def store_of(caches: Caches) -> Store:
    assert caches._open is not None  # pyright: ignore[reportPrivateUsage]
    return caches._open[1]  # pyright: ignore[reportPrivateUsage]


def put(store: Store, key: str, scope: str, name: str, model: str, stored_ms: int) -> None:
    store.put(
        key=key, scope=scope, name=name, model=model, stored_ms=stored_ms, expires_ms=NOW + HOUR, head=b"h", body=b"b"
    )


@pytest.mark.parametrize(
    ("command", "removed"),
    [
        (PurgeCommand(key=KEYS[2]), [2]),
        (PurgeCommand(model="faq"), [0, 1]),
        (PurgeCommand(model="old"), [3]),
        (PurgeCommand(virtual_key="me"), [0]),
        (PurgeCommand(virtual_key="gone"), [3]),
        (PurgeCommand(team="search"), [1]),
        (PurgeCommand(everybody=True), [2]),
        (PurgeCommand(older_than="30m"), [1]),
        (PurgeCommand(older_than="0s"), [0, 1, 2, 3]),
        (PurgeCommand(all=True), [0, 1, 2, 3]),
    ],
)
def test_what_is_purged(caches: Caches, tmp_path: Path, command: PurgeCommand, removed: list[int]) -> None:
    found = caches.purge(command, config(tmp_path))
    number = "1 entry" if len(removed) == 1 else f"{len(removed)} entries"
    assert found == Purged("applied", len(removed), f"purged {number}; workers follow within 0.1 s")
    wait_for(lambda: store_of(caches).statistics().entries == 4 - len(removed))
    assert caches.purge(command, config(tmp_path)).entries == 0


@pytest.mark.parametrize(
    ("name", "whose", "removed"),
    [
        ("best", "faq", [0, 1]),
        ("better", "faq", [0, 1]),
        ("mine", "batch and faq", [0, 1, 2]),
        ("openai/small", "openai/*", [4]),
        ("any/small", "openai/*", [4]),
    ],
)
def test_a_purge_by_another_name_of_a_model(
    caches: Caches, tmp_path: Path, name: str, whose: str, removed: list[int]
) -> None:
    pool = Pool(targets=["openai/*"], cache=ModelCache(mode="exact"))
    names = {"best": "faq", "better": "best", "openai/*": pool, "any/*": "openai/*"}
    teams = {"a": Team(aliases={"mine": "batch"}), "b": Team(aliases={"mine": "best", "other": "faq"})}
    changed = msgspec.structs.replace(config(tmp_path), models=config(tmp_path).models | names, teams=teams)
    put(store_of(caches), f"{5:032x}", "everybody", "", "openai/*", NOW)
    wait_for(lambda: store_of(caches).statistics().entries == 5)
    found = caches.purge(PurgeCommand(model=name), changed)
    number = "1 entry" if len(removed) == 1 else f"{len(removed)} entries"
    message = f"purged {number} of {whose}; workers follow within 0.1 s"
    assert found == Purged("applied", len(removed), message)
    wait_for(lambda: store_of(caches).statistics().entries == 5 - len(removed))
    assert caches.purge(PurgeCommand(model=name), changed) == Purged("unchanged", 0, "nothing to purge")


def check_refused(caches: Caches, tmp_path: Path, command: PurgeCommand, result: str, message: str) -> None:
    found = caches.purge(command, config(tmp_path))
    assert (found.result, found.entries) == (result, 0)
    assert message in found.message


def test_what_cannot_be_purged(caches: Caches, tmp_path: Path) -> None:
    one = "say what is to be purged: one of key, virtual_key, team, everybody, model, older_than, all"
    for command, result, message in (
        (PurgeCommand(), "invalid", one),
        (PurgeCommand(model="faq", all=True), "invalid", f"{one}, and not several"),
        (PurgeCommand(key="xyz"), "invalid", "a key of the cache is 32 hexadecimal digits"),
        (PurgeCommand(key="+" + "0" * 31), "invalid", "32 hexadecimal digits"),
        (PurgeCommand(key="f" * 32), "unchanged", "nothing to purge"),
        (PurgeCommand(older_than="an hour"), "invalid", "older_than must be a time such as 500ms"),
        (PurgeCommand(older_than="99999999h"), "unchanged", "nothing to purge"),
        (PurgeCommand(model="fqa"), "invalid", 'there is no model "fqa", and no answer of one; did you mean "faq"?'),
        (PurgeCommand(model="chat"), "unchanged", "nothing to purge"),
        (PurgeCommand(team="none"), "invalid", 'there is no team "none", and no answer of one; teams are: search'),
        (PurgeCommand(virtual_key="none"), "invalid", 'there is no virtual key "none"'),
    ):
        check_refused(caches, tmp_path, command, result, message)
    assert store_of(caches).statistics().entries == 4


def test_without_a_store(tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file where a folder should be")
    caches = Caches({})
    caches.follow(config(tmp_path))
    nothing = f"nothing was purged: there is no store in {tmp_path / 'cache'} at present, the log says why"
    check_refused(caches, tmp_path, PurgeCommand(all=True), "invalid", nothing)


@pytest.mark.parametrize(
    ("state", "entries", "message"),
    [
        ("failed", 0, "the purge could not be done, the log says why"),
        ("waiting", 2, "2 entries will be purged, and are not all gone yet; should it fail, the log says so"),
    ],
)
def test_a_purge_that_is_not_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, state: str, entries: int, message: str
) -> None:
    class Stuck:
        def __init__(self, *_: object) -> None: ...

        def take_warnings(self) -> list[str]:
            return []

        def statistics(self) -> SimpleNamespace:
            return SimpleNamespace(available=True, most_bytes=256 << 20)

        def purge(self, *_: object) -> tuple[int, str]:
            return 2, state

    monkeypatch.setattr("edgeroute.supervisor.caches.Store", Stuck)
    caches = Caches({})
    caches.follow(config(tmp_path))
    found = caches.purge(PurgeCommand(model="faq"), config(tmp_path))
    assert (found.result, found.entries) == ("unconfirmed", entries)
    assert found.message.startswith(message)


def test_without_a_cache(tmp_path: Path) -> None:
    caches = Caches({})
    caches.follow(Config())
    check_refused(caches, tmp_path, PurgeCommand(all=True), "invalid", "no model and no rule of the configuration")
    assert (caches.samples(), caches.summary([])) == ([], None)
    assert caches.report(Config(), [])["store"] is None


def test_it_follows_the_configuration(caches: Caches, tmp_path: Path) -> None:
    first = store_of(caches)
    caches.follow(config(tmp_path))
    assert store_of(caches) is first
    caches.follow(config(tmp_path, entries=7))
    assert store_of(caches) is not first
    caches.follow(Config())
    assert caches.samples() == []
    rule = Rule(name="a", when=Condition("true"), cache=RuleCache(mode="exact"))
    caches.follow(Config(cache=config(tmp_path).cache, rules=[rule]))
    assert len(caches.samples()) == 2


def test_it_does_not_wait_for_redis_when_the_cache_changes(tmp_path: Path) -> None:
    caches = Caches({})
    with socket.create_server(("127.0.0.1", 0)) as listener:
        redis = RedisUrl(f"redis://127.0.0.1:{listener.getsockname()[1]}")
        caches.follow(config(tmp_path, redis=redis))
        connection, _ = listener.accept()
        with connection:
            assert connection.recv(1)  # it waits for the reply now
            connection.setblocking(False)
            caches.follow(Config())
            with pytest.raises(BlockingIOError):  # nobody has closed it
                list(iter(lambda: connection.recv(100), b""))


def test_the_report(caches: Caches, tmp_path: Path) -> None:
    counted = [
        ('edgeroute_cache_requests_total{model="faq",result="hit"}', 5.0),
        ('edgeroute_cache_requests_total{model="faq",result="semantic"}', 1.0),
        ('edgeroute_cache_requests_total{model="faq",result="joined"}', 2.0),
        ('edgeroute_cache_requests_total{model="faq",result="miss"}', 8.0),
        ('edgeroute_cache_requests_total{model="faq",result="bypass"}', 3.0),
        ('edgeroute_cache_requests_total{model="chat",result="bypass"}', 4.0),
        ('edgeroute_cache_refused_total{reason="numbers"}', 2.0),
        ("edgeroute_cache_evictions_total", 1.0),
        ("edgeroute_cache_dropped_total", 6.0),
        ('edgeroute_requests_total{model="faq"}', 100.0),
    ]
    found = caches.report(config(tmp_path), counted)
    unseen = {"correct": 0, "wrong": 0, "unknown": 0, "least_correct": None, "serving": False}
    nothing = dict.fromkeys(("hit", "semantic", "joined", "miss", "bypass"), 0) | {"hit_share": None}
    asked = {"hit": 5, "semantic": 1, "joined": 2, "miss": 8, "bypass": 3, "hit_share": 0.5}
    semantic = {"mode": "semantic", "serve": "observe"}
    assert found.pop("models") == [
        {"model": "faq", **semantic, "entries": 2, **asked, "evidence": unseen},
        {"model": "batch", **semantic, "entries": 1, **nothing, "evidence": unseen},
        {"model": "chat", "mode": None, "serve": None, "entries": 0, **nothing, "bypass": 4, "evidence": unseen},
    ]
    store = found.pop("store")
    assert store.pop("bytes") >= 0
    assert store == {
        "path": str(tmp_path / "cache"),
        "available": True,
        "entries": 4,
        "most_entries": 100_000,
        "most_bytes": 256 << 20,
        "redis": False,
        "hit_share": 0.5,
    }
    assert found == {
        "refused": {"numbers": 2},
        "evidence": unseen,
        "evictions": 1,
        "dropped": 6,
    }


def test_evidence_is_told_by_model_and_over_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Observed:
        def __init__(self, *_: object) -> None: ...

        def take_warnings(self) -> list[str]:
            return []

        def statistics(self) -> SimpleNamespace:
            return SimpleNamespace(available=True, entries=0, bytes=0, most_bytes=256 << 20)

        def entries_of(self, models: list[str]) -> list[int]:
            return [0] * len(models)

        def evidence_of(self, models: list[str]) -> list[SimpleNamespace]:
            faq = SimpleNamespace(correct=9, wrong=0, unknown=2, serving=True)
            batch = SimpleNamespace(correct=0, wrong=0, unknown=7, serving=False)
            return [{"faq": faq, "batch": batch}[name] for name in models]

    monkeypatch.setattr("edgeroute.supervisor.caches.Store", Observed)
    caches = Caches({})
    caches.follow(config(tmp_path))
    report = caches.report(config(tmp_path), [])
    least = 0.7169  # 0.05 ** (1 / 9)
    assert [model["evidence"] for model in report["models"]] == [
        {"correct": 9, "wrong": 0, "unknown": 2, "least_correct": least, "serving": True},
        {"correct": 0, "wrong": 0, "unknown": 7, "least_correct": None, "serving": False},
    ]
    assert report["evidence"] == {"correct": 9, "wrong": 0, "unknown": 9, "least_correct": least, "serving": True}


def test_names_that_metrics_cut(tmp_path: Path) -> None:
    name = "m" * 49
    label = f"{'m' * 39}~{hashlib.sha256(name.encode()).hexdigest()[:8]}"
    counted = [(f'edgeroute_cache_requests_total{{model="{label}",result="hit"}}', 1.0)]
    settings = Config(models={name: Pool(targets=["openai/a"], cache=ModelCache(mode="exact"))})
    [model] = Caches({}).report(settings, counted)["models"]
    assert (model["model"], model["hit"]) == (name, 1)


def test_warnings_of_the_store_are_logged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    class Broken:
        def __init__(self, *_: object) -> None:
            self.warnings = ["the folder is read-only"]

        def take_warnings(self) -> list[str]:
            taken, self.warnings = self.warnings, []
            return taken

        def statistics(self) -> SimpleNamespace:
            return SimpleNamespace(available=False)

    monkeypatch.setattr("edgeroute.supervisor.caches.Store", Broken)
    caplog.set_level(logging.WARNING, "edgeroute")
    logging.getLogger("edgeroute").addHandler(caplog.handler)
    try:
        caches = Caches({})
        caches.follow(config(tmp_path))
        caches.follow(config(tmp_path))
    finally:
        logging.getLogger("edgeroute").removeHandler(caplog.handler)
    assert set(caplog.messages) == {"cache: the folder is read-only"}


def test_a_larger_size_takes_a_restart(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caches, worker = Caches({}), Store(str(tmp_path / "cache"), 1 << 20, 100)
    wait_for(lambda: worker.statistics().available)
    caplog.set_level(logging.WARNING, "edgeroute")
    logging.getLogger("edgeroute").addHandler(caplog.handler)
    try:
        for size, expected in ((1 << 20, 0), (8 << 20, 1), (8 << 20, 1), (1 << 20, 1)):
            caches.follow(config(tmp_path, size=size))
            wait_for(lambda: store_of(caches).statistics().available)
            caches.follow(config(tmp_path, size=size))
            assert len(set(caplog.messages)) == expected
            assert (caches.summary([]) or {})["most_bytes"] == 1 << 20
    finally:
        logging.getLogger("edgeroute").removeHandler(caplog.handler)
    said = "stays at 1024 KiB, not cache.size (8192 KiB), while it is open: restart"
    assert caplog.messages[0].endswith(said)
    caches.follow(Config())
