"""Who serves the models of each provider: the replicas that are published, wherever each of them is from."""

import re
from collections.abc import Mapping, Sequence
from urllib.parse import urlsplit

import msgspec

from edgeroute.config.models import dialect_of, replicas_of
from edgeroute.config.schema import Config, Provider
from edgeroute.config.values import Url

_VERSION = re.compile(r"v[0-9]+[a-z0-9]*")


class Member(msgspec.Struct, frozen=True, kw_only=True):
    """One replica of a provider."""

    url: Url
    weight: int = 1
    """Its share of requests; 0 while it is drained."""
    address: str | None = None
    """Where to connect, if that was discovered; the URL's host remains whom it must be."""

    @property
    def name(self) -> str:
        """What the router, its metrics and its operators call it."""
        return self.url if self.address is None else f"{self.url}@{self.address}"


Members = Mapping[str, Sequence[Member]]
"""The replicas of each provider, by its name."""


def configured(config: Config) -> Members:
    """The replicas that the configuration itself lists."""
    return {
        name: [
            Member(url=published_url(name, provider, each.url), weight=0 if each.drain else each.weight)
            for each in replicas_of(name, provider)
        ]
        for name, provider in config.providers.items()
    }


def published_url(name: str, provider: Provider, url: Url) -> Url:
    """A provider's URL as requests need it: Anthropic's SDKs take base URLs without the version, which is added."""
    if dialect_of(name, provider) != "anthropic-messages" or _VERSION.fullmatch(urlsplit(url).path.rpartition("/")[2]):
        return url
    return Url(f"{url}/v1")
