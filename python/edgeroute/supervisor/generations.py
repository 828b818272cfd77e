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
        self._pause = pause
        self._current = first
        self._watch = watch
        self._publish(first)

    def changed(self) -> bool:
        """Whether a watched file has new content since the last look."""
        return self._watch.changed()

    def reload(self) -> Reloaded:
        """Read the configuration again, publish it if it is valid and different, tell and log the outcome."""
        try:
            outcome = self._reload()
        except Exception as error:  # noqa: BLE001 (whatever it is, the router goes on with the configuration it has)
            _log.exception("a reload failed in a way that nobody thought of")
            outcome = self._refused(f"error: {error!r}")
        self.results[outcome.result] += 1
        level = logging.INFO if outcome.result in ("applied", "unchanged") else logging.ERROR
        _log.log(level, "%s", outcome.message)
        return outcome

    def status(self, now_ms: int) -> dict[str, Any]:
        """The health of targets and the limits in use, as JSON can hold them."""
        return json.loads(self._snapshot.status(now_ms))

    def replicas(self, now_ms: int) -> list[tuple[str, str, str]]:
        """Provider, base URL and breaker of each replica."""
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

    def _reload(self) -> Reloaded:
        loaded, self._watch = load_watched(self._read)
        if isinstance(loaded, ConfigError):
            return self._refused(str(loaded))
        notes = [str(warning) for warning in loaded.warnings] + restart_settings(self.started, loaded.config)
        if loaded.normalised == self._current.normalised:
            notes += self._renew_certificate(loaded.config)
            if self._lagging():
                return self._adopted(notes)
            return self._outcome("unchanged", f"nothing to reload: generation {self.number} still serves", notes)
        try:
            self._publish(loaded)
        except ValueError as error:
            return self._refused(f"error: {error}")
        except OSError as error:
            where = self._directory.path
            reason = f"cannot store the new configuration in {where}: {error.strerror}; mend that and reload again"
            return self._refused(reason)
        return self._adopted(notes + self._renew_certificate(loaded.config))

    def _renew_certificate(self, config: Config) -> list[str]:
        try:
            renewed = self._certificate.update(config)
        except OSError as error:
            return [f"warning: the certificate is still the old one: {error}; reload again"]
        return ["the certificate is replaced: workers start anew, one after the other"] if renewed else []

    def _publish(self, loaded: Loaded) -> None:
        snapshot = Snapshot.compile(loaded.normalised, self._cells, self.number + 1)
        self._directory.write_generation(self.number + 1, loaded.normalised)
        self.number += 1
        self._cells.publish(self.number)
        self._current = loaded
        self._snapshot = snapshot

    def _adopted(self, notes: list[str]) -> Reloaded:
        """Wait until every live worker serves the new generation; then an older one is not ready."""
        deadline = time.monotonic() + _ADOPTION_SECONDS
        while lagging := self._lagging():
            if time.monotonic() >= deadline or not self._pause(0.01):
                self.confirmed = self.number
                text = f"published generation {self.number}, but workers {lagging} have not taken it up yet"
                return self._outcome("unconfirmed", text, notes)
        self.confirmed = self.number
        self.forget_old()
        return self._outcome("applied", f"configuration reloaded: generation {self.number} serves", notes)

    def _lagging(self) -> list[int]:
        """Process ids of live workers that serve an older generation."""
        return [each.pid for each in self._cells.workers() if each.alive and each.generation < self.number]

    def _refused(self, reason: str) -> Reloaded:
        return self._outcome("invalid", f"reload refused, generation {self.number} still serves:\n{reason}", [])

    def _outcome(self, result: Result, text: str, notes: list[str]) -> Reloaded:
        return Reloaded(result, self.number, "\n".join([text, *notes]))


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
