"""What a newcomer reads once the router is ready."""

from edgeroute.config import Config
from edgeroute.config.values import KeyHash
from edgeroute.config.virtual_key import hash_key
from edgeroute.supervisor.addresses import reachable_host

DEMO_KEY = "sk-edgeroute-demo"
"""The key of `config/quickstart.yaml`, known to everybody."""

_SHOWN = 8


def banner(config: Config) -> str:
    """Where the router is, what it routes, how to try it, and the one thing that surprises."""
    url = base_url(config)
    lines = [
        f"edgeroute is ready: {url}",
        f"  models   {_listed(list(config.models))}",
        f"  rules    {_listed([each.name for each in config.rules])}",
        f"  keys     {_listed(list(config.virtual_keys))}",
        f"  admin    http://{config.admin}  (/healthz /readyz /metrics /status)",
        "  limits are per host",
    ]
    demo = KeyHash.parse(hash_key(DEMO_KEY))
    if any(key.hash == demo for key in config.virtual_keys.values()):
        model = next((name for name in config.models if not name.endswith("*")), "gpt-5-mini")
        lines += [
            "",
            f"Try it with the demo key {DEMO_KEY}, which everybody knows:",
            f"  curl {url}/v1/chat/completions -H 'authorization: Bearer {DEMO_KEY}' \\",
            "    -H 'content-type: application/json' \\",
            f"""    -d '{{"model": "{model}", "messages": [{{"role": "user", "content": "Hello"}}]}}'""",
        ]
    return "\n".join(lines)


def base_url(config: Config) -> str:
    """The URL by which clients on this machine reach the router."""
    host = reachable_host(config.listen.host)
    scheme = "http" if config.tls is None else "https"
    return f"{scheme}://{f'[{host}]' if ':' in host else host}:{config.listen.port}"


def _listed(names: list[str]) -> str:
    more = f", … ({len(names)} in all)" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more if names else "none"
