"""Routers for the tests of this folder."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from router_process import Router


@pytest.fixture
def make_router(tmp_path: Path) -> Iterator[Callable[..., Router]]:
    """Makes routers that are not started yet, each with settings of its own; all are ended after the test."""
    made: list[Router] = []

    def make(**settings: str | int) -> Router:
        folder = tmp_path / f"router{len(made)}"
        folder.mkdir()
        made.append(Router(folder, **settings))
        return made[-1]

    yield make
    for each in made:
        each.close()


@pytest.fixture
def router(make_router: Callable[..., Router]) -> Router:
    """A router that is ready."""
    return make_router().start().ready()
