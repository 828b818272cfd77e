"""What workers get of proxies, credentials, headers, authorities and targets: the contract with `rust/router`."""

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import pytest

from edgeroute.config import ConfigError, Loaded, load

CERTIFICATE = Path(__file__).parent / "tls" / "localhost.crt"
KEY = Path(__file__).parent / "tls" / "localhost.key"
HASH = "sha256:2904cb91b4d3e13d761f8ea8a47d42158ae6729fe2c90764d9b3b0294140812e"
REST = f"models: {{fast: p/a}}\nvirtual_keys: {{demo: {{hash: '{HASH}'}}}}\n"
ENVIRON = {"A": "sk-a", "B": "sk-b", "ORG": "org-1", "PASSWORD": "p%40ss"}


def load_text(folder: Path, text: str, environ: Mapping[str, str] = ENVIRON) -> Loaded:
    path = folder / "edgeroute.yaml"
    path.write_text(text, encoding="utf-8")
    return load(path, environ)


def normalised(loaded: Loaded) -> dict[str, Any]:
    return msgspec.json.decode(loaded.normalised)


def provider(folder: Path, settings: str, environ: Mapping[str, str] = ENVIRON) -> dict[str, Any]:
    text = f"providers: {{p: {{dialect: openai-chat, {settings}}}}}\n{REST}"
    return normalised(load_text(folder, text, environ))["providers"][0]


def test_a_provider_with_everything(tmp_path: Path) -> None:
    combined = CERTIFICATE.read_text() + KEY.read_text() + CERTIFICATE.read_text()
    (tmp_path / "ca.pem").write_text(f"Our authority\n{combined}")
    settings = """urls: [https://h0/v1, http://h1/v1], api_keys: ["${A}", "${B}"], ca_file: ca.pem,
      headers: {OpenAI-Organization: "${ORG}", x-note: two words}, proxy: "http://user:${PASSWORD}@proxy:3128" """
    found = provider(tmp_path, settings)
    assert found.pop("ca").split() == (CERTIFICATE.read_text() * 2).split()  # certificates alone, no key
    assert found == {
        "name": "p",
        "dialect": "openai-chat",
        "replicas": [
            {"url": "https://h0/v1", "proxy": "http://user:p%40ss@proxy:3128", "weight": 1, "address": None},
            {"url": "http://h1/v1", "proxy": None, "weight": 1, "address": None},
        ],
        "credentials": ["sk-a", "sk-b"],
        "headers": [["openai-organization", "org-1"], ["x-note", "two words"]],
        "max_connections": 2048,
        "engine": None,
        "prompt_cache": None,
    }


def test_proxies_of_the_environment(tmp_path: Path) -> None:
    def check(settings: str, no_proxy: str, *expected: str | None) -> None:
        found = provider(tmp_path, settings, {"HTTPS_PROXY": "http://env:1", "NO_PROXY": no_proxy})
        assert [replica["proxy"] for replica in found["replicas"]] == list(expected)

    urls = "urls: [https://a.internal/v1, https://b/v1, http://c/v1]"
    check(urls, "", "http://env:1", "http://env:1", None)
    check(urls, ".internal", None, "http://env:1", None)
    check(f"{urls}, proxy: 'http://own'", "*", "http://own:80", "http://own:80", None)


def test_a_wrong_proxy_of_the_environment(tmp_path: Path) -> None:
    def check(settings: str, expected: str | None) -> None:
        try:
            provider(tmp_path, settings, {"https_proxy": "https://user:hidden@proxy:1"})
        except ConfigError as error:
            told = str(error)
        else:
            told = ""
        assert told.startswith(expected) if expected else not told
        assert "hidden" not in told

    check("url: 'https://h/v1'", "https_proxy: error: a proxy that is not reached by http:// is not supported")
    check("url: 'http://h/v1'", None)
    check("url: 'https://h/v1', proxy: 'http://own'", None)


def test_targets(tmp_path: Path) -> None:
    def check(targets: str, weighted: bool, *expected: tuple[str, int, int | None, int | None, int | None]) -> None:
        rest = REST.replace("p/a", f"{{targets: {targets}}}")
        text = f"providers: {{p: {{dialect: openai-chat, url: 'http://h/v1'}}}}\n{rest}"
        [model] = normalised(load_text(tmp_path, text))["models"]
        names = ("model", "weight", "connect_ms", "first_byte_ms", "gap_ms")
        assert model["strategy"]["name"] == ("weighted" if weighted else "ordered")
        fields = [dict(zip(names, each, strict=True)) for each in expected]
        assert model["targets"] == [{"provider": "p", "price": None, **each} for each in fields]

    check("[p/a, {target: p/b}]", False, ("a", 1, None, None, None), ("b", 1, None, None, None))
    check("[{target: p/b/c, timeouts: {connect: 1s, gap: 2m}}]", False, ("b/c", 1, 1000, None, 120_000))
    check("{p/a: 80, p/b: {weight: 20}}", True, ("a", 80, None, None, None), ("b", 20, None, None, None))
    check("{p/a: {weight: 3, timeouts: {first_byte: 5s}}}", True, ("a", 3, None, 5000, None))


def test_trusted_proxies(tmp_path: Path) -> None:
    networks = "trusted_proxies: [10.0.0.0/8, 192.168.1.7, '::1', 'FD00::/8']"
    providers = "providers: {p: {dialect: openai-chat, url: 'http://h/v1'}}"
    found = normalised(load_text(tmp_path, f"{networks}\n{providers}\n{REST}"))["trusted_proxies"]
    assert found == ["10.0.0.0/8", "192.168.1.7/32", "::1/128", "fd00::/8"]


def test_files_that_settings_name_are_watched_and_their_paths_resolved(tmp_path: Path) -> None:
    shutil.copy(CERTIFICATE, tmp_path / "tls.crt")
    shutil.copy(KEY, tmp_path / "tls.key")
    providers = "providers: {p: {dialect: openai-chat, url: 'https://h/v1', ca_file: tls.crt}}"
    loaded = load_text(tmp_path, f"tls: {{certificate: tls.crt, key: {tmp_path}/tls.key}}\n{providers}\n{REST}")
    assert loaded.watched == [tmp_path / name for name in ("edgeroute.yaml", "tls.crt", "tls.key")]
    assert loaded.config.tls is not None
    assert (loaded.config.tls.certificate, loaded.config.tls.key) == (f"{tmp_path}/tls.crt", f"{tmp_path}/tls.key")


@pytest.mark.parametrize("name", ["tls.crt", "tls.key"])
def test_files_that_cannot_be_read_are_watched_too(name: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        load_text(tmp_path, "tls: {certificate: tls.crt, key: tls.key}\n")
    assert tmp_path / name in caught.value.watched
