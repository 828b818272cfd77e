"""Routers for the commands that ask one."""

from collections.abc import Iterator

import pytest
from router_answers import RouterAdmin


@pytest.fixture
def router() -> Iterator[RouterAdmin]:
    """A router that is ready and needs no key."""
    with RouterAdmin() as found:
        yield found
