"""A file of policy tests, as types: read like the configuration, with the same places and cures for mistakes."""

import re
from datetime import datetime
from ipaddress import ip_address
from typing import Annotated, ClassVar, Self

from msgspec import Meta, field

from edgeroute.config.schema import FieldName, HeaderName, Removals, Section, Settings
from edgeroute.config.values import HeaderValue, Json, Malformed

CaseName = Annotated[str, Meta(max_length=200)]
PromptTokens = Annotated[int, Meta(ge=8, le=10_000_000)]
"""A message of one token and what surrounds it is estimated as 8."""

_WITH_PORT = re.compile(r"(?:\[([0-9A-Fa-f:.]+)\]|([0-9.]+)):[0-9]{1,5}")
_NUMBER = re.compile(r"[0-9]{1,9}(\.[0-9]{1,9})?")
_TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,9})?(Z|[+-][0-9]{2}:[0-9]{2})")


class Percent(float):
    """How full a limit is; more than 100 is possible."""

    __slots__ = ()
    expected: ClassVar[str] = "a percentage such as 75 or 75.5"
    pattern: ClassVar[str] = ""

    @classmethod
    def parse(cls, text: str) -> Self:
        """Takes a plain number from 0 on, without a sign for percent."""
        if not _NUMBER.fullmatch(text):
            raise Malformed("this is not a percentage", "write a number such as 75 or 75.5")
        return cls(text)


class Moment(str):
    """A time with its zone, as in RFC 3339."""

    __slots__ = ()
    expected: ClassVar[str] = "a time such as 2026-11-21T23:30:00+01:00"
    pattern: ClassVar[str] = ""

    @classmethod
    def parse(cls, text: str) -> Self:
        """Refuses what is no time, or has no zone."""
        try:
            if _TIME.fullmatch(text):
                datetime.fromisoformat(text)
                return cls(text)
        except ValueError:
            pass
        raise Malformed("this is not a time with a zone", "write it as in 2026-11-21T23:30:00+01:00, or with Z for UTC")


class Peer(str):
    """The address of whoever connects, with or without a port."""

    __slots__ = ()
    expected: ClassVar[str] = "an address such as 192.0.2.1 or [2001:db8::1]:40000"
    pattern: ClassVar[str] = ""

    @classmethod
    def parse(cls, text: str) -> Self:
        """Refuses names of hosts and what else is no address."""
        found = _WITH_PORT.fullmatch(text)
        try:
            ip_address(text if found is None else found[1] or found[2])
        except ValueError:
            raise Malformed("this is not an address", "write one such as 192.0.2.1 or [2001:db8::1]:40000") from None
        return cls(text)


class Facts(Section, frozen=True):
    """What a running router would read when the request comes."""

    noun: ClassVar[str] = "facts"
    tokens_used: Percent = Percent(0)
    requests_used: Percent = Percent(0)
    turn: Annotated[int, Meta(ge=0, le=2**32 - 1)] = 0
    now: Moment = Moment("2026-01-01T12:00:00Z")
    """Not the clock's time, so that a test says the same on every day."""


class Request(Section, frozen=True):
    """A request as `edgeroute explain` takes it, with names for what is the same in most."""

    noun: ClassVar[str] = "a request"
    key: str | None = None
    """Name of the virtual key that asks, instead of a credential in a header."""
    method: Annotated[str, Meta(pattern=r"^[A-Z]{1,16}$", extra={"form": "GET or POST"})] = "POST"
    path: Annotated[str, Meta(pattern=r"^/[!-~]*$", extra={"form": "a path such as /v1/messages"})] | None = None
    headers: dict[HeaderName, HeaderValue] = field(default_factory=dict[str, HeaderValue])
    peer: Peer = Peer()
    model: str | None = None
    messages: Json | None = None
    prompt_tokens: PromptTokens | None = None
    """Instead of messages: one that is estimated to have so many tokens."""
    body: dict[FieldName, Json] = field(default_factory=dict[str, Json])
    seed: Annotated[int, Meta(ge=0, le=10**18 - 1)] = 0
    facts: Facts = Facts()


class Refusal(Section, frozen=True):
    """The error that a client gets."""

    noun: ClassVar[str] = "a refusal"
    status: Annotated[int, Meta(ge=400, le=599)] | None = None
    code: str | None = None
    message: str | None = None


class Expectation(Section, frozen=True):
    """What is decided; nothing is said about what is not set, but that a request without `refusal` is not refused."""

    noun: ClassVar[str] = "expect"
    rules: str | list[str] | None = None
    """Those that act, in order; one name is a list of one."""
    model: str | None = None
    target: str | None = None
    """The first that is tried."""
    targets: list[str] | None = None
    """All that may be tried, in order."""
    tags: list[str] | None = None
    set: Settings | None = None
    remove: Removals | None = None
    refusal: Refusal | None = None


class Case(Section, frozen=True):
    """A request, and what is expected of it."""

    noun: ClassVar[str] = "a case"
    name: CaseName
    expect: Expectation
    request: Request = Request()


class TestFile(Section, frozen=True):
    """A file of policy tests."""

    noun: ClassVar[str] = "a file of policy tests"
    configuration: str
    """Path of the configuration file, from the folder of this one."""
    cases: list[Case]
    environment: dict[str, str] = field(default_factory=dict[str, str])
    """Variables that the configuration needs, so that tests run where no credentials are."""
    key: str | None = None
    """The virtual key of requests that bring no other credential."""
