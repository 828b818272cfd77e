"""A configuration made from nothing but the environment: the providers whose keys are there, under usual names."""

from collections.abc import Mapping

from edgeroute.config.diagnostics import ConfigError, Diagnostic
from edgeroute.config.overrides import KEY_VARIABLE
from edgeroute.config.values import Malformed, Secret
from edgeroute.config.virtual_key import hash_key
from edgeroute.providers import CATALOGUE

ENVIRONMENT = "the environment"
"""How diagnostics call a configuration that was made here."""

_HEAD = """\
# Made from the variables of the environment. Save it as edgeroute.yaml, and go on from there.
"""
_BEST_KNOWN = ("openai", "anthropic", "openrouter")


def configuration_from(environ: Mapping[str, str]) -> str:
    """The configuration file that the environment amounts to, without a secret in it; the same each time.

    Raises ConfigError when no provider's key is there, or `EDGEROUTE_KEY`, the virtual key, cannot be one.
    """
    found = [name for name, known in CATALOGUE.items() if environ.get(known.key_variable)]
    if not found:
        raise _refusal(
            "there is no edgeroute.yaml here, and no key of a provider in the environment",
            "name a file with -c FILE, or set OPENAI_API_KEY, ANTHROPIC_API_KEY or the like; "
            "the source tree has config/quickstart.yaml to try",
        )
    lines = ["providers:"]
    lines += [f'  {name}: {{api_key: "${{{CATALOGUE[name].key_variable}}}"}}' for name in found]
    lines += ["models:"]
    lines += [f"  {name}/*: {name}/*" for name in found]
    pool = ", ".join(f"{name}/*" for name in _pool(found))
    lines += [f'  "*": {{targets: [{pool}]}}  # any other name: the provider that speaks the caller\'s dialect']
    lines += ["virtual_keys:", f'  default: {{hash: "{_hash(environ)}"}}', ""]
    return _HEAD + "\n".join(lines)


def _pool(found: list[str]) -> list[str]:
    """For each dialect one provider: the best known of those that are there."""
    ranked = sorted(found, key=lambda name: _BEST_KNOWN.index(name) if name in _BEST_KNOWN else len(_BEST_KNOWN))
    pool: dict[str, str] = {}
    for name in ranked:
        pool.setdefault(CATALOGUE[name].dialect, name)
    return list(pool.values())


def _hash(environ: Mapping[str, str]) -> str:
    try:
        key = Secret.parse(environ.get(KEY_VARIABLE, ""))
    except Malformed as problem:
        advice = "give it the virtual key that clients are to send"
        raise _refusal(f"{KEY_VARIABLE}: {problem.message}", advice) from None
    return hash_key(key.reveal())


def _refusal(message: str, advice: str) -> ConfigError:
    return ConfigError([Diagnostic.about(ENVIRONMENT, "error", message, advice)])
