"""Caches: what workers get of them, where they are kept, and that their secrets stay secret."""

from pathlib import Path
from typing import Any

import msgspec
import pytest

from edgeroute._native import Cells, Snapshot
from edgeroute.config import ConfigError, Loaded, load
from edgeroute.config.caches import cache_path
from edgeroute.config.schema import Cache, Config
from edgeroute.config.values import FolderPath, Malformed, RedisUrl

HASH = "sha256:2904cb91b4d3e13d761f8ea8a47d42158ae6729fe2c90764d9b3b0294140812e"
REST = f"providers: {{openai: {{api_key: '${{A}}'}}}}\nvirtual_keys: {{demo: {{hash: '{HASH}'}}}}\n"
HOME = {"A": "sk-a", "HOME": "/home/somebody"}


def load_text(folder: Path, text: str, environ: dict[str, str] = HOME) -> Loaded:
    path = folder / "edgeroute.yaml"
    path.write_text(REST + text, encoding="utf-8")
    return load(path, environ)


def normalised(folder: Path, text: str) -> dict[str, Any]:
    """As workers get it; they can compile it."""
    loaded = load_text(folder, text)
    Snapshot.compile(loaded.normalised, Cells.anonymous(), 1)
    return msgspec.json.decode(loaded.normalised)


def test_the_cache_of_a_model(tmp_path: Path) -> None:
    default: dict[str, object] = {
        "mode": "exact",
        "ttl_ms": 3_600_000,
        "scope": "virtual_key",
        "serve": "observe",
        "threshold_permille": 950,
        "share": False,
        "replay": "at-once",
        "max_temperature_permille": 300,
        "turns": 1,
        "count_tokens": False,
    }

    def check(written: str, **expected: object) -> None:
        text = f"models: {{fast: {{targets: [openai/a]{written}}}}}"
        [model] = normalised(tmp_path, text)["models"]
        assert model["cache"] == (default | expected if written else None)

    check("")
    check(", cache: exact")
    check(", cache: semantic", mode="semantic")
    check(", cache: {mode: exact, ttl: 90s, share: true}", ttl_ms=90_000, share=True)
    check(", cache: {mode: exact, scope: everybody}", scope="everybody")
    check(
        ", cache: {mode: semantic, serve: always, threshold: 0.975, turns: 3, replay: paced}",
        mode="semantic",
        serve="always",
        threshold_permille=975,
        turns=3,
        replay="paced",
    )
    check(
        ", cache: {mode: exact, max_temperature: 1.25, count_tokens: true}",
        max_temperature_permille=1250,
        count_tokens=True,
    )
    for permille in range(1001):  # no decimal is lost on the way
        assert round(float(f"{permille // 1000}.{permille % 1000:03}") * 1000) == permille


def test_the_embedder_of_a_model(tmp_path: Path) -> None:
    def check(written: str, expected: object) -> None:
        text = f"models: {{fast: {{targets: [openai/a], cache: {written}}}}}"
        [model] = normalised(tmp_path, text)["models"]
        assert model["embedder"] == expected

    def by(model: str, wait_ms: int) -> dict[str, object]:
        return {"target": {"provider": "openai", "model": model}, "wait_ms": wait_ms}

    check("exact", None)
    check("semantic", None)
    check("{mode: semantic, embedder: openai/small}", by("small", 0))
    check("{mode: semantic, embedder: {target: openai/small}}", by("small", 0))
    check("{mode: semantic, embedder: {target: openai/small/2, wait: 50ms}}", by("small/2", 50))


def test_the_judge_of_a_model(tmp_path: Path) -> None:
    text = "models: {{fast: {{targets: [openai/a], cache: {}}}}}"
    for written, expected in (
        ("semantic", None),
        ("{mode: semantic, judge: openai/b/c}", {"provider": "openai", "model": "b/c"}),
    ):
        [model] = normalised(tmp_path, text.format(written))["models"]
        assert model["judge"] == expected


def test_an_embedder_serves(tmp_path: Path) -> None:
    """Its provider may have no other use, and its threshold is of cosines that nobody knows here."""
    cache = "{mode: semantic, threshold: 0.7, embedder: together/bge}"
    text = f"models: {{fast: {{targets: [openai/a], cache: {cache}}}}}"
    loaded = load_text(tmp_path, text.replace("together", "openai"))
    assert not loaded.warnings
    path = tmp_path / "edgeroute.yaml"
    path.write_text(REST.replace("{A}'}", "{A}'}, together: {api_key: '${A}'}") + text, encoding="utf-8")
    assert not load(path, HOME).warnings


def test_the_cache_of_a_rule(tmp_path: Path) -> None:
    def check(written: str, mode: str | None, ttl_ms: int | None) -> None:
        text = f"models: {{fast: openai/a}}\nrules: [{{name: a, when: stream, cache: {written}}}]\n"
        [rule] = normalised(tmp_path, text)["rules"]
        assert rule["cache"] == {"mode": mode, "ttl_ms": ttl_ms}

    check("off", "off", None)
    check("exact", "exact", None)
    check("{mode: semantic, ttl: 30s}", "semantic", 30_000)
    check("{ttl: 1m}", None, 60_000)


def test_where_answers_are_kept(tmp_path: Path) -> None:
    model = "models: {fast: {targets: [openai/a], cache: exact}}"
    rule = "rules: [{name: a, when: stream, cache: exact}]"
    default: dict[str, object] = {
        "path": "/home/somebody/.cache/edgeroute",
        "bytes": 256 << 20,
        "memory": 32 << 20,
        "entries": 100_000,
        "redis": None,
    }

    def check(text: str, expected: dict[str, object] | None) -> None:
        assert normalised(tmp_path, text)["cache"] == expected

    check("models: {fast: openai/a}", None)
    check("models: {fast: openai/a}\ncache: {size: 1GiB}", None)
    check("models: {fast: openai/a}\nrules: [{name: a, when: stream, cache: off}]", None)
    check(model, default)
    check(f"models: {{fast: openai/a}}\n{rule}", default)
    check(f"{model}\ncache: {{path: answers}}", default | {"path": str(tmp_path / "answers")})
    check(
        f"{model}\ncache: {{path: /srv/c, size: 1GiB, memory: 1MiB, entries: 5, redis: rediss://h}}",
        {
            "path": "/srv/c",
            "bytes": 1 << 30,
            "memory": 1 << 20,
            "entries": 5,
            "redis": "rediss://h:6379",
        },
    )


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({"HOME": "/root"}, "/root/.cache/edgeroute"),
        ({"HOME": "/root", "XDG_CACHE_HOME": "/x"}, "/x/edgeroute"),
        ({"HOME": "/root", "XDG_CACHE_HOME": "x"}, "/root/.cache/edgeroute"),
        ({"HOME": "/root", "XDG_CACHE_HOME": "/x", "CACHE_DIRECTORY": "/var/cache/edgeroute"}, "/var/cache/edgeroute"),
        ({"CACHE_DIRECTORY": "/var/cache/a:/var/cache/b"}, "/var/cache/a"),
        ({"HOME": ""}, None),
        ({}, None),
    ],
)
def test_the_default_folder(environ: dict[str, str], expected: str | None) -> None:
    assert cache_path(Config(), environ) == expected
    assert cache_path(Config(cache=Cache(path=FolderPath("/own"))), environ) == "/own"


def test_an_environment_without_a_place(tmp_path: Path) -> None:
    model = "models: {fast: {targets: [openai/a], cache: exact}}"
    with pytest.raises(ConfigError, match="there is no place for the cache") as caught:
        load_text(tmp_path, model, {"A": "sk-a"})
    assert "cache: {path:" in str(caught.value)
    load_text(tmp_path, f"{model}\ncache: {{path: answers}}", {"A": "sk-a"})
    load_text(tmp_path, "models: {fast: openai/a}", {"A": "sk-a"})


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("redis://cache", "redis://cache:6379"),
        ("REDISS://Cache:7000/2", "rediss://cache:7000/2"),
        ("redis://:p%40ss@[::1]:6379/", "redis://:p%40ss@[::1]:6379"),
        ("redis://user:pass@10.0.0.1/0", "redis://user:pass@10.0.0.1:6379/0"),
        ("http://cache", None),
        ("cache:6379", None),
        ("redis://", None),
        ("redis://cache:0", None),
        ("redis://cache:65536", None),
        ("redis://cache/a", None),
        ("redis://cache?db=1", None),
        ("redis://u:p%zz@cache", None),
        ("redis://u:p ss@cache", None),
    ],
)
def test_urls_of_redis(written: str, expected: str | None) -> None:
    if expected is None:
        with pytest.raises(Malformed) as caught:
            RedisUrl.parse(written)
        assert "p%zz" not in str(caught.value)
        assert "p ss" not in str(caught.value)
    else:
        url = RedisUrl.parse(written)
        assert url.reveal() == expected
        assert expected not in f"{url} {url!r}"
