"""How the mock provider behaves when a request asks for nothing special."""

import msgspec

from edgeroute.config.distributions import Distribution


class MockSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Settings of one mock provider; a value that makes no sense raises ``ValueError``."""

    listen: str = "127.0.0.1:4010"
    """``host:port``; port 0 takes a free one."""
    first_token: Distribution = Distribution.parse("20ms")
    """From the complete request to the first token."""
    token_interval: Distribution = Distribution.parse("5ms")
    """Between tokens; a reply that is not streamed takes as long as its stream would."""
    seed: int = 1
    """Same seed and same request: same reply, and the same times drawn for it."""
    models: tuple[str, ...] = ("gpt-5-mini", "gpt-5.5", "text-embedding-3-small", "claude-opus-4-8")
    """What ``GET /v1/models`` lists; requests may name any model."""
    parent: int | None = None
    """Process id of the parent. With it, the mock ends when that parent has died and ignores SIGINT, so
    that Ctrl-C lets the router finish its streams first."""

    def __post_init__(self) -> None:
        self.address()

    def address(self) -> tuple[str, int]:
        """Host and port of ``listen``; an IPv6 host stands in brackets there and without them here."""
        host, colon, port = self.listen.rpartition(":")
        if not (colon and host and port.isascii() and port.isdigit() and int(port) <= 65535):
            raise ValueError(f"listen must be host:port, such as 127.0.0.1:4010, not {self.listen!r}")
        return host.removeprefix("[").removesuffix("]"), int(port)
