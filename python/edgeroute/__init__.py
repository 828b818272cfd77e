"""edgeroute: an LLM edge router. What is imported loads when it is first used."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from edgeroute.cache import SemanticCache
    from edgeroute.config import Config, ConfigError
    from edgeroute.embedding import create_app
    from edgeroute.errors import EdgerouteError
    from edgeroute.placement import AffinityIndex, Ring
    from edgeroute.rules import Expression, RuleError, RuleSet

__all__ = [
    "AffinityIndex",
    "Config",
    "ConfigError",
    "EdgerouteError",
    "Expression",
    "Ring",
    "RuleError",
    "RuleSet",
    "SemanticCache",
    "__version__",
    "create_app",
]

__version__ = "0.1.0"

_HOME = {
    "AffinityIndex": "edgeroute.placement",
    "Config": "edgeroute.config",
    "ConfigError": "edgeroute.config",
    "EdgerouteError": "edgeroute.errors",
    "Expression": "edgeroute.rules",
    "Ring": "edgeroute.placement",
    "RuleError": "edgeroute.rules",
    "RuleSet": "edgeroute.rules",
    "SemanticCache": "edgeroute.cache",
    "create_app": "edgeroute.embedding",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'edgeroute' has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return __all__
