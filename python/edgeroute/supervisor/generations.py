"""Publishing the configuration: each valid one becomes a numbered generation that the workers take up."""

import json
import logging
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import msgspec

from edgeroute._native import Cells, Snapshot
from edgeroute.config import Config, ConfigError, Loaded
from edgeroute.replicas.changes import Command, RefusedError
from edgeroute.replicas.discovery import sources
from edgeroute.replicas.engines import EngineSignals, polled
from edgeroute.replicas.sets import ReplicaSets
from edgeroute.supervisor.certificate import ServerCertificate
from edgeroute.supervisor.run_directory import RunDirectory
from edgeroute.supervisor.watch import Watch

Result = Literal["applied", "unchanged", "invalid", "unconfirmed"]
Read = Callable[[], Loaded]
"""Reads the configuration as it is now; raises ConfigError."""

AT_RESTART = (
    "listen",
    "admin",
    "admin_key",
    "workers",
    "interface",
    "max_connections",
    "mock",
    "log",
    "drain",
    "drain_delay",
)
"""Settings that are read once: changed, they wait for the next start."""

_ADOPTION_SECONDS = 5.0
_LOOKUP_SECONDS = 5.0
"""How long a start or reload waits for the first answers about replicas that are new to it."""
_UNTIL_RESTART = "until the next restart: write it into the configuration to keep it"
_log = logging.getLogger("edgeroute")


class Reloaded(msgspec.Struct, frozen=True):
    """What became of a reload."""

    result: Result
    generation: int
    """The generation that is published now."""
    message: str
    """For people: what happened, with every diagnostic."""


class Generations:
    """The current configuration, its number, and how to replace it."""

    def __init__(
        self,
        read: Read,
        first: Loaded,
        watch: Watch,
        directory: RunDirectory,
        certificate: ServerCertificate,
        cells: Cells,
        replicas: ReplicaSets,
        engines: EngineSignals,
        pause: Callable[[float], bool],
    ) -> None:
        """Publishes generation 1; ValueError says why not. `pause` waits, and is false when we are stopping."""
        self.started = first.config
        self.results: Counter[Result] = Counter()
        self.number = 0
        self.confirmed = 1
        self._forgotten = 0
        self._read = read
        self._directory = directory
        self._certificate = certificate
        self._cells = cells
        self._replicas = replicas
        self._engines = engines
        self._pause = pause
        self._current = first
        self._watch = watch
        self._look_up(first.config)
        self._changes = replicas.discovery.changes
        self._publish(first, replicas.normalised(first.config))

    @property
    def config(self) -> Config:
        """The configuration that is published."""
        return self._current.config

    def changed(self) -> bool:
        """Whether a watched file has new content since the last look."""
        return self._watch.changed()

    def reload(self) -> Reloaded:
        """Read the configuration again, publish it if it is valid and different, tell and log the outcome."""
        try:
            outcome = self._reload()
        except Exception as error:  # noqa: BLE001 (whatever it is, the router goes on with the configuration it has)
            _log.exception("a reload failed in a way that nobody thought of")
            outcome = self._refused("reload", f"error: {error!r}")
        self._replicas.discovery.follow(sources(self._current.config))
        self.results[outcome.result] += 1
        _log.log(_level(outcome), "%s", outcome.message)
        return outcome

    def look(self, now: float) -> None:
        """Have replicas looked up and their engines asked when it is time (`time.monotonic()`); publish changes."""
        self._engines.look(self._polled, now)
        self._replicas.discovery.look(now)
        if self._replicas.discovery.changes != self._changes:
            outcome = self._republish()
            _log.log(_level(outcome), "%s", outcome.message)

    def command(self, command: Command) -> Reloaded:
        """Change a replica until the next restart; tell and log the outcome."""
        outcome = self._command(command)
        level = _level(outcome)
        # A replica that is refused is not named: what is wrong with its URL may be a credential in it.
        named = f"{command.action} {command.provider} {command.replica}" if level == logging.INFO else command.action
        _log.log(level, "replicas: %s: %s", named, outcome.message)
        return outcome

    def status(self, now_ms: int) -> dict[str, Any]:
        """The health of targets, the limits in use, what differs from the file, as JSON can hold them."""
        return {**json.loads(self._snapshot.status(now_ms)), **self._live()}

    def listed_replicas(self, now_ms: int) -> dict[str, Any]:
        """Every replica with its weight and breaker, and what differs from the file, as JSON can hold them."""
        breakers = {(provider, name): breaker for provider, name, breaker in self.replicas(now_ms)}
        listed = self._replicas.listed(self._current.config)
        for each in listed:
            each["breaker"] = breakers.get((each["provider"], each["replica"]), "closed")
        return {"replicas": listed, **self._live()}

    def replicas(self, now_ms: int) -> list[tuple[str, str, str]]:
        """Provider, name and breaker of each replica."""
        return self._snapshot.replicas(now_ms)

    def forget_old(self) -> None:
        """Remove generations that nobody can want: all live workers serve the current one."""
        if self._forgotten >= self.number - 1 or self._lagging():
            return
        self._forgotten = self.number - 1
        try:
            self._directory.forget_before(self._forgotten)
        except OSError as error:
            _log.warning("old generations are left in %s: %s", self._directory.path, error)

    def _live(self) -> dict[str, Any]:
        return {**self._replicas.described(self._current.config), "engines": self._engines.described()}

    def _reload(self) -> Reloaded:
        loaded, self._watch = load_watched(self._read)
        if isinstance(loaded, ConfigError):
            return self._refused("reload", str(loaded))
        self._look_up(loaded.config)
        refused = self._take(loaded, "reload")
        if refused is not None and refused.result == "invalid":
            return refused
        notes = [
            *map(str, loaded.warnings),
            *restart_settings(self.started, loaded.config),
            *(f"warning: {each}" for each in self._replicas.misfits(loaded.config)),
            *self._renew_certificate(loaded.config),
        ]
        return _noted(refused, notes) if refused else self._adopted("configuration reloaded", notes)

    def _command(self, command: Command) -> Reloaded:
        try:
            before = self._replicas.command(command, self._current.config)
        except RefusedError as error:
            return self._refused("change", str(error))
        outcome = self._republish()
        if outcome.result == "invalid":
            self._replicas.overlay = before
            return outcome
        return _noted(outcome, [_UNTIL_RESTART])

    def _republish(self) -> Reloaded:
        """Publish the same configuration with the replicas as they are now."""
        return self._take(self._current, "change") or self._adopted("replicas changed", [])

    def _look_up(self, config: Config) -> None:
        """Wait for the first answers of sources that are new, beside those in use."""
        discovery = self._replicas.discovery
        discovery.follow([*sources(self._current.config), *sources(config)])
        deadline = time.monotonic() + _LOOKUP_SECONDS
        discovery.look(time.monotonic())
        while not discovery.is_settled() and time.monotonic() < deadline and self._pause(0.01):
            discovery.look(time.monotonic())

    def _take(self, loaded: Loaded, what: str) -> Reloaded | None:
        """Publish a configuration with the replicas as they are now; says why if nothing is to be taken up."""
        self._changes = self._replicas.discovery.changes
        try:
            normalised = self._replicas.normalised(loaded.config)
            if normalised != self._published:
                self._publish(loaded, normalised)
            elif not self._lagging():
                self._current = loaded
                return self._outcome("unchanged", f"nothing to {what}: generation {self.number} still serves", [])
        except ValueError as error:
            return self._refused(what, f"error: {error}")
        except OSError as error:
            where = self._directory.path
            reason = f"cannot store the new configuration in {where}: {error.strerror}; mend that and reload again"
            return self._refused(what, reason)
        self._current = loaded
        return None

    def _renew_certificate(self, config: Config) -> list[str]:
        try:
            renewed = self._certificate.update(config)
        except OSError as error:
            return [f"warning: the certificate is still the old one: {error}; reload again"]
        return ["the certificate is replaced: workers start anew, one after the other"] if renewed else []

    def _publish(self, loaded: Loaded, normalised: bytes) -> None:
        snapshot = Snapshot.compile(normalised, self._cells, self.number + 1)
        self._directory.write_generation(self.number + 1, normalised)
        self.number += 1
        self._cells.publish(self.number)
        self._current = loaded
        self._published = normalised
        self._polled = polled(loaded.config, self._replicas.now(loaded.config))
        self._snapshot = snapshot

    def _adopted(self, what: str, notes: list[str]) -> Reloaded:
        """Wait until every live worker serves the new generation; then an older one is not ready."""
        deadline = time.monotonic() + _ADOPTION_SECONDS
        while lagging := self._lagging():
            if time.monotonic() >= deadline or not self._pause(0.01):
                self.confirmed = self.number
                text = f"published generation {self.number}, but workers {lagging} have not taken it up yet"
                return self._outcome("unconfirmed", text, notes)
        self.confirmed = self.number
        self.forget_old()
        return self._outcome("applied", f"{what}: generation {self.number} serves", notes)

    def _lagging(self) -> list[int]:
        """Process ids of live workers that serve an older generation."""
        return [each.pid for each in self._cells.workers() if each.alive and each.generation < self.number]

    def _refused(self, what: str, reason: str) -> Reloaded:
        return self._outcome("invalid", f"{what} refused, generation {self.number} still serves:\n{reason}", [])

    def _outcome(self, result: Result, text: str, notes: list[str]) -> Reloaded:
        return Reloaded(result, self.number, "\n".join([text, *notes]))


def _noted(outcome: Reloaded, notes: list[str]) -> Reloaded:
    return msgspec.structs.replace(outcome, message="\n".join([outcome.message, *notes]))


def _level(outcome: Reloaded) -> int:
    return logging.INFO if outcome.result in ("applied", "unchanged") else logging.ERROR


def load_watched(read: Read) -> tuple[Loaded | ConfigError, Watch]:
    """Load the configuration, and watch its files from before they were read: no change is missed."""
    paths: frozenset[Path] = frozenset()
    while True:
        watch = Watch(paths)
        try:
            loaded = read()
        except ConfigError as error:
            loaded = error
        if paths.issuperset(loaded.watched):
            return loaded, watch
        paths = paths.union(loaded.watched)


def restart_settings(started: Config, wanted: Config) -> list[str]:
    """One warning that names the changed settings which take effect at a restart, or none."""
    changed = [name for name in AT_RESTART if getattr(started, name) != getattr(wanted, name)]
    if (started.tls is None) != (wanted.tls is None):
        changed.append("tls")
    if not changed:
        return []
    verb = "takes" if len(changed) == 1 else "take"
    return [f"warning: {', '.join(f'`{name}`' for name in changed)} {verb} effect at restart"]
