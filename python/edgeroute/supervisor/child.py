"""A child process that is kept running, in a process group of its own: Ctrl-C reaches only the supervisor."""

import logging
import os
import signal
import subprocess
from collections.abc import Mapping, Sequence

RESTARTS = 5
_FIRST_DELAY = 0.5
_HEALTHY_AFTER = 60.0

_log = logging.getLogger("edgeroute")


def restart_delay(failures: int) -> float | None:
    """Seconds to wait before the next start after so many failures in a row; None to give up."""
    return _FIRST_DELAY * 2 ** (failures - 1) if failures <= RESTARTS else None


class Child:
    """One command. Times are `time.monotonic()` seconds; `grace` is how long what it leaves may live."""

    def __init__(self, name: str, command: Sequence[str], environ: Mapping[str, str], grace: float) -> None:
        self.name = name
        self._command = list(command)
        self._environ = dict(environ)
        self._grace = grace
        self._process: subprocess.Popen[bytes] | None = None
        self._started = 0.0
        self._failures = 0
        self._restart_at: float | None = None
        self._orphans: list[tuple[int, float]] = []

    @property
    def pid(self) -> int | None:
        """Its process id; None while it is not running."""
        return self._process.pid if self._process is not None else None

    def start(self, now: float) -> None:
        """Start it. Call this from the main thread: children end when the thread that started them does."""
        self._process = subprocess.Popen(  # noqa: S603 (our own interpreter and modules)
            self._command, env=self._environ, stdin=subprocess.DEVNULL, process_group=0
        )
        self._started = now
        self._restart_at = None

    def check(self, now: float) -> bool:
        """Restart it when it has ended and its pause is over; False when it has failed too often."""
        self._orphans = [
            (group, deadline)
            for group, deadline in self._orphans
            if _signal_group(group, 0 if now < deadline else signal.SIGKILL)
        ]
        if self._process is not None and self._process.poll() is not None:
            return self._ended(self._process, now)
        if self._restart_at is not None and now >= self._restart_at:
            self.start(now)
        return True

    def has_ended(self) -> bool:
        """Whether it is not running now."""
        return self._process is None or self._process.poll() is not None

    def terminate(self) -> None:
        """Ask it to end, and its children through it. It is not restarted."""
        self._restart_at = None
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)

    def hang_up(self) -> None:
        """Send it SIGHUP."""
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGHUP)

    def kill(self) -> None:
        """End it and every process it left, at once."""
        for group, _ in self._orphans:
            _signal_group(group, signal.SIGKILL)
        if self._process is not None:
            _signal_group(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._process = None

    def _ended(self, process: subprocess.Popen[bytes], now: float) -> bool:
        self._process = None
        if _signal_group(process.pid, signal.SIGTERM):
            self._orphans.append((process.pid, now + self._grace))
        self._failures = 1 if now - self._started >= _HEALTHY_AFTER else self._failures + 1
        code = process.returncode
        how = f"signal {-code}" if code < 0 else f"exit status {code}"
        delay = restart_delay(self._failures)
        if delay is None:
            _log.error("%s ended (%s) %d times in a row: giving up", self.name, how, self._failures)
            return False
        _log.error("%s ended (%s): starting it again in %g s", self.name, how, delay)
        self._restart_at = now + delay
        return True


def _signal_group(group: int, number: int) -> bool:
    """Signal a process group; False when it has no process left."""
    try:
        os.killpg(group, number)
    except ProcessLookupError:
        return False
    return True
