"""The server process: granian with its workers, started by the supervisor as `python -m edgeroute.server`.

Its settings come in one environment variable, and what every worker needs in two more. Each process here ends
with its parent: granian with the supervisor, a worker with granian.
"""

import asyncio
import ctypes
import gc
import logging
import os
import resource
import signal
import sys
from collections.abc import Callable
from functools import partial
from multiprocessing import Process
from pathlib import Path
from typing import Any, Literal, cast

import msgspec
from granian.constants import HTTPModes, Interfaces, Loops, SSLProtocols
from granian.http import HTTP2Settings
from granian.log import LogLevels
from granian.server import Server
from granian.server.mp import WorkerProcess

from edgeroute.supervisor.handover import LOG, RUN_DIR, SERVER, ServerSettings, tls_file
from edgeroute.telemetry import log_config

_log = logging.getLogger("edgeroute")
_PR_SET_PDEATHSIG = 1
_STOP_SIGNALS = {signal.SIGTERM, signal.SIGINT}
_SETTLED_SECONDS = 0.5
"""From the first turn of a worker's loop until it surely serves."""
_HEAR_SECONDS = 0.1
_COLLECT_SECONDS = 600.0
"""Between two searches of a worker for garbage among objects that have lived long."""
_LAST_WORDS_SECONDS = 3
"""For a worker that has ended its requests to send their last bytes and to write its log."""


def end_with_parent(parent: int) -> None:
    """Get SIGTERM when the parent process dies (on Linux); exit now if it is dead already.

    The kernel ties this to the parent's *threads*: start children from the main thread, and expect the signal
    more than once when a parent with several threads is killed.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != parent:
        os._exit(1)


def run_in_batches() -> None:
    """Have the threads of this worker, which take turns, not interrupt each other (on Linux, sched(7): SCHED_BATCH).

    NOTE: granian's threads and the event loop hand over one request at a time where the one that is woken interrupts
    the one that wakes it, and as many as are ready where it waits for its turn. With 32 connections that is 45 instead
    of 63 µs per request on one core, 54 instead of 65 on two; at one connection it makes no difference.
    """
    if sys.platform == "linux":
        try:
            os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))  # threads that are started inherit it
        except OSError as error:
            _log.warning("worker %d runs without SCHED_BATCH, which costs CPU under load: %s", os.getpid(), error)


def collect_seldom(loop: asyncio.AbstractEventLoop) -> None:
    """Have Python search what lives long for cyclic garbage every ten minutes, not whenever much has been made.

    NOTE: it looks at every object: with 8,000 open streams up to 112 ms in which none goes on, some ten times while
    they begin; nor was there ever garbage, as requests make no cycles. What is young is searched as always. What
    exists when this is called, the program itself, is never looked at again.
    """
    gc.collect()
    gc.freeze()
    young, older, _ = gc.get_threshold()
    gc.set_threshold(young, older, 2**31 - 1)

    def collect() -> None:
        gc.collect()
        loop.call_later(_COLLECT_SECONDS, collect)

    loop.call_later(_COLLECT_SECONDS, collect)


def load_app(server: int, drain: int) -> Any:
    """What granian calls first in a new worker, a child of the process `server`; gives the application.

    `drain` is how many seconds open responses may take after SIGTERM.
    """
    end_with_parent(server)
    run_in_batches()
    # Granian's own process never loads these.
    from edgeroute.app import App  # noqa: PLC0415
    from edgeroute.worker import Worker  # noqa: PLC0415

    app = App(partial(Worker.supervised, run_directory=Path(os.environ[RUN_DIR]), json_log=os.environ[LOG] == "json"))
    loop = asyncio.get_event_loop()

    def heard() -> None:
        loop.call_later(drain, app.end_requests)

    loop.call_soon(loop.call_later, _SETTLED_SECONDS, partial(_hear_stop, loop, heard))
    loop.call_later(_SETTLED_SECONDS, collect_seldom, loop)
    return app


def hold_stop_signals_of_workers() -> None:
    """Have workers start with the signals that stop them blocked: `_hear_stop` hands them on, once.

    Unblocked they are lost while a forked worker still has granian's own handlers, and while uvloop does not run
    (between lifespan and serving); and a second one, as from systemd that signals every process, deadlocks granian.
    """
    os.register_at_fork(before=_block_stop_signals, after_in_parent=_unblock_stop_signals)


def _block_stop_signals() -> None:
    signal.pthread_sigmask(signal.SIG_BLOCK, _STOP_SIGNALS)


def _unblock_stop_signals() -> None:
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _STOP_SIGNALS)


def _hear_stop(loop: asyncio.AbstractEventLoop, heard: Callable[[], None]) -> None:
    """Look for a signal to stop, from time to time; give the first one to granian, and leave any other blocked."""
    pending = signal.sigpending()
    if not pending & _STOP_SIGNALS:
        loop.call_later(_HEAR_SECONDS, _hear_stop, loop, heard)
        return
    heard()
    if signal.SIGTERM not in pending:
        signal.raise_signal(signal.SIGTERM)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})


def serve(settings: ServerSettings, log: Literal["text", "json"], tls: Path | None) -> None:
    """Run granian until SIGTERM or SIGINT, or until its workers keep crashing (exit status 1).

    On SIGHUP it replaces its workers one after the other, each of which reads the file `tls` anew.
    """
    Server(
        "edgeroute.app",  # only a name: load_app makes the application
        address=settings.host,
        port=settings.port,
        interface=Interfaces(settings.interface),
        workers=settings.workers,
        loop=Loops.uvloop,  # the fastest of granian's loops for streams
        runtime_threads=1,  # Rust threads for client sockets; a second one gained nothing measurable
        http=HTTPModes.auto,  # HTTP/1.1, and HTTP/2 for those who ask; telling them apart is free
        http2_settings=HTTP2Settings(max_headers_size=64 * 1024),  # granian's 16 MiB is an invitation
        ssl_cert=tls,
        ssl_key=tls,
        ssl_protocol_min=SSLProtocols.tls12,
        websockets=False,  # nothing here speaks them: an upgrade is an ordinary, refused request
        backlog=4096,  # bursts of connections wait in the kernel instead of being refused
        backpressure=settings.max_connections,  # per worker; idle connections count
        respawn_failed_workers=True,  # a crash costs its own requests only
        workers_kill_timeout=settings.drain + _LAST_WORDS_SECONDS,  # what ends itself after `drain` needs no more
        log_level=LogLevels.warning,  # granian's start and stop are told by the supervisor
        log_dictconfig=log_config(log),
        log_access=False,  # requests are logged by the application, with what matters about them
    ).serve(target_loader=partial(load_app, os.getpid(), settings.drain), wrap_loader=False)


def see_ends_of_workers() -> None:
    """Keep granian from "killing" workers that have ended: on a busy machine it took one in nine for alive.

    A thread of its own waits for each worker, and for a moment only that thread knows.
    """

    def is_alive(self: WorkerProcess) -> bool:
        process = cast(Process, self.inner)  # pyright: ignore[reportUnknownMemberType, reportAttributeAccessIssue]
        try:
            os.kill(cast(int, process.pid), 0)
        except ProcessLookupError:
            return False
        return process.is_alive()

    WorkerProcess.is_alive = is_alive


def raise_descriptor_limit() -> None:
    """Allow as many open sockets as the system lets us: each client connection may need one more to a provider."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def main() -> None:
    """Read the settings that the supervisor left in the environment, and serve."""
    settings = msgspec.json.decode(os.environ[SERVER], type=ServerSettings)
    end_with_parent(settings.supervisor)
    hold_stop_signals_of_workers()
    see_ends_of_workers()
    raise_descriptor_limit()
    tls = tls_file(Path(os.environ[RUN_DIR])) if settings.tls else None
    serve(settings, "json" if os.environ[LOG] == "json" else "text", tls)


if __name__ == "__main__":
    main()
