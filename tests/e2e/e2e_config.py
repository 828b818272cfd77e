"""The configurations that the end-to-end tests start with."""

from e2e_router import KEY, Config, hashed
from waiting import free_port

FACES = ("asgi", "rsgi")


def basic_config(**changes: object) -> Config:
    """Two providers of OpenAI's dialect and one of Anthropic's, all of them the mock, and one virtual key."""
    config: Config = {
        "workers": 1,
        "interface": "asgi",
        "log": "json",
        "mock": {"first_token": "1ms", "token_interval": "0ms"},
        "providers": {
            "one": {"dialect": "openai-chat", "url": "http://MOCK/v1", "api_key": "${ONE_KEY}"},
            "two": {"dialect": "openai-chat", "url": "http://MOCK/v1", "api_key": "${TWO_KEY}"},
            "claude": {"dialect": "anthropic-messages", "url": "http://MOCK", "api_key": "${CLAUDE_KEY}"},
        },
        "models": {
            "fast": {"targets": ["one/gpt-5-mini", "claude/claude-haiku-4-5"]},
            "smart": {"targets": ["two/gpt-5.5", "claude/claude-opus-4-8"], "fallbacks": ["fast"]},
            "embed": "one/text-embedding-3-small",
            "one/*": "one/*",
            "claude/*": "claude/*",
        },
        "virtual_keys": {"everything": {"hash": hashed(KEY)}},
    }
    return config | changes


def full_config(face: str, workers: int) -> Config:
    """What most tests ask: every way to choose a model, and keys that may not do everything."""
    config = basic_config(workers=workers, interface=face, max_body="64KiB")
    dead = f"127.0.0.1:{free_port()}"
    config["providers"] |= {
        "dead": {"dialect": "openai-chat", "url": f"http://{dead}/v1"},
        "dead-claude": {"dialect": "anthropic-messages", "url": f"http://{dead}"},
    }
    config["models"] |= {
        "gpt-5-mini": "fast",
        "openai-only": "one/gpt-5-mini",
        "anthropic-only": "claude/claude-haiku-4-5",
        "unreachable": {"targets": ["dead/gpt-5.5", "dead-claude/claude-opus-4-8"]},
    }
    config["rules"] = [
        {
            "name": "no-batch",
            "when": 'headers["x-purpose"] == "batch"',
            "reject": "Batch jobs run at night.",
            "on_error": "no_match",
        },
        {
            "name": "teapot",
            "when": 'params["tea"] == "yes"',
            "reject": {"status": 418, "message": "No coffee."},
            "on_error": "no_match",
        },
        {"name": "premium", "when": 'headers["x-tier"] == "premium"', "model": "smart"},
    ]
    config["teams"] = {
        "search": {"models": ["fast", "gpt-5-mini", "openai-only"], "aliases": {"best": "openai-only"}},
    }
    config["virtual_keys"] |= {
        "search-prod": {"hash": hashed("sk-search"), "team": "search"},
        "one-a-minute": {"hash": hashed("sk-slow"), "limits": {"requests_per_minute": 1}},
        "small": {"hash": hashed("sk-small"), "limits": {"tokens_per_minute": 100}},
    }
    return config
