"""The configuration in the form that workers compile: compact JSON with nothing left to look up.

The contract with `rust/router`: every key is always present, and what is not set is null. It holds provider
credentials, so it stays in memory and never reaches a log.
"""

from collections.abc import Mapping, Sequence
from hashlib import sha256

import orjson
from msgspec.structs import replace

from edgeroute.config.caches import cache_path, has_cache, helpers
from edgeroute.config.members import Member, Members, configured
from edgeroute.config.models import (
    Target,
    credentials_of,
    dialect_of,
    fallbacks_of,
    interpret,
    models_of,
    price_of,
    prompt_cache_of,
    split_target,
)
from edgeroute.config.placement import DEFAULT_KEYS
from edgeroute.config.proxies import proxy_for
from edgeroute.config.schema import (
    AddedFallbacks,
    Config,
    Limits,
    ModelCache,
    Pool,
    Provider,
    Rejection,
    Removals,
    Rule,
    RuleCache,
    Settings,
    Strategy,
)
from edgeroute.config.values import KeyHash, Url


def normalise(config: Config, environ: Mapping[str, str], members: Members | None = None) -> bytes:
    """A checked configuration as JSON bytes; the same configuration and environment give the same bytes.

    Its providers have the replicas `members`, else those that it lists itself. Of the environment the proxies are
    read (HTTPS_PROXY, NO_PROXY), and where answers are kept. Raises Malformed about HTTPS_PROXY.
    """
    timeouts = config.defaults.timeouts
    members = configured(config) if members is None else members
    return orjson.dumps(
        {
            "providers": [
                _provider(name, provider, members[name], environ, config.max_in_flight)
                for name, provider in config.providers.items()
            ],
            "models": [_model(config, name) for name in config.models],
            "definitions": [[name, str(text)] for name, text in config.let.items()],
            "rules": [_rule(rule) for rule in config.rules],
            "teams": [
                {"name": name, "models": team.models, "aliases": team.aliases, "limits": _limits(team.limits)}
                for name, team in config.teams.items()
            ],
            "virtual_keys": [
                {"name": name, "team": key.team, "hash": str(key.hash), "limits": _limits(key.limits)}
                for name, key in config.virtual_keys.items()
            ],
            "defaults": {
                "attempts": config.defaults.attempts,
                "reserve_output": config.defaults.reserve_output,
                "connect_ms": timeouts.connect,
                "first_byte_ms": timeouts.first_byte,
                "gap_ms": timeouts.gap,
                "total_ms": timeouts.total,
                "body_ms": timeouts.body,
            },
            "trusted_proxies": config.trusted_proxies,
            "max_body": config.max_body,
            "max_reply": config.max_reply,
            "max_stream": config.max_stream,
            "max_in_flight": config.max_in_flight,
            "cache": _cache(config, environ) if has_cache(config) else None,
        }
    )


def with_names_as_keys(config: Config) -> Config:
    """The configuration with virtual keys whose credentials are their names, because theirs are nowhere written."""
    keys = {
        name: replace(key, hash=KeyHash(sha256(name.encode()).hexdigest())) for name, key in config.virtual_keys.items()
    }
    return replace(config, virtual_keys=keys)


def _provider(
    name: str, provider: Provider, members: Sequence[Member], environ: Mapping[str, str], max_in_flight: int
) -> dict[str, object]:
    return {
        "name": name,
        "dialect": dialect_of(name, provider),
        "replicas": [
            {
                "url": each.url,
                "proxy": _proxy(provider, each.url, environ),
                "weight": each.weight,
                "address": each.address,
            }
            for each in members
        ],
        "credentials": [each.reveal() for each in credentials_of(provider)],
        "headers": [[header.lower(), value.reveal()] for header, value in provider.headers.items()],
        "ca": provider.ca_file.pem if provider.ca_file else None,
        "max_connections": provider.max_connections or max_in_flight,
        "engine": provider.engine,
        "prompt_cache": _prompt_cache(name, provider),
    }


def _prompt_cache(name: str, provider: Provider) -> dict[str, int | None] | None:
    cache = prompt_cache_of(name, provider)
    if cache is None:
        return None
    lifetime = None if cache.lifetime is None else cache.lifetime // 1000
    return {"lifetime_s": lifetime, "least_tokens": cache.minimum or 0}


def _proxy(provider: Provider, url: Url, environ: Mapping[str, str]) -> str | None:
    if provider.proxy is not None:
        return provider.proxy.reveal() if url.startswith("https:") else None
    found = proxy_for(url, environ)
    return found.reveal() if found else None


def _model(config: Config, name: str) -> dict[str, object]:
    model = interpret(config.models[name], config.providers)
    return {
        "name": name,
        "alias": model.alias,
        "targets": [
            {
                "provider": target.provider,
                "model": target.model,
                "weight": target.weight,
                "price": _price(config, target),
                "connect_ms": target.timeouts.connect,
                "first_byte_ms": target.timeouts.first_byte,
                "gap_ms": target.timeouts.gap,
            }
            for target in model.targets
        ],
        "strategy": _strategy(model.strategy),
        "fallbacks": model.fallbacks,
        "cache": _model_cache(config.models[name]),
        **_helpers(config.models[name]),
    }


def _cache(config: Config, environ: Mapping[str, str]) -> dict[str, object]:
    cache = config.cache
    return {
        "path": cache_path(config, environ),
        "bytes": cache.size,
        "memory": cache.memory,
        "entries": cache.entries,
        "redis": cache.redis.reveal() if cache.redis else None,
    }


def _model_cache(value: str | Pool) -> dict[str, object] | None:
    cache = None if isinstance(value, str) else value.cache
    return cache and _written(cache)


def _helpers(value: str | Pool) -> dict[str, object]:
    cache = None if isinstance(value, str) else value.cache
    named = {} if cache is None else helpers(cache)
    targets = {setting: {"provider": each.provider, "model": each.model} for setting, each in named.items()}
    wait = (cache and cache.embedder and cache.embedder.wait) or 0
    embedder = {"target": targets["embedder"], "wait_ms": wait} if "embedder" in targets else None
    return {"embedder": embedder, "judge": targets.get("judge")}


def _written(cache: ModelCache) -> dict[str, object]:
    return {
        "mode": cache.mode,
        "ttl_ms": cache.ttl,
        "scope": cache.scope,
        "serve": cache.serve,
        "threshold_permille": round(cache.threshold * 1000),
        "share": cache.share,
        "replay": cache.replay,
        "max_temperature_permille": round(cache.max_temperature * 1000),
        "turns": cache.turns,
        "count_tokens": cache.count_tokens,
    }


def _rule_cache(cache: RuleCache | None) -> dict[str, object] | None:
    return None if cache is None else {"mode": cache.mode, "ttl_ms": cache.ttl}


def _strategy(strategy: Strategy) -> dict[str, object]:
    return {
        "name": strategy.name,
        "key": strategy.key or DEFAULT_KEYS.get(strategy.name, []),
        "load_factor_percent": round(strategy.load_factor * 100),
        "cache_salt": strategy.cache_salt,
        "index_bytes": strategy.index,
        "second_price": strategy.second_price,
    }


def _price(config: Config, target: Target) -> dict[str, float] | None:
    price = price_of(config, target)
    if price is None:
        return None
    cached = price.input if price.cached_input is None else price.cached_input
    return {"input": price.input, "cached_input": cached, "output": price.output}


def _rule(rule: Rule) -> dict[str, object]:
    reject = Rejection(rule.reject) if isinstance(rule.reject, str) else rule.reject
    pin = split_target(rule.pin) if rule.pin is not None else None
    fallbacks = {"models": fallbacks_of(rule), "add": isinstance(rule.fallbacks, AddedFallbacks)}
    settings, removals = rule.set or Settings(), rule.remove or Removals()
    headers = [[name.lower(), value.reveal()] for name, value in settings.headers.items()]
    return {
        "name": rule.name,
        "virtual_key": rule.virtual_key,
        "team": rule.team,
        "priority": rule.priority,
        "when": str(rule.when),
        "on_error": rule.on_error,
        "models": [{"model": name, "weight": weight} for name, weight in models_of(rule).items()],
        "sticky": rule.sticky,
        "pin": {"provider": pin.provider, "model": pin.model} if pin else None,
        "body": [*([name, str(value)] for name, value in settings.body.items()), *([n, None] for n in removals.body)],
        "headers": [*headers, *([name.lower(), None] for name in removals.headers)],
        "tag": rule.tag,
        "fallbacks": fallbacks if rule.fallbacks is not None else None,
        "reject": {"status": reject.status, "message": reject.message} if reject else None,
        "continue": rule.continues,
        "cache": _rule_cache(rule.cache),
    }


def _limits(limits: Limits) -> dict[str, int | None]:
    return {
        "requests_per_minute": limits.requests_per_minute,
        "tokens_per_minute": limits.tokens_per_minute,
        "concurrency": limits.concurrency,
    }
