"""The configuration file, as types: what may be set, its default, its limits, its description.

The loader, the JSON Schema and the reference are made from these structs, so a setting is written down once.
Times are whole milliseconds and sizes whole bytes once loaded; in the file they carry a unit.
"""

import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from msgspec import Meta, Struct, field

from edgeroute.config.certificates import CertificateFile, KeyFile
from edgeroute.config.distributions import Distribution
from edgeroute.config.values import (
    Address,
    Condition,
    FilePath,
    FolderPath,
    HashKey,
    HeaderValue,
    Json,
    KeyHash,
    Network,
    ProxyUrl,
    RedisUrl,
    Secret,
    Url,
    parse_quantity,
)

_log = logging.getLogger("edgeroute")

Dialect = Literal["openai-chat", "anthropic-messages"]
StrategyName = Literal[
    "ordered",
    "weighted",
    "round-robin",
    "least-load",
    "power-of-two",
    "latency",
    "cost",
    "session",
    "bounded-hash",
    "affinity",
]
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
VariableName = Annotated[
    str,
    Meta(
        pattern=r"^[a-z][a-z0-9_]{0,63}$",
        extra={"form": "lower-case letters, digits and underscores (at most 64, beginning with a letter)"},
    ),
]
FieldName = Annotated[
    str,
    Meta(pattern=r"^[ -~]{1,128}$", extra={"form": "printable ASCII, as in temperature (at most 128)"}),
]
HeaderName = Annotated[
    str,
    Meta(
        pattern=r"^[A-Za-z0-9!#$%&'*+.^_`|~-]{1,128}$",
        extra={"form": "letters, digits and hyphens, as in x-tenant (at most 128)"},
    ),
]
MOST_WEIGHT = 1_000_000
Weight = Annotated[int, Meta(ge=1, le=MOST_WEIGHT)]
PerMillion = Annotated[float, Meta(ge=0, le=1_000_000)]
Message = Annotated[str, Meta(min_length=1, max_length=1000)]

MOST_WORKERS = 64
"""For so many there is room in the memory file."""
_LISTEN = Address("127.0.0.1:4000")
_ADMIN = Address("127.0.0.1:9400")


def _about(description: str) -> Meta:
    return Meta(description=description)


def _listener(description: str, default: Address) -> Meta:
    return Meta(description=description, extra_json_schema={"default": str(default)})


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
    """A map of settings; `noun` is how messages call it.

    Where all but one setting may be left out, `shorthand` names that one: its value alone stands for the map.
    """

    noun: ClassVar[str]
    shorthand: ClassVar[str | None] = None


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


class Tls(Section, frozen=True):
    """TLS for clients. The files are read again when they change."""

    noun: ClassVar[str] = "tls"
    certificate: Annotated[CertificateFile, _about("PEM file: its certificate, then those of its issuers.")]
    key: Annotated[KeyFile, _about("PEM file: its private key, without a password.")]


class Replica(Section, frozen=True):
    """One of the base URLs of a provider; without further settings it is written as a URL alone."""

    noun: ClassVar[str] = "a replica"
    shorthand: ClassVar[str | None] = "url"
    url: Annotated[Url, _about("Its base URL.")]
    weight: Annotated[
        Weight,
        Meta(
            description="Its share, beside the weights of the other replicas.",
            extra={"cure": "a replica that should get nothing new has drain: true"},
        ),
    ] = 1
    drain: Annotated[bool, _about("Whether it gets no new requests; those that run go on to their end.")] = False


class Discovery(Section, frozen=True):
    """Where further replicas of a provider are found while edgeroute runs: by one of `dns`, `srv` and `file`."""

    noun: ClassVar[str] = "discover"
    dns: Annotated[Url | None, _about("A base URL; every address of its host (A and AAAA) is a replica.")] = None
    srv: Annotated[
        Url | None,
        _about("A base URL without a port whose host is the name of SRV records, which say hosts and ports."),
    ] = None
    file: Annotated[FilePath | None, _about("A YAML file with `urls`, as they are written here.")] = None
    every: Annotated[int, _time("How often it is looked up; a file is watched.", "1s", "1h")] = 10_000
    nameserver: Annotated[
        Address | None, _about("Whom to ask, such as 10.0.0.2:53. Default: the name servers of the system.")
    ] = None


class PromptCache(Section, frozen=True):
    """How long a provider keeps prompts that it has read, so that a repeated beginning is quicker and cheaper.

    Where a setting is missing, that of the catalogue holds.
    """

    noun: ClassVar[str] = "prompt_cache"
    lifetime: (
        Annotated[
            int,
            _time("How long a prompt is kept after its last use; until there is no room, if not known.", "1s", "24h"),
        ]
        | None
    ) = None
    minimum: Annotated[
        Annotated[int, Meta(ge=0, le=1_000_000)] | None, _about("The fewest tokens that are kept; 0, if not known.")
    ] = None


class Provider(Section, frozen=True):
    """An account at somebody who serves models. Providers of the catalogue know their dialect and URL."""

    noun: ClassVar[str] = "a provider"
    dialect: Annotated[Dialect | None, _about("The wire protocol it speaks.")] = None
    url: Annotated[Url | None, _about("Its base URL, up to and including a version such as /v1.")] = None
    urls: Annotated[list[Replica] | None, _about("Several base URLs that serve the same models: its replicas.")] = None
    discover: Annotated[Discovery | None, _about("Where more replicas are found, while edgeroute runs.")] = None
    engine: Annotated[
        Literal["vllm", "sglang"] | None,
        _about("What serves the models: its /metrics are read, and it is sent the `cache_salt` of a strategy."),
    ] = None
    prompt_cache: Annotated[
        PromptCache | None, _about("How its cache of prompts behaves. Default: as in the catalogue.")
    ] = None
    api_key: Annotated[Secret | None, _about("Its credential: ${NAME} or ${file:/path}.")] = None
    api_keys: Annotated[list[Secret] | None, _about("Several credentials, which share the requests.")] = None
    headers: Annotated[dict[HeaderName, HeaderValue], _about("Headers to add to every request to it.")] = {}
    proxy: Annotated[
        ProxyUrl | None,
        _about("The proxy (CONNECT) for its https URLs, instead of the one that HTTPS_PROXY names."),
    ] = None
    ca_file: Annotated[
        CertificateFile | None,
        _about("PEM file with authorities to trust for it, besides those of the system."),
    ] = None
    max_connections: Annotated[
        Annotated[int, Meta(ge=1, le=1_000_000)] | None,
        _about(
            "Connections of each worker to each of its URLs; as many requests again wait for one, as long as `connect` "
            "allows. Default: `max_in_flight`, so that none waits."
        ),
    ] = None


class Timeouts(Section, frozen=True):
    """How long a request and its parts may take."""

    noun: ClassVar[str] = "timeouts"
    connect: Annotated[int, _time("To connect, TLS included.", "1ms", "10m")] = 2_000
    first_byte: Annotated[int, _time("From sending the request to the first byte of the reply.", "1ms", "24h")] = (
        120_000
    )
    gap: Annotated[int, _time("Between two pieces of a reply.", "1ms", "24h")] = 60_000
    total: Annotated[int, _time("For the whole request.", "1ms", "24h")] = 900_000
    body: Annotated[int, _time("For the body of a request to arrive from the client.", "100ms", "24h")] = 60_000


class Defaults(Section, frozen=True):
    """What holds for every model."""

    noun: ClassVar[str] = "defaults"
    attempts: Annotated[int, Meta(description="Attempts per request, the first included.", ge=1, le=16)] = 3
    reserve_output: Annotated[
        int,
        Meta(
            description="Output tokens reserved against limits for each reply when the client names no maximum.",
            ge=1,
            le=10_000_000,
        ),
    ] = 1024
    timeouts: Annotated[Timeouts, _about("Deadlines.")] = Timeouts()


class TargetTimeouts(Section, frozen=True):
    """Deadlines of one target; what is not set is as in `defaults`."""

    noun: ClassVar[str] = "timeouts of a target"
    connect: Annotated[int, _time("To connect, TLS included.", "1ms", "10m")] | None = None
    first_byte: (
        Annotated[int, _time("From sending the request to the first byte of the reply.", "1ms", "24h")] | None
    ) = None
    gap: Annotated[int, _time("Between two pieces of a reply.", "1ms", "24h")] | None = None


class Price(Section, frozen=True):
    """What a target charges per million tokens, in the currency of all other prices.

    Those of the catalogue are in US dollars.
    """

    noun: ClassVar[str] = "price"
    input: Annotated[PerMillion, _about("For tokens of the prompt.")]
    output: Annotated[PerMillion, _about("For tokens of the reply.")]
    cached_input: Annotated[
        PerMillion | None, _about("For tokens of the prompt that its cache has. Default: as `input`.")
    ] = None


class ListedTarget(Section, frozen=True):
    """A target of a list, with settings of its own."""

    noun: ClassVar[str] = "a target"
    target: Annotated[str, Meta(description="`provider/model`.", extra={"form": "provider/model"})]
    timeouts: Annotated[TargetTimeouts, _about("Deadlines of this target.")] = TargetTimeouts()
    price: Annotated[Price | None, _about("What it charges. Default: as the catalogue of prices knows.")] = None


class WeightedTarget(Section, frozen=True):
    """A target of a map, with settings of its own; `provider/model` is the key."""

    noun: ClassVar[str] = "a target"
    weight: Annotated[Weight, _about("Its share, beside the weights of the others.")]
    timeouts: Annotated[TargetTimeouts, _about("Deadlines of this target.")] = TargetTimeouts()
    price: Annotated[Price | None, _about("What it charges. Default: as the catalogue of prices knows.")] = None


class Strategy(Section, frozen=True):
    """How a model orders its targets, their replicas and credentials; a name alone, or a map with settings of it."""

    noun: ClassVar[str] = "strategy"
    shorthand: ClassVar[str | None] = "name"
    name: Annotated[StrategyName, _about("Which one.")]
    key: Annotated[
        list[HashKey] | None,
        _about(
            "For `session` and `bounded-hash`: what is hashed, the first of these that a request has. "
            "Default: `[session, user]`, and for `bounded-hash` `[session, user, prompt]`."
        ),
    ] = None
    load_factor: Annotated[
        float,
        Meta(
            description="For `bounded-hash`: requests that a replica may have in flight, as a multiple of its share.",
            ge=1,
            le=10,
            extra={"decimals": 2},
        ),
    ] = 1.25
    cache_salt: Annotated[
        Literal["team", "virtual_key"] | None,
        _about("For `affinity`: whose prompts are cached apart from those of others."),
    ] = None
    index: Annotated[
        int, _size("For `affinity`: shared memory that remembers who has read which prompts.", "64KiB", "1GiB")
    ] = 8 << 20
    second_price: Annotated[
        float,
        Meta(
            description="For `affinity`: what a second less of waiting may cost, in the currency of the prices.",
            ge=0,
            le=1_000_000,
        ),
    ] = 0.01


class Cache(Section, frozen=True):
    """Where answers are kept that models or rules with a `cache` give again; all workers of the host share them."""

    noun: ClassVar[str] = "cache"
    path: Annotated[
        FolderPath | None,
        _about("Its folder. Default: `$CACHE_DIRECTORY`, `$XDG_CACHE_HOME/edgeroute` or `~/.cache/edgeroute`."),
    ] = None
    size: Annotated[
        int,
        _size(
            "The most it takes on the disk, an answer 1/32 of it; then the oldest go. More takes a restart.",
            "1MiB",
            "1024GiB",
        ),
    ] = 256 << 20
    memory: Annotated[int, _size("The most that each worker keeps of it in memory.", "64KiB", "64GiB")] = 32 << 20
    entries: Annotated[int, Meta(description="The most answers; then the oldest go.", ge=1, le=10_000_000)] = 100_000
    redis: Annotated[
        RedisUrl | None, _about("A Redis or Valkey behind it, which several hosts share: `redis://` or `rediss://`.")
    ] = None


class Embedder(Section, frozen=True):
    """Who makes the vectors of questions; `provider/model` alone, or a map."""

    noun: ClassVar[str] = "an embedder"
    shorthand: ClassVar[str | None] = "target"
    target: Annotated[str, _about("`provider/model`: its `/embeddings` is asked, as OpenAI has it.")]
    wait: (
        Annotated[int, _time("How long a request waits for its vector. Default: not at all.", "1ms", "10s")] | None
    ) = None


class ModelCache(Section, frozen=True):
    """Which answers of a model are given again; a mode alone, or a map with settings of it."""

    noun: ClassVar[str] = "the cache of a model"
    shorthand: ClassVar[str | None] = "mode"
    mode: Annotated[
        Literal["exact", "semantic"],
        _about("`exact`: to the same request; `semantic`: also to a last question that means the same."),
    ]
    ttl: Annotated[
        int,
        Meta(
            description="How long an answer is given again. From 1s to 720h.",
            ge=parse_quantity("1s", "milliseconds"),
            le=parse_quantity("720h", "milliseconds"),
            extra={"unit": "milliseconds", "cure": "to switch the cache off, take the line with cache out"},
            extra_json_schema={"unit": "milliseconds"},
        ),
    ] = 3_600_000
    scope: Annotated[
        Literal["virtual_key", "team", "everybody"],
        _about("Who gets the answers to whose requests; a virtual key without a team is a team of its own."),
    ] = "virtual_key"
    max_temperature: Annotated[
        float,
        Meta(
            description="Requests with a higher `temperature` bypass the cache.",
            ge=0,
            le=2,
            extra={"decimals": 3},
        ),
    ] = 0.3
    share: Annotated[
        bool, _about("Whether identical requests that are under way in a worker share one exchange with the provider.")
    ] = False
    replay: Annotated[
        Literal["at-once", "paced"], _about("How streams are given again: whole, or with the pauses that they had.")
    ] = "at-once"
    count_tokens: Annotated[
        bool, _about("Whether answers from the cache count against limits of tokens; requests always count.")
    ] = False
    serve: Annotated[
        Literal["observe", "always"],
        _about(
            "For `semantic`: `observe` lets the model answer and compares, until enough comparisons have shown that "
            "answers like it are right; `always` does not wait for that."
        ),
    ] = "observe"
    threshold: Annotated[
        float,
        Meta(
            description="For `semantic`: how sure it must be that a question means the same as one before.",
            ge=0,
            le=1,
            extra={"decimals": 3, "cure": "it is a confidence from 0 to 1, as in 0.95"},
        ),
    ] = 0.95
    turns: Annotated[
        int,
        Meta(description="For `semantic`: the most messages of the user that a conversation may have.", ge=1, le=100),
    ] = 1
    embedder: Annotated[
        Embedder | None,
        _about(
            "For `semantic`: who makes the vectors of questions, which are sent there. `threshold` is then that of "
            "their cosine. Default: edgeroute itself."
        ),
    ] = None
    judge: Annotated[
        str | None,
        _about(
            "For `serve: observe`: `provider/model` that is asked whether two answers say the same, where they cannot "
            "be compared otherwise. Default: nobody is asked."
        ),
    ] = None


class RuleCache(Section, frozen=True):
    """What a rule changes of the model's cache; a mode alone, or a map."""

    noun: ClassVar[str] = "the cache of a rule"
    shorthand: ClassVar[str | None] = "mode"
    mode: Annotated[
        Literal["off", "exact", "semantic"] | None,
        _about("Whether there is one, whatever the model says. Default: the model's."),
    ] = None
    ttl: Annotated[int, _time("How long the answer is given again. Default: the model's.", "1s", "720h")] | None = None


class Pool(Section, frozen=True):
    """A model that is served by several targets, or has a strategy or fallbacks."""

    noun: ClassVar[str] = "a model"
    targets: Annotated[
        list[str | ListedTarget] | dict[str, Weight | WeightedTarget],
        _about("`provider/model` each: a list is tried in order, a map gives weights; either may hold settings."),
    ]
    strategy: Annotated[
        Strategy | None,
        _about("How targets and their replicas are ordered. Default: `ordered` for a list, `weighted` for a map."),
    ] = None
    fallbacks: Annotated[list[str], _about("Models to try, in order, when every target failed.")] = []
    cache: Annotated[ModelCache | None, _about("Whether answers are given again, and which; none are, if not set.")] = (
        None
    )


class Rejection(Section, frozen=True):
    """What a rule answers instead of passing the request on."""

    noun: ClassVar[str] = "reject"
    message: Annotated[Message, _about("What the client is told.")]
    status: Annotated[int, Meta(description="The HTTP status.", ge=400, le=499)] = 403


class Settings(Section, frozen=True):
    """What a rule sets in the request to the provider, whether the client sent it or not."""

    noun: ClassVar[str] = "set"
    body: Annotated[
        dict[FieldName, Json],
        _about("Top-level fields of the body, such as temperature; text, numbers, lists and maps become JSON."),
    ] = {}
    headers: Annotated[dict[HeaderName, HeaderValue], _about("Headers; they replace the client's and provider's.")] = {}


class Removals(Section, frozen=True):
    """What a rule removes from the request to the provider, if it is there."""

    noun: ClassVar[str] = "remove"
    body: Annotated[list[FieldName], _about("Top-level fields of the body.")] = []
    headers: Annotated[list[HeaderName], _about("Headers, the client's and the provider's.")] = []


class AddedFallbacks(Section, frozen=True):
    """Fallbacks of a rule that come after the model's own."""

    noun: ClassVar[str] = "fallbacks of a rule"
    add: Annotated[list[str], _about("Models to try, in order, after those of the model failed.")]


class Rule(Section, frozen=True):
    """A condition with actions: `reject` alone, or any of the others together. The first rule that matches decides."""

    noun: ClassVar[str] = "a rule"
    name: Annotated[Slug, _about("Names the rule in headers, logs and metrics.")]
    when: Annotated[Condition, _about("A CEL condition; it is code, so variables are not replaced in it.")]
    virtual_key: Annotated[str | None, _about("Whose requests it is for; such rules are tried first.")] = None
    team: Annotated[str | None, _about("Whose requests it is for; such rules are tried next, then all others.")] = None
    priority: Annotated[
        int, Meta(description="Lower ones are tried first, among rules for the same.", ge=-1_000_000, le=1_000_000)
    ] = 0
    on_error: Annotated[
        Literal["no_match", "match", "reject"], _about("What follows if the condition cannot be evaluated.")
    ] = "no_match"
    model: Annotated[
        str | dict[str, Weight] | None,
        _about("Action: serve the request with this model; a map gives several with weights, of which one is drawn."),
    ] = None
    sticky: Annotated[
        Literal["user", "virtual_key"] | None,
        _about("Who gets the same of several models always: a user, as the client names it, or a virtual key."),
    ] = None
    pin: Annotated[
        str | None,
        Meta(
            description="Action: serve it with this target alone, `provider/model`, instead of the model's.",
            extra={"form": "provider/model"},
        ),
    ] = None
    set: Annotated[Settings | None, _about("Action: set fields of the body and headers.")] = None
    remove: Annotated[Removals | None, _about("Action: remove fields of the body and headers.")] = None
    fallbacks: Annotated[
        list[str] | AddedFallbacks | None,
        _about("Action: try these models, in order, instead of the model's own fallbacks, or after them."),
    ] = None
    tag: Annotated[Slug | None, _about("Action: add this word to `tags`, for later rules and the log.")] = None
    cache: Annotated[
        RuleCache | None, _about("Action: give other answers again than the model says, none, or for another time.")
    ] = None
    continues: Annotated[bool, _about("Whether rules match again afterwards, each once.")] = field(
        default=False, name="continue"
    )
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
    listen: Annotated[Address, _listener("Where clients connect.", _LISTEN)] = field(default_factory=lambda: _LISTEN)
    tls: Annotated[Tls | None, _about("TLS for clients; plain HTTP, if not set.")] = None
    admin: Annotated[Address, _listener("Probes, metrics, status and reload.", _ADMIN)] = field(
        default_factory=lambda: _ADMIN
    )
    admin_key: Annotated[
        Secret | None,
        _about("Bearer token of all but probes and metrics on `admin`; without one they answer this machine only."),
    ] = None
    trusted_proxies: Annotated[
        list[Network],
        _about("Addresses and networks whose x-forwarded-for is believed."),
    ] = []
    workers: Annotated[
        Annotated[int, Meta(ge=1, le=MOST_WORKERS)] | Literal["auto"],
        _about("Worker processes; auto is one for each core that may be used, quotas of containers considered."),
    ] = 1
    interface: Annotated[
        Literal["asgi", "rsgi"],
        _about("How the server calls the application; rsgi is faster, asgi has back-pressure."),
    ] = "asgi"
    log: Annotated[Literal["text", "json"], _about("The form of log lines.")] = "text"
    max_body: Annotated[int, _size("The largest request body.", "1KiB", "1GiB")] = 32 << 20
    max_reply: Annotated[int, _size("The largest reply that is not a stream.", "1KiB", "1GiB")] = 64 << 20
    max_stream: Annotated[int, _size("With rsgi: the most bytes of one streamed reply.", "64KiB", "1GiB")] = 8 << 20
    max_in_flight: Annotated[
        int, Meta(description="Open requests per worker; more are refused with 503.", ge=1, le=1_000_000)
    ] = 2048
    max_connections: Annotated[int, Meta(description="Client connections per worker.", ge=1, le=1_000_000)] = 4096
    drain: Annotated[int, _time("How long streams may go on when stopping.", "0s", "1h")] = 30_000
    drain_delay: Annotated[
        int,
        _time("After SIGTERM, how long /readyz answers 503 before connections are refused.", "0s", "10m"),
    ] = 0
    mock: Annotated[Mock | None, _about("An embedded provider for trying things out.")] = None
    providers: Annotated[dict[Name, Provider], _about("Who serves models.")] = field(
        default_factory=dict[str, Provider]
    )
    defaults: Annotated[Defaults, _about("What holds for every model.")] = Defaults()
    cache: Annotated[Cache, _about("Where answers are kept, if a model or a rule has a `cache`.")] = Cache()
    models: Annotated[
        dict[ModelName, str | Pool],
        _about("What clients ask for: `provider/model`, another model's name, or targets. A name may end in `*`."),
    ] = field(default_factory=dict[str, Any])
    rules: Annotated[list[Rule], _about("The first match decides.")] = []
    let: Annotated[
        dict[VariableName, Condition],
        _about("Expressions that conditions may use by their names, each evaluated at most once for a request."),
    ] = {}
    include: Annotated[
        list[str], _about("Files with more `rules` and `let`, which come after those above; a name may have a `*`.")
    ] = []
    teams: Annotated[dict[Name, Team], _about("Who shares models and limits.")] = field(default_factory=dict[str, Team])
    virtual_keys: Annotated[dict[Name, VirtualKey], _about("Who may call.")] = field(
        default_factory=dict[str, VirtualKey]
    )

    @classmethod
    def load(cls, path: Path | str, environ: Mapping[str, str] | None = None) -> "Config":
        """Reads and checks a configuration file; raises ConfigError with all errors. Warnings are logged.

        Without `environ` the environment of this process holds the variables.
        """
        from edgeroute.config.loading import load  # noqa: PLC0415 (it needs this class)

        loaded = load(Path(path), os.environ if environ is None else environ)
        for warning in loaded.warnings:
            _log.warning("%s", warning)
        return loaded.config
