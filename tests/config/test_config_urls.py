"""URLs of providers and proxies: the configuration takes what the core can reach, and says where it cannot."""

import json
import random
from collections.abc import Callable
from pathlib import Path

import pytest

from edgeroute._native import Cells, Snapshot
from edgeroute.config import ConfigError, Diagnostic, Loaded, load
from edgeroute.config.values import Malformed, ProxyUrl, Url

TAKEN = """
https://api.example.com/v1 http://gpu-0:8000/v1 https://host http://host/ https://host// https://host:443/v1
HTTPS://Host/V1 Http://HOST:80 hTTps://h/v1 http://10.0.0.1:80 http://a_b/v1 http://host./v1 http://-/v1 http://./v1
http://[::1]:9/a/b http://[::1] https://[fd00::7:8]/v1 http://[::ffff:10.0.0.1]:8000/v1 http://[FD00::A]/v1
http://[1:2:3:4:5:6:7::]/v1 http://[::2:3:4:5:6:7:8]/v1 http://h:00080/v1 http://h:0000000000443/v1 http://h:65535/v1
https://h/a@b https://h/a%20b https://h/a:b/c;d=e,f https://h/[x] https://h/a//b https://xn--hst-sna/v1
https://h/a|b\\c^d`e{f} https://0x7f.1/v1 https://h/%zz
"""

REFUSED = """
https://h,ost/v1 https://host:/v1 https://[::1%25eth0]/v1 https://[::1%eth0]/v1 gpu-0:8000/v1 http:// https:///v1
http://h:99999/v1 http://h:65536 http://h:0/v1 http://h:-1 http://h:+1 http://h:1:2 http://h:8o/v1 ftp://h/v1
https:/h/v1 //h/v1 https:h https//h https://user:secret@host https://@host https://h?key=1 https://h/v1?key=1
https://h/v1# https://h#a https://[::1 https://::1 https://[nonsense]/ https://[::1]9/ https://[]/v1 https://[::1]:/v1
https://[10.0.0.1]/v1 https://[::10.0.0.01] https://[1:2:3:4:5:6:7:8:9] https://[1::2::3] https://[12345::]
https://h%20/v1 https://h%2fv1 https://h*/v1 https://(h)/v1 https://h\\v1 https://h;/v1 https://h&/v1 https://"h"/v1
"""
REFUSED_CHARACTERS = [
    *("https://hôst/v1", "https://ho st/v1", "https://h/v 1", "https://h/é", "https://h/\nv1", " https://h", ""),
    *("https://h\u3002com/v1", "https://h/v1\n", "https://h:\uff11/v1"),
]

PROXIES_TAKEN = """
http://proxy:3128 http://proxy:3128/ HTTP://Proxy.Example.COM:80 http://[::1]:8080 http://user@p:1 http://u:@p:1
http://:token@p:1 http://u:p%40ss%25@p:1 http://u:a:b@p:1 http://u:%C3%A9@p:1 http://u%20v:%2F@p:1 http://a_b:1
http://u:p@[fd00::1]:1 http://u:a%3Ab@p:1 http://p:00080
"""

PROXIES_REFUSED = """
http://u:50%@p:1 http://p,x:1 http://u:%4@p:1 http://u:%zz@p:1 http://u:%+1@p:1 http://u%4:1@p:1 http://a%3Ab:c@p:1
http://u:a%0D%0Ab@p:1 http://u:%00@p:1 http://u:%7F@p:1 http://u:%1f@p:1 http://p: http://p:0 http://p:65536 http://:1
http://[::1%25eth0]:1 http://[::1:1 http://::1:80 http://p:1// http://p:1/path http://p:1?a http://p:1#a p:3128
https://p:3128 socks5://p:1080 http:/p:1 http:// http://u:p@ http://u:p@:1 http://u:a/b@p:1 http://u:a@b@p:1 http://p%41:1
"""


Core = Callable[[str, str | None], bool]


@pytest.fixture
def core(tmp_path: Path) -> Core:
    """Whether the compiled core takes a URL, and a proxy, exactly as they are written."""
    configured = json.loads(loaded(tmp_path, "https://h/v1", None).normalised)
    cells = Cells.anonymous()

    def takes(url: str, proxy: str | None) -> bool:
        configured["providers"][0]["replicas"][0] |= {"url": url, "proxy": proxy}
        try:
            Snapshot.compile(json.dumps(configured).encode(), cells, 1)
        except ValueError:
            return False
        return True

    return takes


def loaded(folder: Path, url: str, proxy: str | None) -> Loaded:
    provider = {"dialect": "openai-chat", "url": url.replace("$", "$$")}
    provider |= {} if proxy is None else {"proxy": proxy.replace("$", "$$")}
    configuration = {
        "providers": {"p": provider},
        "models": {"fast": "p/a"},
        "virtual_keys": {"demo": {"hash": "sha256:" + "1f" * 32}},
    }
    path = folder / "edgeroute.yaml"
    path.write_text(json.dumps(configuration))
    return load(path, {})


def refusal(folder: Path, url: str, proxy: str | None = None) -> Diagnostic:
    """The one diagnostic, at the place of the URL."""
    with pytest.raises(ConfigError) as caught:
        loaded(folder, url, proxy)
    [diagnostic] = caught.value.diagnostics
    assert diagnostic.line == 1
    assert diagnostic.advice
    return diagnostic


def compiles(found: Loaded) -> bool:
    Snapshot.compile(found.normalised, Cells.anonymous(), 1)
    return True


def test_urls_are_taken_exactly_if_the_core_takes_them(tmp_path: Path, core: Core) -> None:
    for url in TAKEN.split():
        assert compiles(loaded(tmp_path, url, None)), url
        assert core(url, None), url
    for url in [*REFUSED.split(), *REFUSED_CHARACTERS]:
        start = refusal(tmp_path, url).column
        assert (tmp_path / "edgeroute.yaml").read_text()[start - 1 :].startswith(json.dumps(url)), url
        assert not core(url, None), url


def test_proxies_are_taken_only_if_the_core_takes_them(tmp_path: Path, core: Core) -> None:
    for proxy in PROXIES_TAKEN.split():
        assert compiles(loaded(tmp_path, "https://h/v1", proxy)), proxy
        assert core("https://h/v1", proxy), proxy
    for proxy in PROXIES_REFUSED.split():
        refusal(tmp_path, "https://h/v1", proxy)
    # What the core would take, and nobody should write: a proxy's port is 80 for us, and @ stands there once.
    assert [each for each in PROXIES_REFUSED.split() if core("https://h/v1", each)] == ["http://u:a@b@p:1"]
    assert compiles(loaded(tmp_path, "https://h/v1", "http://proxy"))
    assert not core("https://h/v1", "http://proxy")


def test_urls_that_are_nearly_right(core: Core) -> None:
    draw = random.Random(7)
    for original in (TAKEN + PROXIES_TAKEN).split() * 20:
        at = draw.randrange(len(original) + 1)
        text = original[:at] + draw.choice(["", *":/?#@[]%,.-_\\ $;é0a"]) + original[at + draw.randrange(2) :]
        assert taken(Url, text) == core(text, None), text
        if taken(ProxyUrl, text):
            assert core("https://h/v1", ProxyUrl.parse(text).reveal()), text


def taken(kind: type[Url | ProxyUrl], text: str) -> bool:
    try:
        kind.parse(text)
    except Malformed:
        return False
    return True


def test_scheme_and_host_are_in_lower_case() -> None:
    def check(text: str, expected: str) -> None:
        assert Url.parse(text) == expected

    check("HTTPS://API.Example.com/V1/", "https://api.example.com/V1")
    check("Http://[FD00::A]:8000", "http://[fd00::a]:8000")
    check("https://h:00443//", "https://h:443")


@pytest.mark.parametrize("name", ["HTTPS_PROXY", "https_proxy"])
@pytest.mark.parametrize("proxy", ["http://u:50%@p:1", "http://p,x:1", "http://p:", "http://p\udcff:1"])
def test_a_proxy_of_the_environment_that_the_core_refuses(tmp_path: Path, name: str, proxy: str) -> None:
    path = tmp_path / "edgeroute.yaml"
    loaded(tmp_path, "https://h/v1", None)
    with pytest.raises(ConfigError, match=f"^{name}: error: ") as caught:
        load(path, {name: proxy})
    assert "50%" not in str(caught.value)


def test_a_proxy_serves_every_https_url_and_is_told_of_others(tmp_path: Path) -> None:
    path = tmp_path / "edgeroute.yaml"
    loaded(tmp_path, "https://h/v1", "http://proxy:1")
    configuration = json.loads(path.read_text())
    provider = configuration["providers"]["p"]
    del provider["url"]
    provider["urls"] = ["HTTPS://a/v1", "http://b/v1", "https://c/v1"]
    path.write_text(json.dumps(configuration))
    found = load(path, {})
    replicas = json.loads(found.normalised)["providers"][0]["replicas"]
    assert [each["proxy"] for each in replicas] == ["http://proxy:1", None, "http://proxy:1"]
    [warning] = found.warnings
    assert warning.message == '"proxy" of provider "p" is not used for this URL'
    assert path.read_text()[warning.column - 1 :].startswith('"http://b/v1"')
