"""How long tokens take: the times of one reply, drawn from the distributions of the settings."""

from collections.abc import Iterator
from random import Random

from edgeroute.mock.settings import MockSettings


def waits(settings: MockSettings, body: bytes) -> Iterator[float]:
    """Seconds to the first token, then between tokens, without end.

    A pure function of settings and body: a request that is repeated byte for byte takes as long again.
    """
    source = Random(b"%d\0%b" % (settings.seed, body))  # noqa: S311 (it is not for secrets)
    yield settings.first_token.draw(source)
    while True:
        yield settings.token_interval.draw(source)
