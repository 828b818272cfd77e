"""Which proxy the environment names for a URL: `HTTPS_PROXY` and `NO_PROXY`, as curl reads them.

The lower-case variable wins, and an empty one counts as not set. `HTTP_PROXY` is not used: providers at http
URLs are reached directly. Source: the manual of curl, "ENVIRONMENT"; from Go's httpproxy the ports and `*.`.
"""

import ipaddress
import re
from collections.abc import Mapping
from urllib.parse import urlsplit

from edgeroute.config.values import ProxyUrl, Url


def proxy_for(url: Url, environ: Mapping[str, str]) -> ProxyUrl | None:
    """The proxy to reach a provider's URL through; None for none. Raises Malformed about the variable."""
    parts = urlsplit(url)
    proxy = _value("https_proxy", environ)
    if parts.scheme != "https" or proxy is None:
        return None
    if bypasses(_value("no_proxy", environ) or "", parts.hostname or "", parts.port or 443):
        return None
    return ProxyUrl.parse(proxy if "://" in proxy else f"http://{proxy}")


def proxy_variable(environ: Mapping[str, str]) -> str:
    """The variable that names the proxy, spelt as it is set."""
    return _written("https_proxy", environ)


def bypasses(no_proxy: str, host: str, port: int) -> bool:
    """Whether a value of NO_PROXY says to reach a host directly.

    It lists, with commas or blanks between: names, which cover what ends in them too (with or without a dot
    before); addresses and networks, for hosts that are addresses; each with `:port` if wanted; `*` for all.
    """
    return any(_covers(entry, host.rstrip(".").lower(), port) for entry in re.split(r"[,\s]+", no_proxy) if entry)


def _covers(entry: str, host: str, port: int) -> bool:
    if entry == "*":
        return True
    bracketed = re.fullmatch(r"\[([^\]]+)\](?::([0-9]+))?", entry)
    named = re.fullmatch(r"([^:]+):([0-9]+)", entry)
    found = bracketed or named
    covered, wanted = (found.group(1), found.group(2)) if found else (entry, None)
    if wanted is not None and int(wanted) != port:
        return False
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        name = covered.removeprefix("*.").strip(".").lower()
        return bool(name) and (host == name or host.endswith(f".{name}"))
    try:
        return address in ipaddress.ip_network(covered, strict=False)
    except ValueError:
        return False


def _value(name: str, environ: Mapping[str, str]) -> str | None:
    return environ.get(_written(name, environ)) or None


def _written(name: str, environ: Mapping[str, str]) -> str:
    return name if environ.get(name) else name.upper()
