"""The configuration in the form that workers compile: compact JSON with nothing left to look up.

The contract with `rust/router`: every key is always present, and what is not set is null. It holds provider
credentials, so it stays in memory and never reaches a log.
"""

import re
from urllib.parse import urlsplit

import orjson

from edgeroute.config.models import interpret
from edgeroute.config.schema import Config, Limits, Provider, Rejection, Rule
from edgeroute.providers import CATALOGUE

_VERSION = re.compile(r"v[0-9]+[a-z0-9]*")


def normalise(config: Config) -> bytes:
    """A checked configuration as JSON bytes; the same configuration gives the same bytes."""
    timeouts = config.defaults.timeouts
    return orjson.dumps(
        {
            "providers": [_provider(name, provider) for name, provider in config.providers.items()],
            "models": [_model(config, name) for name in config.models],
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
            },
            "trusted_proxies": [],
            "max_body": config.max_body,
            "max_stream": config.max_stream,
        }
    )


def _provider(name: str, provider: Provider) -> dict[str, object]:
    known = CATALOGUE.get(name)
    dialect = provider.dialect or (known.dialect if known else None)
    urls: list[str] = [str(url) for url in provider.urls or ([provider.url] if provider.url else [])]
    if not urls and known:
        urls = [known.url]
    return {
        "name": name,
        "dialect": dialect,
        "replicas": [
            {"url": _versioned(url) if dialect == "anthropic-messages" else url, "proxy": None} for url in urls
        ],
        "credentials": [provider.api_key.reveal()] if provider.api_key else [],
        "headers": [],
        "ca": None,
    }


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
                "connect_ms": None,
                "first_byte_ms": None,
                "gap_ms": None,
            }
            for target in model.targets
        ],
        "weighted": model.weighted,
        "fallbacks": model.fallbacks,
    }


def _rule(rule: Rule) -> dict[str, object]:
    reject = Rejection(rule.reject) if isinstance(rule.reject, str) else rule.reject
    return {
        "name": rule.name,
        "when": str(rule.when),
        "model": rule.model,
        "reject": {"status": reject.status, "message": reject.message} if reject else None,
    }


def _limits(limits: Limits) -> dict[str, int | None]:
    return {
        "requests_per_minute": limits.requests_per_minute,
        "tokens_per_minute": limits.tokens_per_minute,
        "concurrency": limits.concurrency,
    }
