"""The configuration in the form that workers compile: compact JSON with nothing left to look up.

The contract with `rust/router`: every key is always present, and what is not set is null. It holds provider
credentials, so it stays in memory and never reaches a log.
"""

import re
from collections.abc import Mapping
from urllib.parse import urlsplit

import orjson

from edgeroute.config.models import (
    Target,
    credentials_of,
    dialect_of,
    fallbacks_of,
    interpret,
    models_of,
    price_of,
    prompt_cache_of,
    replicas_of,
    split_target,
)
from edgeroute.config.placement import DEFAULT_KEYS
from edgeroute.config.proxies import proxy_for
from edgeroute.config.schema import (
    AddedFallbacks,
    Config,
    Limits,
    Provider,
    Rejection,
    Removals,
    Replica,
    Rule,
    Settings,
    Strategy,
)
from edgeroute.config.values import Url

_VERSION = re.compile(r"v[0-9]+[a-z0-9]*")


def normalise(config: Config, environ: Mapping[str, str]) -> bytes:
    """A checked configuration as JSON bytes; the same configuration and environment give the same bytes.

    Of the environment only the proxies are read: HTTPS_PROXY, NO_PROXY. Raises Malformed about HTTPS_PROXY.
    """
    timeouts = config.defaults.timeouts
    return orjson.dumps(
        {
            "providers": [
                _provider(name, provider, environ, config.max_in_flight) for name, provider in config.providers.items()
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
        }
    )


def normalise_replica(
    name: str, provider: Provider, replica: Replica, environ: Mapping[str, str], address: str | None = None
) -> dict[str, object]:
    """A replica of a provider as workers get it; connections go to `address`, if it was discovered."""
    versioned = dialect_of(name, provider) == "anthropic-messages"
    return {
        "url": _versioned(replica.url) if versioned else replica.url,
        "proxy": _proxy(provider, replica.url, environ),
        "weight": 0 if replica.drain else replica.weight,
        "address": address,
    }


def _provider(name: str, provider: Provider, environ: Mapping[str, str], max_in_flight: int) -> dict[str, object]:
    return {
        "name": name,
        "dialect": dialect_of(name, provider),
        "replicas": [normalise_replica(name, provider, each, environ) for each in replicas_of(name, provider)],
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


def _versioned(url: str) -> str:
    """With `/v1` where the URL ends in no version, as Anthropic's SDKs take base URLs without it."""
    return url if _VERSION.fullmatch(urlsplit(url).path.rpartition("/")[2]) else f"{url}/v1"


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
    }


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
    }


def _limits(limits: Limits) -> dict[str, int | None]:
    return {
        "requests_per_minute": limits.requests_per_minute,
        "tokens_per_minute": limits.tokens_per_minute,
        "concurrency": limits.concurrency,
    }
