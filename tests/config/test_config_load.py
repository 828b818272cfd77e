"""What loading gives: what workers get, the files to watch, warnings, and no secrets in print."""

import hashlib
import re
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edgeroute.config import Address, Config, ConfigError, Loaded, Secret, load

CONFIG = Path(__file__).parents[2] / "config"
ENVIRON = {"OPENAI_API_KEY": "sk-openai-do-not-print", "ANTHROPIC_API_KEY": "sk-anthropic-do-not-print"}
OF_THE_EXAMPLE = {
    **ENVIRON,
    "ANTHROPIC_API_KEY_2": "sk-2-do-not-print",
    "EDGEROUTE_ADMIN_KEY": "sk-3-do-not-print",
    "HOME": "/home/edgeroute",
}
DIGITS = hashlib.sha256(b"sk-demo").hexdigest()
HASH = f"sha256:{DIGITS}"
MINIMAL = f"""
providers: {{openai: {{api_key: "${{OPENAI_API_KEY}}"}}}}
models: {{fast: openai/gpt-5-mini}}
virtual_keys: {{demo: {{hash: "{HASH}"}}}}
"""
# A rule as workers get it, with nothing set.
RULE: dict[str, Any] = {
    "virtual_key": None, "team": None, "priority": 0, "on_error": "no_match", "models": [], "sticky": None,
    "pin": None, "body": [], "headers": [], "tag": None, "fallbacks": None, "reject": None, "continue": False,
    "cache": None,
}  # fmt: skip
# The example of the design document, with a hash and a path that exist.
DESIGN = f"""
listen: 0.0.0.0:4000
admin: 127.0.0.1:9400                # probes, metrics, admin API
providers:
  openai:    {{api_key: "${{OPENAI_API_KEY}}"}}
  anthropic: {{api_key: "${{file:secrets/anthropic}}"}}
  vllm:      {{dialect: openai-chat, urls: [http://gpu-0:8000/v1, http://gpu-1:8000/v1]}}
defaults: {{attempts: 3, timeouts: {{connect: 2s, first_byte: 120s, gap: 60s, total: 15m}}}}
models:
  fast:                              # a map gives weights
    targets: {{openai/gpt-5-mini: 80, vllm/meta-llama/Llama-4-Scout: 20}}
  smart:                             # a list gives an order
    targets: [anthropic/claude-opus-4-8, openai/gpt-5.5]
    fallbacks: [fast]
  long: openai/gpt-5.5               # one target
  gpt-4o: fast                       # an alias
  openai/*: openai/*                 # everything else of a provider, under its own name
rules:                               # first match wins
  - {{name: long-prompt, when: 'prompt_tokens + max_tokens > 200000',  model: long}}
  - {{name: near-limit,  when: 'tokens_used > 75',                     model: fast}}
  - {{name: premium,     when: 'headers["x-tier"] == "premium"',       model: smart}}
teams:
  search:
    models: [fast, smart, long, gpt-4o]
    aliases: {{best-model: smart}}
    limits: {{requests_per_minute: 6000, tokens_per_minute: 2000000, concurrency: 400}}
virtual_keys:
  search-prod: {{team: search, hash: "{HASH}"}}
"""


def write(folder: Path, text: str) -> Path:
    path = folder / "edgeroute.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def load_text(folder: Path, text: str, **environ: str) -> Loaded:
    return load(write(folder, text), {**ENVIRON, **environ})


def normalised(loaded: Loaded) -> dict[str, Any]:
    return msgspec.json.decode(loaded.normalised)


def test_the_example_of_the_design_as_workers_get_it(tmp_path: Path) -> None:
    secret = tmp_path / "secrets" / "anthropic"
    secret.parent.mkdir()
    secret.write_text("sk-from-a-file\n")
    loaded = load_text(tmp_path, DESIGN)
    assert [each.message for each in loaded.warnings] == [
        'model "openai/*" cannot be reached: no team may ask for it, and nothing leads to it'
    ]
    assert loaded.watched == [tmp_path / "edgeroute.yaml", secret]
    unlimited = {"requests_per_minute": None, "tokens_per_minute": None, "concurrency": None}

    def provider(name: str, dialect: str, credential: str | None, *urls: str, hosted: bool = True) -> dict[str, Any]:
        return {
            "name": name,
            "dialect": dialect,
            "replicas": [{"url": url, "proxy": None, "weight": 1, "address": None} for url in urls],
            "credentials": [credential] if credential else [],
            "headers": [],
            "ca": None,
            "max_connections": 2048,
            "engine": None,
            "prompt_cache": {"lifetime_s": 300, "least_tokens": 1024} if hosted else None,
        }

    prices: dict[str, dict[str, float]] = {
        "gpt-5-mini": {"input": 0.25, "cached_input": 0.025, "output": 2},
        "gpt-5.5": {"input": 5, "cached_input": 0.5, "output": 30},
        "claude-opus-4-8": {"input": 5, "cached_input": 0.5, "output": 25},
    }

    def target(provider: str, model: str, weight: int = 1) -> dict[str, Any]:
        default = {"connect_ms": None, "first_byte_ms": None, "gap_ms": None}
        return {"provider": provider, "model": model, "weight": weight, "price": prices.get(model), **default}

    def model(name: str, *targets: dict[str, Any], strategy: str = "ordered", **given: Any) -> dict[str, Any]:
        settings: dict[str, Any] = {
            "key": [],
            "load_factor_percent": 125,
            "cache_salt": None,
            "index_bytes": 8 << 20,
            "second_price": 0.01,
        }
        empty: dict[str, Any] = {"alias": None, "fallbacks": [], "cache": None, "embedder": None, "judge": None}
        return {"name": name, "targets": list(targets), "strategy": {"name": strategy, **settings}, **empty, **given}

    def rule(name: str, when: str, model: str) -> dict[str, Any]:
        return {**RULE, "name": name, "when": when, "models": [{"model": model, "weight": 1}]}

    assert normalised(loaded) == {
        "providers": [
            provider("openai", "openai-chat", "sk-openai-do-not-print", "https://api.openai.com/v1"),
            provider("anthropic", "anthropic-messages", "sk-from-a-file", "https://api.anthropic.com/v1"),
            provider("vllm", "openai-chat", None, "http://gpu-0:8000/v1", "http://gpu-1:8000/v1", hosted=False),
        ],
        "models": [
            model(
                "fast",
                target("openai", "gpt-5-mini", 80),
                target("vllm", "meta-llama/Llama-4-Scout", 20),
                strategy="weighted",
            ),
            model(
                "smart",
                target("anthropic", "claude-opus-4-8"),
                target("openai", "gpt-5.5"),
                fallbacks=["fast"],
            ),
            model("long", target("openai", "gpt-5.5")),
            model("gpt-4o", alias="fast"),
            model("openai/*", target("openai", "*")),
        ],
        "definitions": [],
        "rules": [
            rule("long-prompt", "prompt_tokens + max_tokens > 200000", "long"),
            rule("near-limit", "tokens_used > 75", "fast"),
            rule("premium", 'headers["x-tier"] == "premium"', "smart"),
        ],
        "teams": [
            {
                "name": "search",
                "models": ["fast", "smart", "long", "gpt-4o"],
                "aliases": {"best-model": "smart"},
                "limits": {"requests_per_minute": 6000, "tokens_per_minute": 2000000, "concurrency": 400},
            }
        ],
        "virtual_keys": [{"name": "search-prod", "team": "search", "hash": DIGITS, "limits": unlimited}],
        "defaults": {
            "attempts": 3,
            "reserve_output": 1024,
            "connect_ms": 2000,
            "first_byte_ms": 120_000,
            "gap_ms": 60_000,
            "total_ms": 900_000,
            "body_ms": 60_000,
        },
        "trusted_proxies": [],
        "max_body": 33_554_432,
        "max_reply": 67_108_864,
        "max_stream": 8_388_608,
        "max_in_flight": 2048,
        "cache": None,
    }


def test_the_files_we_ship_load_without_a_warning() -> None:
    for name in ("quickstart.yaml", "example.yaml"):
        warnings = [each.message for each in load(CONFIG / name, OF_THE_EXAMPLE).warnings]
        assert [each for each in warnings if "is a placeholder" not in each] == []
    demo = normalised(load(CONFIG / "quickstart.yaml", {}))["virtual_keys"][0]
    assert demo["hash"] == hashlib.sha256(b"sk-edgeroute-demo").hexdigest()


def test_defaults(tmp_path: Path) -> None:
    config = load_text(tmp_path, MINIMAL).config
    assert (config.listen, config.admin) == (Address("127.0.0.1:4000"), Address("127.0.0.1:9400"))
    assert (config.interface, config.log, config.mock) == ("asgi", "text", None)
    assert (config.workers, config.max_in_flight, config.max_reply) == (1, 2048, 64 << 20)
    assert (config.drain, config.max_body, config.max_stream) == (30_000, 32 << 20, 8 << 20)


def test_values_are_what_the_setting_wants_and_not_what_yaml_makes_of_them(tmp_path: Path) -> None:
    text = (
        MINIMAL + "mock: {listen: '[::1]:4010', first_token: 1s, token_interval: 0ms, seed: \"${SEED}\"}\nlog: ${LOG}\n"
    )
    text = text.replace("fast:", "on:").replace("demo:", "007:")
    config = load_text(tmp_path, text, SEED="7", LOG="json").config
    assert (list(config.models), list(config.virtual_keys), config.log) == (["on"], ["007"], "json")
    assert config.mock is not None
    assert (config.mock.listen.host, config.mock.listen.port) == ("::1", 4010)
    assert (config.mock.first_token, config.mock.token_interval, config.mock.seed) == ("1s", "0ms", 7)


def test_variables(tmp_path: Path) -> None:
    def check(written: str, expected: str) -> None:
        text = MINIMAL.replace('"${OPENAI_API_KEY}"', written)
        loaded = load_text(tmp_path, text, A="one", B="t${A}wo")
        assert normalised(loaded)["providers"][0]["credentials"] == [expected]

    (tmp_path / "key").write_bytes(b"from-file\r\n")
    check('"${A}"', "one")
    check("'x-${A}-${B}'", "x-one-t${A}wo")  # what is put in is not looked at again
    check("$${A}".join("''"), "${A}")
    check("a$b$", "a$b$")
    check("'${file:key}'", "from-file")
    check(f"'${{file:{tmp_path}/key}}'", "from-file")


def test_urls(tmp_path: Path) -> None:
    def check(dialect: str, url: str, expected: str) -> None:
        text = MINIMAL.replace("openai: {", f"openai: {{dialect: {dialect}, url: '{url}', ")
        [replica] = normalised(load_text(tmp_path, text))["providers"][0]["replicas"]
        assert replica == {"url": expected, "proxy": None, "weight": 1, "address": None}

    check("openai-chat", "http://host:8000/v1/", "http://host:8000/v1")
    check("openai-chat", "https://host/compatible-mode", "https://host/compatible-mode")
    check("anthropic-messages", "https://host", "https://host/v1")
    check("anthropic-messages", "https://host/", "https://host/v1")
    check("anthropic-messages", "https://host/anthropic", "https://host/anthropic/v1")
    check("anthropic-messages", "https://host/v1", "https://host/v1")
    check("anthropic-messages", "https://host/v1beta/", "https://host/v1beta")
    check("anthropic-messages", "https://v1", "https://v1/v1")


def test_rejections(tmp_path: Path) -> None:
    first, second = (
        "{name: a, when: stream, reject: no}",
        "{name: b, when: '!stream', reject: {status: 422, message: x}}",
    )
    rules = f"rules: [{first}, {second}]\n"
    rejections = [rule["reject"] for rule in normalised(load_text(tmp_path, MINIMAL + rules))["rules"]]
    assert rejections == [{"status": 403, "message": "no"}, {"status": 422, "message": "x"}]


def test_actions(tmp_path: Path) -> None:
    def check(settings: str, **expected: Any) -> None:
        rule = f"rules: [{{name: a, when: stream, {settings}}}]\n"
        more = MINIMAL.replace("{fast:", "{smart: openai/gpt-5.5, fast:") + "teams: {search: {}}\n"
        [found] = normalised(load_text(tmp_path, more + rule))["rules"]
        assert found == {"name": "a", "when": "stream", **RULE, **expected}

    shares = [{"model": "fast", "weight": 80}, {"model": "smart", "weight": 20}]
    check("model: {fast: 80, smart: 20}, sticky: virtual_key", models=shares, sticky="virtual_key")
    check("tag: a, virtual_key: demo, priority: -5", tag="a", virtual_key="demo", priority=-5)
    check("tag: a, team: search, on_error: reject, continue: true", tag="a", team="search", on_error="reject",
          **{"continue": True})  # fmt: skip
    check("pin: openai/org/model", pin={"provider": "openai", "model": "org/model"})
    check("fallbacks: []", fallbacks={"models": [], "add": False})
    check("fallbacks: [smart]", fallbacks={"models": ["smart"], "add": False})
    check("fallbacks: {add: [smart]}", fallbacks={"models": ["smart"], "add": True})
    check(
        "set: {headers: {X-Tenant: a b}}, remove: {headers: [OpenAI-Beta], body: [top_p]}",
        headers=[["x-tenant", "a b"], ["openai-beta", None]],
        body=[["top_p", None]],
    )


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("0.20", "0.20"), ("-1e-5", "-1e-5"), ("100000000000000000000", "100000000000000000000"),
        ("true", "true"), ("false", "false"), ("low", '"low"'), ("'0.2'", '"0.2"'), ("'true'", '"true"'), ("''", '""'),
        ("yes", '"yes"'), ("1.2.3", '"1.2.3"'), ("1:30", '"1:30"'), ("é", '"é"'), (r'"a\"b\n"', r'"a\"b\n"'),
        ("[END, 1, [x]]", '["END",1,["x"]]'), ("[]", "[]"), ("{}", "{}"),
        ('{effort: low, "a b": {c: true}}', '{"effort":"low","a b":{"c":true}}'),
        ("'${N}'", '"0.5"'), ("'a ${N}'", '"a 0.5"'),
    ],
)  # fmt: skip
def test_values_of_a_body(written: str, expected: str, tmp_path: Path) -> None:
    rule = f"rules: [{{name: a, when: stream, set: {{body: {{it: {written}}}}}}}]\n"
    path = tmp_path / "edgeroute.yaml"
    path.write_text(MINIMAL + rule, encoding="utf-8")
    loaded = load(path, {**ENVIRON, "N": "0.5"})
    assert normalised(loaded)["rules"][0]["body"] == [["it", expected]]
    msgspec.json.decode(expected)


def test_rules_of_included_files(tmp_path: Path) -> None:
    def rule(name: str) -> str:
        return f"rules: [{{name: {name}, when: 'model == \"{name}\"', model: fast}}]\n"

    def included(text: str) -> list[str]:
        loaded = load_text(tmp_path, MINIMAL + text)
        folder = tmp_path / "team"
        assert loaded.watched[0] == tmp_path / "edgeroute.yaml"
        assert (folder in loaded.watched) == ("*" in text)
        assert not loaded.warnings
        return [each["name"] for each in normalised(loaded)["rules"]]

    (tmp_path / "team").mkdir()
    for name in ("b", "a", ".hidden"):
        (tmp_path / "team" / f"{name}.yaml").write_text(rule(name))
    (tmp_path / "last.yaml").write_text(rule("last"))
    (tmp_path / "empty.yaml").write_text("rules: []\n")
    (tmp_path / "let.yaml").write_text("let: {b: 'a && message_count > 1'}\nrules: [{name: l, when: b, model: fast}]\n")
    assert included("include: [team/*.yaml]\n") == ["a", "b"]
    assert included(f"include: ['{tmp_path}/last.yaml', team/a.yaml]\n") == ["last", "a"]
    assert included(rule("own") + "include: [last.yaml, empty.yaml, team/*.yaml]\n") == ["own", "last", "a", "b"]
    assert included("include: []\n") == []
    assert included("let: {a: stream}\ninclude: [let.yaml]\n") == ["l"]


def test_warnings(tmp_path: Path) -> None:
    def check(text: str, *expected: str) -> None:
        assert [each.message for each in load_text(tmp_path, text).warnings] == list(expected)

    check(MINIMAL)
    check(MINIMAL + "teams: {idle: {}}\n", 'team "idle" has no virtual key')
    check(
        MINIMAL.replace("providers: {", "providers: {groq: {}, "),
        'provider "groq" has no api_key and will refuse requests',
        'provider "groq" serves no model',
    )
    check(
        MINIMAL + "defaults: {timeouts: {gap: 2h}}\n",
        '"gap" is longer than "total" (15m), which ends the request first',
    )
    check(
        MINIMAL.replace("openai: {", "openai: {url: 'http://localhost:8000', dialect: openai-chat, "),
        "this URL has no path",
    )
    check(MINIMAL.replace('"${OPENAI_API_KEY}"', "sk-1"), "this credential is written into the configuration")
    rule = MINIMAL + "rules: [{name: a, when: 'tokens_used > 75 && requests_used > 1', model: fast}]\n"
    check(
        rule.replace(f'"{HASH}"', f'"{HASH}", limits: {{tokens_per_minute: 1}}'),
        "`requests_used` is always 0: no team and no virtual key has requests_per_minute",
    )


def test_secrets_do_not_print(tmp_path: Path) -> None:
    loaded = load_text(tmp_path, MINIMAL)
    secret = loaded.config.providers["openai"].api_key
    assert secret is not None
    assert secret.reveal() == "sk-openai-do-not-print"
    shown = f"{secret} {secret!r} {secret:>40} {[secret]} {loaded} {loaded.config!r} %s" % secret
    assert "do-not-print" not in shown
    assert Secret("a") == Secret("a") != Secret("b")


def test_links_are_watched_where_they_stand(tmp_path: Path) -> None:
    """Kubernetes swaps a link to a folder; the paths that we watch must lead to the new files."""
    for name, key in (("v1", "sk-1"), ("v2", "sk-2")):
        (tmp_path / name).mkdir()
        write(tmp_path / name, MINIMAL.replace("${OPENAI_API_KEY}", "${file:key}"))
        (tmp_path / name / "key").write_text(key)
    link = tmp_path / "current"
    link.symlink_to("v1")
    first = load(link / "edgeroute.yaml", {})
    assert first.watched == [link / "edgeroute.yaml", link / "key"]
    before = [path.stat().st_ino for path in first.watched]
    (tmp_path / "next").symlink_to("v2")
    (tmp_path / "next").rename(link)
    assert all(path.stat().st_ino != inode for path, inode in zip(first.watched, before, strict=True))
    assert normalised(load(link / "edgeroute.yaml", {}))["providers"][0]["credentials"] == ["sk-2"]


def test_files_read_before_an_error_are_watched_too(tmp_path: Path) -> None:
    path = write(tmp_path, MINIMAL.replace("${OPENAI_API_KEY}", "${file:key}"))
    with pytest.raises(ConfigError) as caught:
        load(path, {})
    assert caught.value.watched == (path, tmp_path / "key")


EXAMPLE = (CONFIG / "example.yaml").read_text(encoding="utf-8")
TOKENS = sorted(
    {*re.findall(r"[\w*./-]+|[^\w\s]", EXAMPLE), "${", "}", "\t", "\n", "  ", "&a", "*a", "!!int", "é😀", "~"}
)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_damage_to_the_example_gives_a_configuration_or_a_readable_error(
    tmp_path: Path, data: st.DataObject
) -> None:
    pieces = re.findall(r"[\w*./-]+|\s+|[^\w\s]", EXAMPLE)
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, len(pieces) - 1))
        width = data.draw(st.sampled_from([0, 1, 1, 2, 5, 60]))
        pieces[place : place + width] = data.draw(st.lists(st.sampled_from(TOKENS), max_size=2))
    text = "".join(pieces)
    check_any(tmp_path, text)


NODES = st.recursive(
    st.sampled_from(["", "fast", "openai/x", "openai/*", "1", "2s", "${OPENAI_API_KEY}", "${X", "*", "/", "sha256:"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from([*Config.__struct_fields__, "openai", "fast", "a*", "targets", "when"]), inner
        )
    ),
    max_leaves=12,
)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(changes=st.dictionaries(st.sampled_from(Config.__struct_fields__), NODES, max_size=4))
def test_any_structure_gives_a_configuration_or_a_readable_error(tmp_path: Path, changes: dict[str, Any]) -> None:
    text = MINIMAL.strip() + "\n"
    for name, value in changes.items():
        line = f"{name}: {msgspec.json.encode(value).decode()}\n"  # JSON is YAML
        text = re.sub(rf"(?m)^{name}:.*\n", "", text) + line
    check_any(tmp_path, text)


def check_any(folder: Path, text: str) -> None:
    try:
        load_text(folder, text, **OF_THE_EXAMPLE)
    except ConfigError as error:
        caught = error
    else:
        return
    assert any(each.severity == "error" for each in caught.diagnostics)
    assert "do-not-print" not in str(caught)
    lines = text.split("\n")
    for each in caught.diagnostics:
        assert 1 <= each.line <= len(lines)
        assert 1 <= each.column <= len(lines[each.line - 1]) + 1
        assert len(each.snippet) == len(lines[each.line - 1])


@pytest.mark.parametrize(("written", "workers"), [("auto", "auto"), ('"auto"', "auto"), ("${N}", "auto"), ("3", 3)])
def test_workers_are_a_number_or_auto(tmp_path: Path, written: str, workers: int | str) -> None:
    file = tmp_path / "edgeroute.yaml"
    file.write_text(f"{MINIMAL}workers: {written}\n")
    assert load(file, ENVIRON | {"N": "auto"}).config.workers == workers
