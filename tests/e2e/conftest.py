"""Routers for the end-to-end tests: real granian, real sockets, the embedded mock as the only provider."""

from collections.abc import Callable, Iterator

import pytest
from e2e_config import FACES, full_config
from e2e_router import Config, Router


@pytest.fixture(scope="session", params=[(face, 2) for face in FACES], ids=lambda param: f"{param[0]}-{param[1]}")
def router(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Router]:
    """A router with everything in its configuration, on each face, with two workers."""
    started = Router(tmp_path_factory.mktemp("router"), full_config(*request.param))
    try:
        yield started.ready()
    finally:
        started.close()


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[Config], Router]]:
    """Starts routers with configurations of their own; they end with the module."""
    started: list[Router] = []

    def start(config: Config) -> Router:
        started.append(Router(tmp_path_factory.mktemp("router"), config))
        return started[-1].ready()

    yield start
    for each in started:
        each.stop()
    for each in started:
        each.close()


@pytest.fixture(scope="module", params=FACES)
def face(request: pytest.FixtureRequest) -> str:
    """How granian calls the application."""
    return request.param
