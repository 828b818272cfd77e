"""The configuration file: its schema, reading it with positions, and what to say when it is wrong."""

from edgeroute.config.diagnostics import ConfigError, Diagnostic, render
from edgeroute.config.from_environment import configuration_from
from edgeroute.config.loading import Loaded, load, load_environment
from edgeroute.config.schema import Config
from edgeroute.config.values import Address, Secret

__all__ = [
    "Address",
    "Config",
    "ConfigError",
    "Diagnostic",
    "Loaded",
    "Secret",
    "configuration_from",
    "load",
    "load_environment",
    "render",
]
