"""The proxy that the environment names, as curl reads it."""

from collections.abc import Mapping

import pytest

from edgeroute.config.proxies import bypasses, proxy_for
from edgeroute.config.values import Malformed, Url


def test_no_proxy() -> None:
    def check(no_proxy: str, host: str, expected: bool, port: int = 443) -> None:
        assert bypasses(no_proxy, host, port) is expected, (no_proxy, host)

    check("", "api.example.com", False)
    check("*", "api.example.com", True)
    check("a, *", "api.example.com", True)
    check("example.com", "example.com", True)
    check("example.com", "api.example.com", True)
    check(".example.com", "api.example.com", True)
    check(".example.com", "example.com", True)  # as curl; Go would not
    check("*.example.com", "api.example.com", True)
    check("example.com", "myexample.com", False)
    check("example.com", "example.com.evil", False)
    check("EXAMPLE.com", "API.Example.COM.", True)
    check("example.com.", "example.com", True)
    check("a,example.com", "example.com", True)
    check("a example.com", "example.com", True)
    check(" , ,", "example.com", False)
    check(".", "example.com", False)
    check("example.com:8443", "example.com", False)
    check("example.com:8443", "example.com", True, 8443)
    check("10.0.0.1", "10.0.0.1", True)
    check("10.0.0.1", "10.0.0.10", False)
    check("10.0.0.0/8", "10.200.0.1", True)
    check("10.0.0.9/8", "10.200.0.1", True)
    check("10.0.0.0/8", "11.0.0.1", False)
    check("10.0.0.0/33", "10.0.0.1", False)
    check("10.0.0.1:443", "10.0.0.1", True)
    check("10.0.0.1:80", "10.0.0.1", False)
    check("0.0.1", "10.0.0.1", False)  # an address has no suffix
    check("::1", "::1", True)
    check("[::1]", "::1", True)
    check("[::1]:443", "::1", True)
    check("[::1]:80", "::1", False)
    check("0:0::1", "::1", True)
    check("fd00::/8", "fd12::3", True)
    check("10.0.0.0/8", "fd12::3", False)


def test_proxy_for() -> None:
    def check(environ: Mapping[str, str], url: str, expected: str | None) -> None:
        proxy = proxy_for(Url.parse(url), environ)
        assert (proxy.reveal() if proxy else None) == expected

    both = {"https_proxy": "http://lower:1", "HTTPS_PROXY": "http://upper:2"}
    check({}, "https://h/v1", None)
    check({"HTTPS_PROXY": "http://upper:2"}, "https://h/v1", "http://upper:2")
    check(both, "https://h/v1", "http://lower:1")
    check({**both, "https_proxy": ""}, "https://h/v1", "http://upper:2")
    check(both, "http://h/v1", None)
    check({"HTTP_PROXY": "http://h:1", "http_proxy": "http://h:1", "ALL_PROXY": "http://h:1"}, "https://h/v1", None)
    check({**both, "NO_PROXY": "h"}, "https://h/v1", None)
    check({**both, "NO_PROXY": "h", "no_proxy": "other"}, "https://h/v1", "http://lower:1")
    check({**both, "no_proxy": "h:8443"}, "https://h:8443/v1", None)
    check({"HTTPS_PROXY": "proxy:3128"}, "https://h/v1", "http://proxy:3128")
    check({"HTTPS_PROXY": "http://proxy"}, "https://h/v1", "http://proxy:80")
    check({"HTTPS_PROXY": "http://user:p%40ss@[::1]:3128/"}, "https://h/v1", "http://user:p%40ss@[::1]:3128")


@pytest.mark.parametrize(
    "proxy",
    ["https://secret:1", "socks5h://secret", "http://secret:0", "http://", "http://a@secret@b", "http://h/secret"],
)
def test_a_wrong_proxy_is_told_without_its_text(proxy: str) -> None:
    with pytest.raises(Malformed) as caught:
        proxy_for(Url.parse("https://h/v1"), {"HTTPS_PROXY": proxy})
    assert "secret" not in f"{caught.value}{caught.value.advice}"
