"""The server process: granian with its workers, started by the supervisor as `python -m edgeroute.server`.

Its settings come in one environment variable, and what every worker needs in two more. Each process here ends
with its parent: granian with the supervisor, a worker with granian.
"""

import ctypes
import os
import signal
import sys
from functools import partial
from typing import Any, Literal

import msgspec
from granian.constants import HTTPModes, Interfaces, Loops
from granian.http import HTTP2Settings
from granian.log import LogLevels
from granian.server import Server

from edgeroute.supervisor.handover import LOG, RUN_DIR, SERVER, ServerSettings
from edgeroute.telemetry import log_config

__all__ = ["LOG", "RUN_DIR", "main"]

_PR_SET_PDEATHSIG = 1


def end_with_parent(parent: int, number: signal.Signals) -> None:
    """Get the signal when the parent process dies (on Linux); exit now if it is dead already.

    The kernel ties this to the parent's *threads*: start children from the main thread, and expect the signal
    more than once when a parent with several threads is killed.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, number)
    if os.getppid() != parent:
        os._exit(1)


def load_app(server: int) -> Any:
    """What granian calls first in a new worker, a child of the process `server`; gives the application."""
    # A forked worker inherits granian's own handlers, which would swallow a stop while the worker starts.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGHUP, _stop_once)
    end_with_parent(server, signal.SIGHUP)
    from edgeroute.app import app  # noqa: PLC0415 (granian's own process never loads it)

    return app


def _stop_once(number: int, _frame: object) -> None:
    """Turn any number of SIGHUP into one SIGTERM: a third SIGTERM cuts streams and wedges granian's worker."""
    signal.signal(number, signal.SIG_IGN)
    os.kill(os.getpid(), signal.SIGTERM)


def serve(settings: ServerSettings, log: Literal["text", "json"]) -> None:
    """Run granian until SIGTERM or SIGINT, or until its workers keep crashing (exit status 1)."""
    Server(
        "edgeroute.app:app",
        address=settings.host,
        port=settings.port,
        interface=Interfaces(settings.interface),
        workers=settings.workers,
        loop=Loops.uvloop,  # the fastest of granian's loops for streams
        runtime_threads=1,  # Rust threads for client sockets; a second one gained nothing measurable
        http=HTTPModes.auto,  # HTTP/1.1, and HTTP/2 for those who ask; telling them apart is free
        http2_settings=HTTP2Settings(max_headers_size=64 * 1024),  # granian's 16 MiB is an invitation
        websockets=False,  # nothing here speaks them: an upgrade is an ordinary, refused request
        backlog=4096,  # bursts of connections wait in the kernel instead of being refused
        backpressure=settings.max_connections,  # per worker; idle connections count
        respawn_failed_workers=True,  # a crash costs its own requests only
        workers_kill_timeout=max(settings.drain, 1),  # then streams are cut; 0 would mean never
        log_level=LogLevels.warning,  # granian's start and stop are told by the supervisor
        log_dictconfig=log_config(log),
        log_access=False,  # requests are logged by the application, with what matters about them
    ).serve(target_loader=partial(load_app, os.getpid()), wrap_loader=False)


def main() -> None:
    """Read the settings that the supervisor left in the environment, and serve."""
    settings = msgspec.json.decode(os.environ[SERVER], type=ServerSettings)
    end_with_parent(settings.supervisor, signal.SIGTERM)
    serve(settings, "json" if os.environ[LOG] == "json" else "text")


if __name__ == "__main__":
    main()
