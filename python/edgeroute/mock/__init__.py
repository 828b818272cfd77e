"""Embedded mock provider: OpenAI and Anthropic over real HTTP, with faults on demand.

Start it with ``edgeroute mock`` or ``python -m edgeroute.mock``, with :func:`serve` (blocking) or inside a running
loop with :func:`start`. Its manual is docs/reference/mock.md. What it received is told by ``GET /mock/requests`` and
``GET /mock/stats``; ``POST /mock/reset`` forgets it.
"""

from edgeroute.config.distributions import Distribution
from edgeroute.mock.server import MockServer, serve, start
from edgeroute.mock.settings import MockSettings

__all__ = ["Distribution", "MockServer", "MockSettings", "serve", "start"]
