"""Embedded mock provider: OpenAI and Anthropic over real HTTP, with faults on demand.

Start it with ``python -m edgeroute.mock``, with :func:`serve` (blocking) or inside a running loop with
:func:`start`. ``faults.py`` lists the faults a request may ask for; docs/reference/mock.md is the manual. What it received is told by
``GET /mock/requests`` and ``GET /mock/stats``; ``POST /mock/reset`` forgets it.
"""

from edgeroute.config.distributions import Distribution
from edgeroute.mock.server import MockServer, serve, start
from edgeroute.mock.settings import MockSettings

__all__ = ["Distribution", "MockServer", "MockSettings", "serve", "start"]
