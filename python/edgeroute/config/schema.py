"""The configuration file, as types: what may be set, its default, its limits, its description.

The loader, the JSON Schema and the reference are made from these structs, so a setting is written down once.
Times are whole milliseconds and sizes whole bytes once loaded; in the file they carry a unit.
"""

from typing import Annotated, Any, ClassVar, Literal

from msgspec import Meta, Struct, field

from edgeroute.config.distributions import Distribution
from edgeroute.config.values import Address, Condition, KeyHash, Secret, Url, parse_quantity

Dialect = Literal["openai-chat", "anthropic-messages"]
Count = Annotated[int, Meta(ge=1, le=100_000_000_000)]
Name = Annotated[
    str,
    Meta(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._@-]{0,63}$",
        extra={"form": "letters, digits, and . _ @ - (at most 64, beginning with a letter or digit)"},
    ),
]
ModelName = Annotated[
    str,
    Meta(
        pattern=r"^([!-)+-~][!-)+-~]{0,198}\*?|\*)$",
        extra={"form": "printable ASCII without spaces, at most 200; a * may stand at the end only"},
    ),
]
Slug = Annotated[
    str,
    Meta(
        pattern=r"^[a-z0-9][a-z0-9-]{0,63}$",
        extra={"form": "lower-case letters, digits and hyphens (it becomes a label and a header), at most 64"},
    ),
]
Message = Annotated[str, Meta(min_length=1, max_length=1000)]


def _about(description: str) -> Meta:
    return Meta(description=description)


def _time(description: str, least: str, most: str) -> Meta:
    return _quantity("milliseconds", description, least, most)


def _size(description: str, least: str, most: str) -> Meta:
    return _quantity("bytes", description, least, most)


def _quantity(unit: str, description: str, least: str, most: str) -> Meta:
    return Meta(
        description=description,
        ge=parse_quantity(least, unit),
        le=parse_quantity(most, unit),
        extra={"unit": unit},
        extra_json_schema={"unit": unit},
    )


class Section(Struct, frozen=True, forbid_unknown_fields=True):
    """A map of settings; `noun` is how messages call it."""

    noun: ClassVar[str]


class Mock(Section, frozen=True):
    """The embedded mock provider, started once per host by `edgeroute run`."""

    noun: ClassVar[str] = "mock"
    listen: Annotated[Address, _about("Where the mock provider listens.")]
    first_token: Annotated[
        Distribution, _about("Time to the first token: a time or a distribution. Default: 20ms.")
    ] = field(default_factory=lambda: Distribution.parse("20ms"))
    token_interval: Annotated[Distribution, _about("Time between tokens: a time or a distribution. Default: 5ms.")] = (
        field(default_factory=lambda: Distribution.parse("5ms"))
    )
    seed: Annotated[
        int, Meta(description="The same request and seed give the same reply at the same pace.", ge=0, le=2**32 - 1)
    ] = 1


class Provider(Section, frozen=True):
    """An account at somebody who serves models. Providers of the catalogue know their dialect and URL."""

    noun: ClassVar[str] = "a provider"
    dialect: Annotated[Dialect | None, _about("The wire protocol it speaks.")] = None
    url: Annotated[Url | None, _about("Its base URL, up to and including a version such as /v1.")] = None
    urls: Annotated[list[Url] | None, _about("Several base URLs that serve the same models: its replicas.")] = None
    api_key: Annotated[Secret | None, _about("Its credential: ${NAME} or ${file:/path}.")] = None


class Timeouts(Section, frozen=True):
    """How long a request and its parts may take."""

    noun: ClassVar[str] = "timeouts"
    connect: Annotated[int, _time("To connect, TLS included.", "1ms", "10m")] = 2_000
    first_byte: Annotated[int, _time("From sending the request to the first byte of the reply.", "1ms", "24h")] = (
        120_000
    )
    gap: Annotated[int, _time("Between two pieces of a reply.", "1ms", "24h")] = 60_000
    total: Annotated[int, _time("For the whole request.", "1ms", "24h")] = 900_000


class Defaults(Section, frozen=True):
    """What holds for every model."""

    noun: ClassVar[str] = "defaults"
    attempts: Annotated[int, Meta(description="Attempts per request, the first included.", ge=1, le=16)] = 3
    reserve_output: Annotated[
        int,
        Meta(
            description="Output tokens reserved against limits when the client names no maximum.",
            ge=1,
            le=10_000_000,
        ),
    ] = 1024
    timeouts: Annotated[Timeouts, _about("Deadlines.")] = Timeouts()


class Pool(Section, frozen=True):
    """A model that is served by several targets, or has fallbacks."""

    noun: ClassVar[str] = "a model"
    targets: Annotated[
        list[str] | dict[str, Annotated[int, Meta(ge=1, le=1_000_000)]],
        _about("`provider/model` each: a list is tried in order, a map gives weights."),
    ]
    fallbacks: Annotated[list[str], _about("Models to try, in order, when every target failed.")] = []


class Rejection(Section, frozen=True):
    """What a rule answers instead of passing the request on."""

    noun: ClassVar[str] = "reject"
    message: Annotated[Message, _about("What the client is told.")]
    status: Annotated[int, Meta(description="The HTTP status.", ge=400, le=499)] = 403


class Rule(Section, frozen=True):
    """A condition with one action. The first rule that matches a request decides."""

    noun: ClassVar[str] = "a rule"
    name: Annotated[Slug, _about("Names the rule in headers, logs and metrics.")]
    when: Annotated[Condition, _about("A CEL condition; it is code, so variables are not replaced in it.")]
    model: Annotated[str | None, _about("Action: serve the request with this model.")] = None
    reject: Annotated[Message | Rejection | None, _about("Action: refuse; a message, or status and message.")] = None


class Limits(Section, frozen=True):
    """Limits of a team or a virtual key; what is not set is not limited."""

    noun: ClassVar[str] = "limits"
    requests_per_minute: Annotated[Count | None, _about("Requests per minute.")] = None
    tokens_per_minute: Annotated[Count | None, _about("Tokens per minute, prompt and output.")] = None
    concurrency: Annotated[Count | None, _about("Requests in flight.")] = None


class Team(Section, frozen=True):
    """People who share models and limits."""

    noun: ClassVar[str] = "a team"
    models: Annotated[list[str] | None, _about("The models it may ask for; all, if not set.")] = None
    aliases: Annotated[dict[ModelName, str], _about("Names of its own for models.")] = {}
    limits: Annotated[Limits, _about("Limits over all its virtual keys.")] = Limits()


class VirtualKey(Section, frozen=True):
    """A credential that edgeroute issues. The file holds only its hash."""

    noun: ClassVar[str] = "a virtual key"
    hash: Annotated[KeyHash, _about("`sha256:` and the SHA-256 of the key in hexadecimal.")]
    team: Annotated[str | None, _about("The team it belongs to.")] = None
    limits: Annotated[Limits, _about("Limits of this key alone.")] = Limits()


class Config(Section, frozen=True):
    """The configuration file."""

    noun: ClassVar[str] = "the configuration"
    listen: Annotated[Address, _about("Where clients connect. Default: 127.0.0.1:4000.")] = field(
        default_factory=lambda: Address("127.0.0.1:4000")
    )
    admin: Annotated[Address, _about("Probes and metrics. Default: 127.0.0.1:9400.")] = field(
        default_factory=lambda: Address("127.0.0.1:9400")
    )
    workers: Annotated[int, Meta(description="Worker processes.", ge=1, le=64)] = 1
    interface: Annotated[
        Literal["asgi", "rsgi"],
        _about("How the server calls the application; rsgi is faster, asgi has back-pressure."),
    ] = "asgi"
    log: Annotated[Literal["text", "json"], _about("The form of log lines.")] = "text"
    max_body: Annotated[int, _size("The largest request body.", "1KiB", "1GiB")] = 32 << 20
    max_stream: Annotated[int, _size("With rsgi: the most bytes of one streamed reply.", "64KiB", "1GiB")] = 8 << 20
    max_connections: Annotated[int, Meta(description="Client connections per worker.", ge=1, le=1_000_000)] = 4096
    drain: Annotated[int, _time("How long streams may go on when stopping.", "0s", "1h")] = 30_000
    mock: Annotated[Mock | None, _about("An embedded provider for trying things out.")] = None
    providers: Annotated[dict[Name, Provider], _about("Who serves models.")] = field(
        default_factory=dict[str, Provider]
    )
    defaults: Annotated[Defaults, _about("What holds for every model.")] = Defaults()
    models: Annotated[
        dict[ModelName, str | Pool],
        _about("What clients ask for: `provider/model`, another model's name, or targets. A name may end in `*`."),
    ] = field(default_factory=dict[str, Any])
    rules: Annotated[list[Rule], _about("The first match decides.")] = []
    teams: Annotated[dict[Name, Team], _about("Who shares models and limits.")] = field(default_factory=dict[str, Team])
    virtual_keys: Annotated[dict[Name, VirtualKey], _about("Who may call.")] = field(
        default_factory=dict[str, VirtualKey]
    )
