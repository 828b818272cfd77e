"""`edgeroute run`: start everything in order, keep it running, stop it in order."""

import logging
import math
import os
import queue
import resource
import signal
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Future
from contextlib import ExitStack
from functools import partial
from typing import Any

import msgspec

from edgeroute import __version__
from edgeroute._native import Cells, WorkerStatus
from edgeroute.admin import AdminListener
from edgeroute.config import Config, ConfigError
from edgeroute.config.schema import MOST_WORKERS
from edgeroute.errors import StartError
from edgeroute.replicas.changes import Command
from edgeroute.replicas.discovery import Discovery
from edgeroute.replicas.engines import EngineSignals
from edgeroute.replicas.lookup import find
from edgeroute.replicas.sets import ReplicaSets
from edgeroute.supervisor import handover
from edgeroute.supervisor.addresses import accepts, reserve
from edgeroute.supervisor.banner import banner
from edgeroute.supervisor.caches import Caches, PurgeCommand, Purged
from edgeroute.supervisor.certificate import ServerCertificate
from edgeroute.supervisor.child import Child
from edgeroute.supervisor.cores import usable_cores
from edgeroute.supervisor.generations import Generations, Read, Reloaded, load_watched
from edgeroute.supervisor.notify import notify
from edgeroute.supervisor.run_directory import RunDirectory
from edgeroute.supervisor.signals import Signals
from edgeroute.telemetry import Sample, configure_log, replica_samples, samples

STALE_HEARTBEAT_MS = 10_000

_LOOK_SECONDS = 0.5
_STARTING_SECONDS = 0.01
_KILL_MARGIN_SECONDS = 5.0
_MOCK_STOP_SECONDS = 2.0
_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD)
_log = logging.getLogger("edgeroute")


def run(read: Read, environ: Mapping[str, str]) -> int:
    """Serve until told to stop; the exit status. Raises ConfigError or StartError when it cannot start.

    `read` gives the configuration, each time it is called anew; children get the environment.
    """
    loaded, watch = load_watched(read)
    if isinstance(loaded, ConfigError):
        raise loaded
    configure_log(loaded.config.log)
    for warning in loaded.warnings:
        _log.warning("%s", warning)
    for shortage in shortages(loaded.config, resource.getrlimit(resource.RLIMIT_NOFILE)[1]):
        _log.warning("%s", shortage)
    with ExitStack() as stack:
        signals = stack.enter_context(Signals(_SIGNALS))
        stack.enter_context(reserve(loaded.config.listen, "listen"))
        if loaded.config.mock is not None:
            reserve(loaded.config.mock.listen, "mock.listen").close()
        admin = AdminListener(reserve(loaded.config.admin, "admin"), loaded.config.admin_key)
        stack.callback(admin.close)
        directory = stack.enter_context(RunDirectory.create(environ))
        try:
            cells = Cells.create(str(directory.cells))
            supervisor = Supervisor(signals, loaded.config, directory, cells, environ)
            certificate = ServerCertificate(directory, loaded.config, supervisor.renew_workers)
            replicas = ReplicaSets(environ, Discovery(signals.wake, partial(find, environ=environ)))
            supervisor.generations = Generations(
                read, loaded, watch, directory, certificate, cells, replicas, EngineSignals(cells), supervisor.pause
            )
        except (OSError, ValueError) as error:
            raise StartError(f"cannot start: {error}") from error
        stack.callback(supervisor.kill)
        admin.start(supervisor)
        return supervisor.run()


class Supervisor:
    """Keeps the server and the mock provider running, and answers for them to the admin listener."""

    generations: Generations

    def __init__(
        self,
        signals: Signals,
        config: Config,
        directory: RunDirectory,
        cells: Cells,
        environ: Mapping[str, str],
    ) -> None:
        self._signals = signals
        self._config = config
        self._cells = cells
        self._server = _server(config, directory, environ)
        self._mock = _mock(config, environ)
        self._children = [child for child in (self._mock, self._server) if child is not None]
        self._accepting: frozenset[int] = frozenset()
        """The workers that lived when a connection was last seen to be accepted."""
        self._stopping = False
        self._hurried = False
        self._forced = False
        self._reload_wanted = False
        self._renewal_due = False
        self._requests: queue.SimpleQueue[tuple[Command | None, Future[Reloaded]]] = queue.SimpleQueue()
        self._was_ready = False
        self._caches = Caches(environ)
        self._silent: set[int] = set()
        self._unreachable: set[str] = set()
        self._deaths = 0
        self._trouble: str | None = None

    def run(self) -> int:
        """Start the children, and look after everything until a signal ends it."""
        now = time.monotonic()
        for child in self._children:
            child.start(now)
        next_watch = now
        while not self._stopping:
            self.pause(_LOOK_SECONDS if self._accepts() else _STARTING_SECONDS)
            now = time.monotonic()
            if not self._look_after_children(now):
                return 1
            if now >= next_watch:
                next_watch = now + _LOOK_SECONDS
                self._reload_wanted |= self.generations.changed()
            self._look_after_workers()
            self._do_what_is_wanted()
            self.generations.look(now)
            self._caches.follow(self.generations.config)
            if self._renewal_due and self._accepts():  # earlier, SIGHUP would end it
                self._renewal_due = False
                self._server.hang_up()
        return self._shut_down()

    def pause(self, seconds: float) -> bool:
        """Wait for signals or wake-ups, and note what they ask for; false when we are to stop."""
        for number in self._signals.wait(seconds):
            match number:
                case signal.SIGHUP:
                    self._reload_wanted = True
                case signal.SIGINT | signal.SIGTERM:
                    self._forced |= self._hurried and number == signal.SIGINT
                    self._hurried |= number == signal.SIGINT
                    self._stopping = True
                case _:
                    pass
        return not self._stopping

    def renew_workers(self) -> None:
        """Have the server start its workers anew, one after the other, once it serves; open responses may finish."""
        self._renewal_due = True

    def kill(self) -> None:
        """End all children at once."""
        for child in self._children:
            child.kill()

    # What the admin listener asks, from its threads.

    def unready(self) -> str | None:
        """Why requests should not be sent here now, or None when they should."""
        if self._stopping:
            return "stopping: open responses may finish"
        if not self._accepts():
            return "starting: the server does not accept connections yet"
        return unserved(self._cells.workers(), self.generations.confirmed, _unix_ms())

    def request_reload(self) -> Reloaded:
        """Reload in the main thread, and wait for what becomes of it; TimeoutError when nothing does."""
        return self._request(None)

    def change_replica(self, command: Command) -> Reloaded:
        """The same for a change of a replica."""
        return self._request(command)

    def cache(self) -> dict[str, Any]:
        """The store, how often each model's cache answers, and what it has refused."""
        return self._caches.report(self.generations.config, samples(self._cells.sums()))

    def purge_cache(self, command: PurgeCommand) -> Purged:
        """Remove answers from the cache, and wait until they are gone."""
        return self._caches.purge(command, self.generations.config)

    def replicas(self) -> dict[str, Any]:
        """Every replica, and how they differ from the configuration."""
        return self.generations.listed_replicas(_unix_ms())

    def samples(self) -> list[Sample]:
        """Every metric: what the workers counted, and what is known here."""
        return [
            *samples(self._cells.sums()),
            *samples(self._cells.gauges()),
            ("edgeroute_workers", len(self._live())),
            ("edgeroute_generation", self.generations.number),
            *(
                (f'edgeroute_reloads_total{{result="{each}"}}', n)
                for each, n in sorted(self.generations.results.items())
            ),
            ("edgeroute_worker_deaths_total", self._deaths),
            *replica_samples(self.generations.replicas(_unix_ms())),
            *self._caches.samples(),
            (f'edgeroute_build_info{{version="{__version__}"}}', 1),
        ]

    def status(self) -> dict[str, Any]:
        """The state of the processes, for people and scripts."""
        now_ms = _unix_ms()
        reason = self.unready()
        return {
            "version": __version__,
            "pid": os.getpid(),
            "listen": self._config.listen,
            "admin": self._config.admin,
            "ready": reason is None,
            "reason": reason,
            "generation": self.generations.number,
            "workers": [
                {
                    "pid": each.pid,
                    "generation": each.generation,
                    "heartbeat_age_ms": max(0, now_ms - each.heartbeat_ms),
                }
                for each in self._live()
            ],
            **self.generations.status(now_ms),
            "cache": self._caches.summary(samples(self._cells.sums())),
        }

    def _request(self, command: Command | None) -> Reloaded:
        if self._stopping:
            raise TimeoutError("the router is stopping")
        outcome: Future[Reloaded] = Future()
        self._requests.put((command, outcome))
        self._signals.wake()
        return outcome.result(timeout=30)

    # The rest is the main thread's.

    def _live(self) -> list[WorkerStatus]:
        return [each for each in self._cells.workers() if each.alive]

    def _look_after_children(self, now: float) -> bool:
        """Restart what ended; note when connections are accepted. False when going on is pointless."""
        for child in self._children:
            if child.has_ended() and not self._was_ready:
                _log.error("%s could not start; what it said is above", child.name)
                return False
            if not child.check(now):
                return False
        live = frozenset(each.pid for each in self._live())
        if self._server.pid is None:
            self._accepting = frozenset()
        elif self._accepting != live and self._is_listening():
            self._accepting = live
            if not self._was_ready:
                self._was_ready = True
                self._announce()
                notify("READY=1")
        return True

    def _accepts(self) -> bool:
        """Whether a worker lives that surely accepts connections: one that has just started does not yet."""
        return any(each.pid in self._accepting for each in self._live())

    def _is_listening(self) -> bool:
        """Whether a worker serves, and with the mock provider there to answer."""
        serving = any(each.generation == self.generations.number for each in self._live())
        mock = self._config.mock
        return serving and accepts(self._config.listen) and (mock is None or accepts(mock.listen))

    def _announce(self) -> None:
        if self._config.log == "json":
            _log.info("ready on %s", self._config.listen)
        else:
            print(banner(self._config), flush=True)  # noqa: T201

    def _look_after_workers(self) -> None:
        """Refund what dead workers held; tell of deaths and of silence; drop what is out of date."""
        # A dead worker's row stays until it is reaped here, so no death is missed.
        dead = self._reap()
        self._deaths += len(dead)
        for pid in dead:
            _log.error("worker %d died", pid)
        live = {each.pid: each for each in self._live()}
        silent = {pid for pid, each in live.items() if _unix_ms() - each.heartbeat_ms >= STALE_HEARTBEAT_MS}
        for pid in silent - self._silent:
            _log.error("worker %d has given no sign of life for %d s", pid, STALE_HEARTBEAT_MS // 1000)
        self._silent = silent
        self._look_after_replicas()
        self.generations.forget_old()

    def _look_after_replicas(self) -> None:
        """Tell of replicas that cannot be reached, and of those that can be again."""
        replicas = self.generations.replicas(_unix_ms())
        breakers = {f"{provider} at {url}": breaker for provider, url, breaker in replicas}
        unreachable = {replica for replica, breaker in breakers.items() if breaker != "closed"}
        for replica in sorted(unreachable - self._unreachable):
            _log.warning("%s cannot be reached: it is tried last, until it can be", replica)
        for replica in sorted((self._unreachable - unreachable) & breakers.keys()):
            _log.info("%s can be reached again", replica)
        self._unreachable = unreachable

    def _reap(self) -> list[int]:
        """Reap dead workers; their ids. A failure is logged once; the next look tries again."""
        try:
            dead = self._cells.reap()
        except OSError as error:
            trouble = f"what dead workers held is not given back yet: {error}"
            if trouble != self._trouble:
                _log.error("%s", trouble)
            self._trouble = trouble
            return []
        self._trouble = None
        return dead

    def _do_what_is_wanted(self) -> None:
        waiting: list[Future[Reloaded]] = []
        while not self._requests.empty():
            command, future = self._requests.get_nowait()
            if command is None:
                waiting.append(future)
            else:
                future.set_result(self.generations.command(command))
        if not waiting and not self._reload_wanted:
            return
        self._reload_wanted = False
        outcome = self.generations.reload()
        for future in waiting:
            future.set_result(outcome)

    def _leave(self) -> None:
        """Serve on while /readyz says no, until load balancers have seen it. SIGINT ends the wait."""
        notify("STOPPING=1")
        delay = self._config.drain_delay / 1000
        deadline = time.monotonic() + delay
        if delay and not self._hurried:
            _log.info("leaving: /readyz answers 503; connections are accepted for %g s more", delay)
        while not self._hurried and (now := time.monotonic()) < deadline and self._look_after_children(now):
            self.pause(min(_LOOK_SECONDS, deadline - now))
            self._look_after_workers()
        self._hurried = True

    def _shut_down(self) -> int:
        """Let open responses finish, then end the mock provider. A second SIGINT ends everything at once."""
        self._leave()
        if not self._forced:
            _log.info(
                "stopping: open responses may take %g s; Ctrl-C again to stop at once",
                self._config.drain / 1000,
            )
        self._server.terminate()
        self._await_end(self._server, self._config.drain / 1000 + _KILL_MARGIN_SECONDS)
        if self._mock is not None and not self._forced:
            self._mock.terminate()
            self._await_end(self._mock, _MOCK_STOP_SECONDS)
        return 130 if self._forced else 0

    def _await_end(self, child: Child, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while not child.has_ended() and not self._forced and time.monotonic() < deadline:
            self.pause(0.1)


def shortages(config: Config, limit: int) -> Iterator[str]:
    """What to do where a worker cannot take as many requests as it is told to; `limit` is that of its open files."""
    connections, requests = config.max_connections, config.max_in_flight
    # A socket for each client, one to a provider for each request, and what a process has anyway.
    needed = connections + requests + 100
    if limit not in (resource.RLIM_INFINITY, -1) and limit < needed:
        yield (
            f"a worker with {connections} connections and {requests} requests opens up to {needed} files, and the "
            f"limit is {limit}: raise it (ulimit -Hn, LimitNOFILE in systemd), or lower max_connections"
        )
    if requests >= connections:
        yield (
            f"max_in_flight ({requests}) is not below max_connections ({connections}): clients of HTTP/1.1 wait in the "
            "kernel, and are not refused, when there are too many: raise max_connections"
        )


def unserved(workers: Iterable[WorkerStatus], generation: int, now_ms: int) -> str | None:
    """Why no worker can be trusted with requests under this generation, or None when one can."""
    live = [each for each in workers if each.alive]
    if not live:
        return "no worker lives"
    beating = [each for each in live if now_ms - each.heartbeat_ms < STALE_HEARTBEAT_MS]
    if not beating:
        return f"no worker has given a sign of life for {STALE_HEARTBEAT_MS // 1000} s"
    if all(each.generation < generation for each in beating):
        return f"no worker serves generation {generation} of the configuration"
    return None


def _server(config: Config, directory: RunDirectory, environ: Mapping[str, str]) -> Child:
    settings = handover.ServerSettings(
        host=config.listen.host,
        port=config.listen.port,
        interface=config.interface,
        workers=min(usable_cores(), MOST_WORKERS) if config.workers == "auto" else config.workers,
        max_connections=config.max_connections,
        tls=config.tls is not None,
        drain=math.ceil(config.drain / 1000),
        supervisor=os.getpid(),
    )
    ours = {
        handover.SERVER: msgspec.json.encode(settings).decode(),
        handover.RUN_DIR: str(directory.path),
        handover.LOG: config.log,
    }
    command = [sys.executable, "-m", "edgeroute.server"]
    environ = handover.with_allocator(environ) | ours
    return Child("the server", command, environ, grace=config.drain / 1000 + _KILL_MARGIN_SECONDS)


def _mock(config: Config, environ: Mapping[str, str]) -> Child | None:
    mock = config.mock
    if mock is None:
        return None
    options = {
        "listen": mock.listen,
        "first-token": mock.first_token,
        "token-interval": mock.token_interval,
        "seed": mock.seed,
        "parent": os.getpid(),
    }
    command = [
        sys.executable,
        "-m",
        "edgeroute.mock",
        *(f"--{name}={value}" for name, value in options.items()),
    ]
    return Child("the mock provider", command, environ, grace=0)


def _unix_ms() -> int:
    return time.time_ns() // 1_000_000
