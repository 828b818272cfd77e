"""The reference of the configuration, made from the schema: every setting with its values, default and meaning.

`python -m edgeroute.config.reference FILE` writes it.
"""

import sys
from collections.abc import Collection, Iterator
from inspect import cleandoc
from pathlib import Path
from typing import Any, NamedTuple, cast
from urllib.parse import urlsplit

from msgspec import NODEFAULT, Struct, inspect

from edgeroute.config import schema
from edgeroute.config.overrides import OVERRIDABLE
from edgeroute.config.schema import Section
from edgeroute.config.values import Value, format_quantity
from edgeroute.providers import CATALOGUE, CachedPrompts, prices_date

_HEAD = """\
# Configuration

<!-- Made by `make reference` from python/edgeroute/config/schema.py. -->

One YAML file; `edgeroute check` judges it, and [edgeroute.schema.json](../../config/edgeroute.schema.json) lets editors
do so. An unknown setting, one that is given twice, and YAML's anchors, aliases, tags and merge keys are errors.

Any value may hold variables: `${NAME}` is taken from the environment, `${file:/path}` is the content of a file, `$$` is
a dollar. Names and conditions of rules are taken as they are. Paths start at the folder of the configuration file.
Times carry a unit (`ms`, `s`, `m`, `h`), and sizes too (`B`, `KiB`, `MiB`, `GiB`).

The file, and every file it names, is watched: with a change the router reloads, without dropping a request. Settings
marked *restart* take effect at the next start.

## From outside the file

| variable | option | does |
|---|---|---|
| `EDGEROUTE_CONFIG` | `--config` | names the file; `edgeroute.yaml` in the current folder otherwise |
"""
_OVERRIDE = "| `EDGEROUTE_{}` | `--{}` | overrides `{}`; the option overrides the variable |"
_PROXIES = """
| `EDGEROUTE_KEY` | | the virtual key of `edgeroute run` without a file |
| `HTTPS_PROXY` | | the proxy to https URLs of providers, `http://[user:password@]host:port`; `proxy` overrides it |
| `NO_PROXY` | | what is reached without it: names (with all that ends in them), addresses, networks, \
each with `:port` if wanted; `*` for all |

The last two are read as curl reads them: in lower case they win. `HTTP_PROXY` is not used; providers at http URLs are
reached directly.
"""

_CATALOGUE = """
## Catalogue

Providers of these names need neither `dialect` nor `url`. The variable is where `edgeroute run` without a file looks
for the credential.

| provider | dialect | URL | variable |
|---|---|---|---|
"""

_PROMPT_CACHES = """
### Prompt caches

What `affinity` takes for granted where `prompt_cache` says nothing else: how long a prompt is kept after its last use,
and the fewest tokens that are kept. They hold for providers at the URLs above, whatever their names here. Where a
provider promises no time, it is the shortest that others promise. The fewest tokens are those of the model that keeps
the shortest prompts; some keep only longer ones.

| provider | lifetime | minimum | documented at |
|---|---|---|---|
"""
_PRICES = """
### Prices

Prices per million tokens, for `cost` and `affinity`, are those of [models.dev](https://models.dev) on {date}, in US
dollars, for providers at the URLs above. What providers charge beyond some length of prompt, for writing to a cache or
in a region is not in them. `price` in a target overrides them.
"""


class _Part(NamedTuple):
    title: str
    section: type[Section]
    example: str


_PARTS = (
    _Part(
        "Top of the file",
        schema.Config,
        'listen: 0.0.0.0:4000\nadmin: 0.0.0.0:9400\nadmin_key: "${EDGEROUTE_ADMIN_KEY}"\n'
        "trusted_proxies: [10.0.0.0/8]\nworkers: 2\ndrain_delay: 5s",
    ),
    _Part("tls", schema.Tls, "tls: {certificate: tls.crt, key: tls.key}"),
    _Part("mock", schema.Mock, "mock: {listen: 127.0.0.1:4010, first_token: 200ms}"),
    _Part(
        "providers",
        schema.Provider,
        "providers:\n"
        '  anthropic: {api_key: "${ANTHROPIC_API_KEY}"}\n'
        "  openai:\n"
        '    api_keys: ["${OPENAI_API_KEY}", "${file:/run/secrets/openai}"]\n'
        "    headers: {openai-organization: org-1}\n"
        "    proxy: http://proxy:3128\n"
        "  vllm:\n"
        "    dialect: openai-chat\n"
        "    urls: [https://gpu-0:8000/v1, https://gpu-1:8000/v1]\n"
        "    ca_file: ca.pem",
    ),
    _Part(
        "replicas",
        schema.Replica,
        "providers:\n"
        "  vllm:\n"
        "    dialect: openai-chat\n"
        "    engine: vllm\n"
        "    urls:\n"
        "      - http://gpu-0:8000/v1\n"
        "      - {url: http://gpu-1:8000/v1, weight: 2}   # gets twice as much\n"
        "      - {url: http://gpu-2:8000/v1, drain: true} # gets nothing new",
    ),
    _Part(
        "discover",
        schema.Discovery,
        "providers:\n"
        "  vllm: {dialect: openai-chat, discover: {dns: http://vllm.models.svc:8000/v1, every: 5s}}\n"
        "  sglang: {dialect: openai-chat, discover: {srv: http://_http._tcp.sglang.models.svc/v1}}\n"
        "  consul: {dialect: openai-chat, discover: {srv: http://vllm.service.consul/v1, nameserver: 127.0.0.1:8600}}\n"
        "  others: {dialect: openai-chat, discover: {file: replicas.yaml}}",
    ),
    _Part(
        "prompt_cache",
        schema.PromptCache,
        "providers:\n"
        '  anthropic: {api_key: "${ANTHROPIC_API_KEY}", prompt_cache: {lifetime: 1h}} # as your clients ask for\n'
        "  hosted:\n"
        "    dialect: openai-chat\n"
        "    url: https://api.example.com/v1\n"
        "    prompt_cache: {lifetime: 5m, minimum: 1024}",
    ),
    _Part("defaults", schema.Defaults, "defaults: {attempts: 2, reserve_output: 4096}"),
    _Part("timeouts", schema.Timeouts, "defaults:\n  timeouts: {connect: 1s, first_byte: 30s}"),
    _Part(
        "models",
        schema.Pool,
        "models:\n"
        "  fast:                                # a map gives weights\n"
        "    targets: {openai/gpt-5-mini: 80, vllm/llama: 20}\n"
        "  smart:                               # a list gives an order\n"
        "    targets: [anthropic/claude-opus-4-8, openai/gpt-5.5]\n"
        "    fallbacks: [fast]\n"
        "  long: openai/gpt-5.5                 # one target: provider/model, split at the first slash\n"
        "  gpt-4o: fast                         # an alias\n"
        "  openai/*: openai/*                   # everything else of a provider",
    ),
    _Part(
        "targets in a list",
        schema.ListedTarget,
        "models:\n  smart:\n    targets:\n"
        "      - {target: anthropic/claude-opus-4-8, timeouts: {first_byte: 10s}}\n"
        "      - openai/gpt-5.5",
    ),
    _Part(
        "targets in a map",
        schema.WeightedTarget,
        "models:\n  fast:\n    targets:\n"
        "      openai/gpt-5-mini: 80\n"
        "      vllm/llama: {weight: 20, timeouts: {connect: 500ms}}",
    ),
    _Part(
        "timeouts of a target",
        schema.TargetTimeouts,
        "models:\n  long:\n    targets: [{target: openai/gpt-5.5, timeouts: {first_byte: 5m, gap: 2m}}]",
    ),
    _Part(
        "price",
        schema.Price,
        "models:\n"
        "  cheap:\n"
        "    targets:\n"
        "      - {target: vllm/llama, price: {input: 0.2, output: 0.6}}\n"
        "      - {target: openai/gpt-5-mini, price: {input: 0.25, cached_input: 0.025, output: 2}}\n"
        "    strategy: cost",
    ),
    _Part(
        "strategy",
        schema.Strategy,
        "models:\n"
        "  llama: {targets: [vllm/llama], strategy: affinity}\n"
        "  coder:\n"
        "    targets: [vllm/coder]\n"
        "    strategy: {name: affinity, cache_salt: team, index: 32MiB}\n"
        "  chat:\n"
        "    targets: {vllm/chat: 3, openai/gpt-5-mini: 1}\n"
        '    strategy: {name: session, key: [session, "header:x-conversation", user]}',
    ),
    _Part(
        "cache",
        schema.Cache,
        "cache: {path: /var/cache/edgeroute, size: 2GiB}\n"
        "models:\n"
        "  fast: {targets: [openai/gpt-5-mini], cache: exact}",
    ),
    _Part(
        "cache of a model",
        schema.ModelCache,
        "models:\n"
        "  faq:\n"
        "    targets: [openai/gpt-5-mini]\n"
        "    cache: {mode: semantic, ttl: 8h, scope: team, share: true}\n"
        "  embed: {targets: [openai/text-embedding-3-small], cache: exact}",
    ),
    _Part(
        "embedder",
        schema.Embedder,
        "models:\n"
        "  faq:\n"
        "    targets: [openai/gpt-5-mini]\n"
        "    cache:\n"
        "      mode: semantic\n"
        "      threshold: 0.92\n"
        "      embedder: {target: openai/text-embedding-3-small, wait: 50ms}",
    ),
    _Part(
        "cache of a rule",
        schema.RuleCache,
        "rules:\n"
        '  - {name: fresh, when: \'headers["x-fresh"] == "1"\', cache: off}\n'
        "  - {name: short, when: 'last_user_text.contains(\"price\")', cache: {mode: exact, ttl: 30s}}",
    ),
    _Part(
        "rules",
        schema.Rule,
        "rules:\n"
        "  - {name: long-prompt, when: 'prompt_tokens > 200000', model: long}\n"
        "  - {name: rollout, when: 'model == \"smart\"', model: {smart: 90, fast: 10}, sticky: user, tag: rollout}\n"
        '  - {name: no-batch, when: \'headers["x-purpose"] == "batch"\', on_error: no_match, reject: At night only.}',
    ),
    _Part(
        "set",
        schema.Settings,
        "rules:\n"
        "  - name: small-answers\n"
        "    when: 'key.name.startsWith(\"trial-\")'\n"
        "    set:\n"
        "      body: {max_tokens: 200, temperature: 0.2, stop: [END]}\n"
        "      headers: {x-tenant: trial}",
    ),
    _Part(
        "remove",
        schema.Removals,
        "rules:\n  - {name: no-logprobs, when: 'has(body.logprobs)', remove: {body: [logprobs, top_logprobs]}}",
    ),
    _Part(
        "fallbacks of a rule",
        schema.AddedFallbacks,
        'rules:\n  - {name: important, when: \'headers["x-tier"] == "gold"\', fallbacks: {add: [fast]}}',
    ),
    _Part(
        "reject",
        schema.Rejection,
        "rules:\n"
        "  - name: no-images\n"
        "    when: 'path == \"/v1/images/generations\"'\n"
        "    reject: {status: 404, message: No images here.}",
    ),
    _Part(
        "teams",
        schema.Team,
        "teams:\n  search:\n    models: [fast, smart]\n    aliases: {best-model: smart}\n"
        "    limits: {requests_per_minute: 6000, tokens_per_minute: 2000000}",
    ),
    _Part(
        "virtual_keys",
        schema.VirtualKey,
        "virtual_keys:\n  search-prod:\n    team: search\n"
        '    hash: "sha256:2904cb91b4d3e13d761f8ea8a47d42158ae6729fe2c90764d9b3b0294140812e"',
    ),
    _Part(
        "limits",
        schema.Limits,
        "virtual_keys:\n  search-prod:\n"
        '    hash: "sha256:2904cb91b4d3e13d761f8ea8a47d42158ae6729fe2c90764d9b3b0294140812e"\n'
        "    limits: {concurrency: 100}",
    ),
)
_TITLES = {part.section: part.title for part in _PARTS}


def render_reference(at_restart: Collection[str]) -> str:
    """The page, in Markdown; `at_restart` are the settings that a reload does not change."""
    overrides = [_OVERRIDE.format(name.upper(), name, name) for name in OVERRIDABLE]
    parts = (_render(part, at_restart) for part in _PARTS)
    return _HEAD + "\n".join(overrides) + _PROXIES + "".join(parts) + _catalogue()


def examples() -> dict[str, str]:
    """The example of each part of the page, in YAML; files and names are as in all the others."""
    return {part.title: part.example for part in _PARTS}


def _render(part: _Part, at_restart: Collection[str]) -> str:
    kind = cast(inspect.StructType, inspect.type_info(part.section))
    description = cleandoc(part.section.__doc__ or "")
    top = part.section is schema.Config
    lines = ["", f"## {part.title}", "", description, "", "```yaml", part.example, "```", ""]
    lines += ["| setting | value | default | meaning |" + " change |" * top, "|---|---|---|---|" + "---|" * top]
    for each in kind.fields:
        meaning, value = _describe(each.type)
        change = f" {'*restart*' if each.encode_name in at_restart else 'reload'} |" * top
        lines.append(f"| `{each.encode_name}` | {value} | {_default(each)} | {meaning} |{change}")
    return "\n".join([*lines, ""])


def _describe(kind: inspect.Type) -> tuple[str, str]:
    """The meaning of a setting, and its values."""
    meaning = "".join(_descriptions(kind))
    return meaning.replace("|", "\\|"), " or ".join(_values(kind))


def _descriptions(kind: inspect.Type) -> Iterator[str]:
    if isinstance(kind, inspect.Metadata):
        described = cast(dict[str, Any] | None, kind.extra_json_schema)  # pyright: ignore[reportUnknownMemberType]
        yield (described or {}).get("description", "")
        yield from _descriptions(kind.type)
    elif isinstance(kind, inspect.UnionType):
        for each in kind.types:
            yield from _descriptions(each)


def _values(kind: inspect.Type, extra: dict[str, Any] | None = None) -> Iterator[str]:
    match kind:
        case inspect.Metadata():
            yield from _values(kind.type, {**(extra or {}), **_extra(kind)})
        case inspect.UnionType(types=types):
            for each in types:
                yield from _values(each, extra)
        case inspect.IntType(ge=least, le=most):
            unit: str | None = (extra or {}).get("unit")
            bounds = f"{format_quantity(least or 0, unit)} to {format_quantity(most or 0, unit)}"
            yield {"milliseconds": "time, ", "bytes": "size, "}.get(unit or "", "number, ") + bounds
        case inspect.FloatType(ge=least, le=most):
            yield f"number, {least or 0:g} to {most or 0:.7g}"
        case inspect.LiteralType(values=values):
            yield " or ".join(f"`{value}`" for value in values)
        case inspect.BoolType():
            yield "`true` or `false`"
        case inspect.CustomType(cls=cls):
            yield cast(type[Value], cls).expected.removeprefix("a ").removeprefix("an ").removeprefix("the ")
        case inspect.ListType(item_type=item):
            yield f"list of: {' or '.join(_values(item))}"
        case inspect.DictType(value_type=value):
            yield f"map, by name: {' or '.join(_values(value))}"
        case inspect.StructType(cls=cls):
            section = cast(type[Section], cls)
            for each in kind.fields:
                if each.name == section.shorthand:
                    yield from _values(each.type)
            title = _TITLES[section]
            yield f"[{title}](#{title.lower().replace(' ', '-')})"
        case inspect.StrType():
            yield (extra or {}).get("form", "text")
        case _:
            pass


def _default(field: inspect.Field) -> str:
    """What holds when a setting is left out, as it would be written."""
    if field.required:
        return "needed"
    value = field.default if field.default is not NODEFAULT else field.default_factory()
    unit = next(_units(field.type), None)
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, int):
        return f"`{format_quantity(value, unit)}`"
    return "" if value is None or isinstance(value, Struct) or not value else f"`{value}`"


def _units(kind: inspect.Type) -> Iterator[str]:
    if isinstance(kind, inspect.Metadata):
        unit = _extra(kind).get("unit")
        yield from [unit] if unit is not None else _units(kind.type)


def _extra(kind: inspect.Metadata) -> dict[str, Any]:
    return cast(dict[str, Any] | None, kind.extra) or {}  # pyright: ignore[reportUnknownMemberType]


def _catalogue() -> str:
    rows = (
        f"| `{name}` | `{known.dialect}` | {known.url} | `{known.key_variable}` |" for name, known in CATALOGUE.items()
    )
    kept = (_kept(name, known.prompt_cache) for name, known in CATALOGUE.items() if known.prompt_cache)
    return (
        _CATALOGUE
        + "\n".join([*rows, ""])
        + _PROMPT_CACHES
        + "\n".join([*kept, ""])
        + _PRICES.format(date=prices_date())
    )


def _kept(name: str, cache: CachedPrompts) -> str:
    lifetime = format_quantity(cache.lifetime_ms, "milliseconds") + ("" if cache.promised else " (not promised)")
    return f"| `{name}` | {lifetime} | {cache.least_tokens} | [{urlsplit(cache.source).netloc}]({cache.source}) |"


if __name__ == "__main__":
    from edgeroute.supervisor.generations import AT_RESTART

    Path(sys.argv[1]).write_text(render_reference(AT_RESTART), encoding="utf-8")
