"""Edgeroute as an application under a server of your own."""

import asyncio
import logging
import os

from edgeroute._native import Cells, Snapshot
from edgeroute.app import App
from edgeroute.config import Config
from edgeroute.config.normalise import normalise
from edgeroute.worker import Worker

_log = logging.getLogger("edgeroute")


def create_app(config: Config) -> App:
    """The ASGI application of a configuration, for uvicorn, hypercorn, granian and the like.

    It needs ASGI lifespan (or RSGI init), also where it is mounted below a path (`root_path`) of another application;
    websockets are refused. Each process that runs it has limits, health and metrics of its own; nothing
    is reloaded, and there is no admin listener: `edgeroute run` has all of that. Request lines go to standard output.
    Raises ValueError when the configuration cannot be used, and TypeError for anything else.
    """
    if not isinstance(config, Config):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise TypeError(f"create_app takes a Config, as Config.load(path) gives it, not {type(config).__name__}")
    normalised = normalise(config, os.environ)
    Snapshot.compile(normalised, Cells.anonymous(), 0)

    def open_worker(loop: asyncio.AbstractEventLoop) -> Worker:
        _log.warning(
            "embedded: limits, health and metrics are of this process alone; there is no reload and no admin listener, "
            "and the settings of the server (listen, admin, workers, …) are not used"
        )
        cells = Cells.anonymous()
        cells.publish(1)
        return Worker(loop, cells, lambda _: normalised, json_log=config.log == "json")

    return App(open_worker)
