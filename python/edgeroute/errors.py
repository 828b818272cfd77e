"""What edgeroute raises to those who embed or start it.

    EdgerouteError
    ├── ConfigError   the configuration is invalid; carries every diagnostic (edgeroute.config)
    ├── RuleError     rules are wrong, or an expression has no value; carries every diagnostic (edgeroute.rules)
    └── StartError    a router or mock provider cannot start: an address in use, a directory not to be had

Answers to clients are no exceptions: they are refusals, decided in Rust and written by `edgeroute.dialects`.
"""


class EdgerouteError(Exception):
    """Base of everything below; its text is a sentence for people."""


class StartError(EdgerouteError):
    """Something that was to be started cannot be."""
