"""The server process: granian with its workers, started by the supervisor as `python -m edgeroute.server`.

Its settings come in one environment variable, and what every worker needs in two more. Each process here ends
with its parent: granian with the supervisor, a worker with granian.
"""

import asyncio
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
_STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
_SETTLED_SECONDS = 0.5
"""From the first turn of a worker's loop until it surely serves."""


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
    end_with_parent(server, signal.SIGHUP)
    from edgeroute.app import app  # noqa: PLC0415 (granian's own process never loads it)

    loop = asyncio.get_event_loop()
    loop.call_soon(lambda: loop.call_later(_SETTLED_SECONDS, _release_signals))
    return app


def hold_signals_of_new_workers() -> None:
    """Let the kernel keep what stops a worker until the worker's loop can hear it.

    A forked worker has granian's own handlers at first, which swallow signals; later uvloop, when it does not run
    (between the lifespan and serving), hears them only with the next one. Either way a stop would be lost.
    """
    os.register_at_fork(before=_hold_signals, after_in_parent=_release_signals, after_in_child=_reset_signals)


def _hold_signals() -> None:
    signal.pthread_sigmask(signal.SIG_BLOCK, _STOP_SIGNALS)


def _release_signals() -> None:
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _STOP_SIGNALS)


def _reset_signals() -> None:
    signal.signal(signal.SIGHUP, _stop_once)


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
    hold_signals_of_new_workers()
    serve(settings, "json" if os.environ[LOG] == "json" else "text")


if __name__ == "__main__":
    main()
