"""Signals and wake-ups from other threads, as something to wait for: idle handlers, and a pipe."""

import os
import select
import signal
from collections.abc import Iterable
from contextlib import suppress
from typing import Self


class Signals:
    """Receives signals while entered as a context manager. Use it from the main thread; `wake` from any."""

    def __init__(self, numbers: Iterable[signal.Signals]) -> None:
        self._numbers = tuple(numbers)

    def __enter__(self) -> Self:
        self._reader, self._writer = os.pipe()
        os.set_blocking(self._reader, False)
        os.set_blocking(self._writer, False)
        signal.set_wakeup_fd(self._writer, warn_on_full_buffer=False)
        self._previous = {number: signal.signal(number, _note) for number in self._numbers}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(-1)
        os.close(self._reader)
        os.close(self._writer)

    def wait(self, seconds: float) -> list[int]:
        """Sleep until something arrives, at most `seconds`; the numbers of the signals that arrived."""
        ready, _, _ = select.select([self._reader], [], [], max(seconds, 0))
        return [number for number in os.read(self._reader, 4096) if number] if ready else []

    def wake(self) -> None:
        """End the current or the next `wait`."""
        with suppress(BlockingIOError):  # full: it will wake anyway
            os.write(self._writer, b"\0")


def _note(_number: int, _frame: object) -> None:
    """Nothing to do: the interpreter has written the number to the pipe."""
