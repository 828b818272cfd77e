"""Finding replicas: the addresses of a name, its SRV records, or a file. Everything here may block.

Name servers are asked directly, as /etc/resolv.conf says (servers, search domains), because the system's resolver has
no SRV records (RFC 2782) and cannot be pointed elsewhere. /etc/hosts is not read: it names no sets of replicas.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Literal, cast
from urllib.parse import urlsplit

import msgspec

from edgeroute.config import ConfigError
from edgeroute.config.members import Member
from edgeroute.config.replicas import load_replicas
from edgeroute.config.values import Address, Url

Kind = Literal["dns", "srv", "file"]

_SECONDS = 4.0
"""For all name servers together to answer."""


class Source(msgspec.Struct, frozen=True, kw_only=True):
    """Where replicas of a provider are found."""

    provider: str
    kind: Kind
    place: str
    """A URL whose host is looked up, or the path of a file."""
    every: float
    """Seconds between two looks."""
    nameserver: Address | None = None
    """Whom to ask instead of the name servers of the system; an address."""

    def __str__(self) -> str:
        return f"{self.kind} {self.place}"


class LookupFailedError(Exception):
    """A look-up without an answer; its text says why. An answer that names nobody is none of these."""


def find(source: Source, environ: Mapping[str, str]) -> list[Member]:
    """The replicas that a source names now, each once and in a fixed order. Raises LookupFailedError.

    Variables in files are replaced from `environ`.
    """
    try:
        match source.kind:
            case "dns":
                found = _addresses(source)
            case "srv":
                found = _services(source)
            case "file":
                found = _listed(Path(source.place), environ)
    except ValueError as error:  # a URL that is none, or a name that cannot be asked for
        raise LookupFailedError(str(error)) from None
    return sorted({each.name: each for each in found}.values(), key=lambda each: each.name)


def _addresses(source: Source) -> list[Member]:
    """RFC 1035 and 3596: a replica for each A and AAAA record."""
    url = Url(source.place)
    host = urlsplit(url).hostname or ""
    return [Member(url=url, address=text) for kind in ("A", "AAAA") for text in _ask(source, host, kind)]


def _services(source: Source) -> list[Member]:
    """RFC 2782: host, port and weight of each record; of several priorities only the first."""
    parts = urlsplit(source.place)
    records = [text.split() for text in _ask(source, parts.hostname or "", "SRV")]
    offered = [each for each in records if each[3] != "."]
    first = min((int(priority) for priority, *_ in offered), default=0)
    return [
        # A weight of 0 is a small share there; here it would be none at all.
        Member(url=Url.parse(f"{parts.scheme}://{host.rstrip('.')}:{port}{parts.path}"), weight=max(1, int(weight)))
        for priority, weight, port, host in offered
        if int(priority) == first
    ]


def _ask(source: Source, name: str, kind: Literal["A", "AAAA", "SRV"]) -> list[str]:
    """The records of a name as text; none if there are none of this kind."""
    import dns.exception  # noqa: PLC0415 (half a megabyte that few need)
    import dns.resolver  # noqa: PLC0415

    try:
        resolver = dns.resolver.Resolver(configure=source.nameserver is None)
        if source.nameserver is not None:
            resolver.nameservers = [source.nameserver.host]
            resolver.port = source.nameserver.port
        answer = resolver.resolve(name, kind, search=True, raise_on_no_answer=False, lifetime=_SECONDS)
    except dns.resolver.NXDOMAIN:
        return []
    except dns.exception.DNSException as error:
        raise LookupFailedError(str(error)) from None
    return [str(record) for record in cast(Iterable[object], answer.rrset or ())]


def _listed(path: Path, environ: Mapping[str, str]) -> list[Member]:
    """A file of replicas, as people write it."""
    try:
        return [Member(url=each.url, weight=0 if each.drain else each.weight) for each in load_replicas(path, environ)]
    except ConfigError as error:
        raise LookupFailedError(str(error).partition("\n")[0]) from None
