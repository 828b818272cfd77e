"""The configuration file: its schema, reading it with positions, and what to say when it is wrong."""

from edgeroute.config.diagnostics import ConfigError, Diagnostic, render
from edgeroute.config.loading import Loaded, load
from edgeroute.config.schema import Config
from edgeroute.config.values import Address, Secret

__all__ = ["Address", "Config", "ConfigError", "Diagnostic", "Loaded", "Secret", "load", "render"]
