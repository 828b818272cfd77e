"""What workers get of strategies, replicas, prices and prompt caches: the contract with `rust/router`."""

from pathlib import Path
from typing import Any

import msgspec
import pytest

from edgeroute._native import Cells, Snapshot
from edgeroute.config import ConfigError, Loaded, load
from edgeroute.config.models import known_as
from edgeroute.config.replicas import load_replicas
from edgeroute.config.schema import Discovery, Provider, Replica
from edgeroute.config.values import Url
from edgeroute.config.vocabulary import foreign_word
from edgeroute.providers import CATALOGUE, catalogue_price, prices_date
from edgeroute.providers.prices import FILE

HASH = "sha256:2904cb91b4d3e13d761f8ea8a47d42158ae6729fe2c90764d9b3b0294140812e"
KEYS = f"virtual_keys: {{demo: {{hash: '{HASH}'}}}}\n"
VLLM = "vllm: {dialect: openai-chat, urls: [http://a/v1, http://b/v1]}"


def load_text(folder: Path, providers: str, model: str) -> Loaded:
    path = folder / "edgeroute.yaml"
    path.write_text(f"providers: {{{providers}}}\nmodels: {{fast: {model}}}\n{KEYS}", encoding="utf-8")
    return load(path, {"A": "sk-a", "B": "sk-b"})


def normalised(folder: Path, providers: str, model: str) -> dict[str, Any]:
    """As workers get it; they can compile it."""
    loaded = load_text(folder, providers, model)
    Snapshot.compile(loaded.normalised, Cells.anonymous(), 1)
    return msgspec.json.decode(loaded.normalised)


def test_strategies(tmp_path: Path) -> None:
    neutral: dict[str, object] = {
        "key": [],
        "load_factor_percent": 125,
        "cache_salt": None,
        "index_bytes": 8 << 20,
        "second_price": 0.01,
    }

    def check(written: str, name: str, **expected: object) -> None:
        model = f"{{targets: [vllm/a], strategy: {written}}}"
        [found] = normalised(tmp_path, VLLM, model)["models"]
        assert found["strategy"] == {"name": name, **neutral, **expected}

    for name in ("ordered", "weighted", "round-robin", "least-load", "power-of-two", "latency", "affinity"):
        check(name, name)
        check(f"{{name: {name}}}", name)
    check("session", "session", key=["session", "user"])
    check("bounded-hash", "bounded-hash", key=["session", "user", "prompt"])
    check('{name: session, key: ["header:X-Tenant", virtual_key]}', "session", key=["header:x-tenant", "virtual_key"])
    check(
        "{name: bounded-hash, key: [prompt], load_factor: 1}", "bounded-hash", key=["prompt"], load_factor_percent=100
    )
    check(
        "{name: affinity, cache_salt: virtual_key, index: 1MiB, second_price: 2.5}",
        "affinity",
        cache_salt="virtual_key",
        index_bytes=1 << 20,
        second_price=2.5,
    )
    for percent in range(100, 1001):  # no decimal is lost on the way
        text = f"{percent // 100}.{percent % 100:02}"
        assert round(float(text) * 100) == percent


def test_replicas(tmp_path: Path) -> None:
    urls = (
        "[http://a/v1, {url: http://b/v1}, {url: http://c/v1, weight: 7}, {url: http://d/v1, weight: 7, drain: true}]"
    )
    providers = f"vllm: {{dialect: openai-chat, engine: sglang, urls: {urls}}}"
    [found] = normalised(tmp_path, providers, "vllm/a")["providers"]
    weights = {each["url"]: each["weight"] for each in found["replicas"]}
    assert weights == {"http://a/v1": 1, "http://b/v1": 1, "http://c/v1": 7, "http://d/v1": 0}
    assert (found["engine"], found["prompt_cache"]) == ("sglang", None)


def test_prompt_caches(tmp_path: Path) -> None:
    def check(provider: str, expected: tuple[int | None, int] | None) -> None:
        [found] = normalised(tmp_path, f"openai: {{{provider}}}", "openai/a")["providers"]
        cache = found["prompt_cache"]
        assert cache == (expected and {"lifetime_s": expected[0], "least_tokens": expected[1]})

    of_another, other_url = "dialect: openai-chat, url: 'http://h/v1'", "url: 'https://api.cerebras.ai/v1'"
    check("api_key: '${A}'", (300, 1024))
    check("api_key: '${A}', prompt_cache: {lifetime: 1h}", (3600, 1024))
    check("api_key: '${A}', prompt_cache: {minimum: 0}", (300, 0))
    check(f"{other_url}, api_key: '${{A}}'", (300, 128))  # who it is says the URL, not the name
    check(of_another, None)
    check(f"{of_another}, prompt_cache: {{lifetime: 90s}}", (90, 0))
    check(f"{of_another}, prompt_cache: {{minimum: 64}}", (None, 64))


def test_prices(tmp_path: Path) -> None:
    def check(provider: str, target: str, expected: tuple[float, float, float] | None) -> None:
        [found] = normalised(tmp_path, f"openai: {{{provider}}}", f"{{targets: [{target}]}}")["models"]
        price = found["targets"][0]["price"]
        assert price == (expected and dict(zip(("input", "cached_input", "output"), expected, strict=True)))

    own = "{target: openai/gpt-5-mini, price: {input: 3, output: 15}}"
    check("api_key: '${A}'", "openai/gpt-5-mini", (0.25, 0.025, 2))
    check("api_key: '${A}'", own, (3, 3, 15))
    check("api_key: '${A}'", own.replace("15", "15, cached_input: 0.3"), (3, 0.3, 15))
    check("api_key: '${A}'", "openai/gpt-unheard-of", None)
    check("url: 'http://gateway/v1'", "openai/gpt-5-mini", None)  # somebody else's server
    check("dialect: openai-chat, url: 'https://api.mistral.ai/v1'", "openai/mistral-small-latest", (0.15, 0.15, 0.6))


def test_the_price_of_a_wildcard_is_not_known(tmp_path: Path) -> None:
    providers, target = "openai: {api_key: '${A}'}", "openai/*: {targets: [openai/*]"
    path = tmp_path / "edgeroute.yaml"
    path.write_text(f"providers: {{{providers}}}\nmodels: {{{target}}}}}\n{KEYS}", encoding="utf-8")
    [model] = msgspec.json.decode(load(path, {"A": "sk-a"}).normalised)["models"]
    assert model["targets"][0]["price"] is None


def test_who_a_provider_is() -> None:
    def check(name: str, provider: Provider, expected: str | None) -> None:
        assert known_as(name, provider) == expected

    def at(*urls: str) -> list[Replica]:
        return [Replica(Url.parse(url)) for url in urls]

    check("openai", Provider(), "openai")
    check("mine", Provider(), None)
    check("second", Provider(dialect="openai-chat", url=Url.parse("https://api.openai.com/v1/")), "openai")
    check("openai", Provider(url=Url.parse("http://proxy/v1")), None)
    check("openai", Provider(urls=at("https://api.openai.com/v1", "http://proxy/v1")), None)
    check("openai", Provider(discover=Discovery(dns=Url.parse("http://all/v1"))), None)


def test_where_replicas_are_discovered(tmp_path: Path) -> None:
    def check(written: str, **expected: object) -> None:
        providers = f"vllm: {{dialect: openai-chat, url: 'http://a/v1', discover: {{{written}}}}}"
        assert load_text(tmp_path, providers, "vllm/a").config.providers["vllm"].discover == Discovery(**expected)  # pyright: ignore[reportArgumentType]

    check("dns: 'http://ALL:8000/v1/'", dns="http://all:8000/v1")
    check("srv: 'https://_https._tcp.all/v1', every: 1s", srv="https://_https._tcp.all/v1", every=1000)
    check("file: lists/replicas.yaml, every: 1h", file=str(tmp_path / "lists/replicas.yaml"), every=3_600_000)
    check("file: /etc/replicas.yaml", file="/etc/replicas.yaml")


def test_a_provider_may_have_only_replicas_that_are_discovered(tmp_path: Path) -> None:
    loaded = load_text(tmp_path, "vllm: {dialect: openai-chat, discover: {dns: 'http://all/v1'}}", "vllm/a")
    assert loaded.warnings == []
    assert msgspec.json.decode(loaded.normalised)["providers"][0]["replicas"] == []


def test_files_of_replicas(tmp_path: Path) -> None:
    path = tmp_path / "replicas.yaml"

    def check(text: str, *expected: Replica) -> None:
        path.write_text(text, encoding="utf-8")
        assert load_replicas(path, {"HOST": "gpu-2"}) == list(expected)

    a, b = (Replica(Url(f"http://{name}:8000/v1")) for name in ("gpu-1", "gpu-2"))
    check("urls: [http://gpu-1:8000/v1, 'http://${HOST}:8000/v1/']\n", a, b)
    check("urls:\n  - {url: http://gpu-1:8000/v1, weight: 3, drain: true}\n", Replica(a.url, 3, drain=True))

    def refused(text: str, *expected: str) -> None:
        path.write_text(text, encoding="utf-8")
        with pytest.raises(ConfigError) as caught:
            load_replicas(path, {})
        assert [each.message for each in caught.value.diagnostics] == list(expected)
        assert all(each.line for each in caught.value.diagnostics)

    refused("urls: []\n", '"urls" is empty')
    refused("urls: [http://a/v1, http://a/v1]\n", "this URL is listed twice")
    refused("url: http://a/v1\n", 'unknown setting "url" in a file of replicas', 'a file of replicas needs "urls"')
    refused(
        "urls: [http://a/v1", "this is not valid YAML: did not find expected ',' or ']' while parsing a flow sequence"
    )
    path.unlink()
    with pytest.raises(ConfigError, match="cannot read the replicas: No such file or directory"):
        load_replicas(path, {})


def test_ten_thousand_replicas(tmp_path: Path) -> None:
    urls = ", ".join(f"http://10.0.{number >> 8}.{number & 255}/v1" for number in range(10_000))
    provider = f"vllm: {{dialect: openai-chat, urls: [{urls}]}}"
    found = load_text(tmp_path, provider, "{targets: [vllm/a], strategy: least-load}")
    assert len(msgspec.json.decode(found.normalised)["providers"][0]["replicas"]) == 10_000
    with pytest.raises(ConfigError, match=r"affinity knows 64 replicas at most .*, not 10000"):
        load_text(tmp_path, provider, "{targets: [vllm/a], strategy: affinity}")


def test_affinity_takes_as_many_as_fit(tmp_path: Path) -> None:
    def check(replicas: int, keys: str, targets: str, count: int) -> None:
        urls = ", ".join(f"http://h{number}/v1" for number in range(replicas))
        provider = f"vllm: {{dialect: openai-chat, {keys} urls: [{urls}]}}"
        try:
            found = load_text(tmp_path, provider, f"{{targets: [{targets}], strategy: affinity}}").warnings
        except ConfigError as error:
            found = [each.message.rpartition(" ")[2] for each in error.diagnostics]
        assert found == ([] if count <= 64 else [str(count)])

    check(64, "", "vllm/a", 64)
    check(65, "", "vllm/a", 65)
    check(32, "api_keys: ['${A}', '${B}'],", "vllm/a", 64)
    check(32, "api_keys: ['${A}', '${B}'],", "vllm/a, vllm/b", 128)


def test_what_is_hashed_is_no_secret(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        load_text(tmp_path, VLLM, "{targets: [vllm/a], strategy: {name: session, key: [sesion]}}")
    assert "key: [sesion]" in str(caught.value)


def test_words_of_others() -> None:
    def check(word: str, expected: str | None) -> None:
        assert foreign_word(word, names) == (expected and f'the nearest here is "{expected}"')

    names = ("weighted", "round-robin", "least-load", "latency", "cost", "session", "bounded-hash", "affinity")
    check("simple-shuffle", "weighted")
    check("Least_Busy", "least-load")
    check("LEASTLOAD", "least-load")
    check("least_conn", "least-load")
    check("PrefixHash", "bounded-hash")
    check("cache_aware", "affinity")
    check("roundrobin", "round-robin")
    check("clever", None)
    check("fallback", None)  # its counterpart is none of the names


def test_the_catalogue_of_prices() -> None:
    assert FILE.stat().st_size < 100_000
    assert prices_date() == "2026-07-02"
    found = msgspec.json.decode(FILE.read_bytes())["prices"]
    assert set(found) <= set(CATALOGUE)
    assert sum(map(len, found.values())) > 500
    for provider, models in found.items():
        for model in models:
            price = catalogue_price(provider, model)
            assert price is not None
            assert 0 <= price.cached_input <= price.input < 1000, f"{provider}/{model}"
            assert 0 <= price.output < 1000, f"{provider}/{model}"
    assert catalogue_price("openai", "unheard-of") is None
    assert catalogue_price("nobody", "gpt-5-mini") is None
