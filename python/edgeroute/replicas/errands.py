"""Things that may block, such as asking a name server, done beside the main thread."""

import queue
import threading
from collections.abc import Callable
from typing import Generic, TypeVar

K = TypeVar("K")
T = TypeVar("T")


class Errands(Generic[K, T]):
    """Runs each errand on a thread of its own, which does not keep the process alive. Use it from one thread."""

    def __init__(self, most: int, done: Callable[[], None] = lambda: None) -> None:
        """At most `most` run at a time; `done` is called, from their threads, whenever one has ended."""
        self._most = most
        self._done = done
        self._running: set[K] = set()
        self._ended: queue.SimpleQueue[tuple[K, T | Exception]] = queue.SimpleQueue()

    def start(self, key: K, work: Callable[[], T]) -> bool:
        """Begin `work`, unless that of the same key still runs or too many others do."""
        if key in self._running or len(self._running) >= self._most:
            return False
        self._running.add(key)
        threading.Thread(target=self._run, args=(key, work), name="errand", daemon=True).start()
        return True

    def collect(self) -> list[tuple[K, T | Exception]]:
        """What has ended since: what it returned, or raised."""
        ended: list[tuple[K, T | Exception]] = []
        while not self._ended.empty():
            ended.append(self._ended.get_nowait())
        self._running -= {key for key, _ in ended}
        return ended

    def has_running(self) -> bool:
        """Whether any has begun and is not collected, nor ready to be."""
        return len(self._running) > self._ended.qsize()

    def _run(self, key: K, work: Callable[[], T]) -> None:
        try:
            self._ended.put((key, work()))
        except Exception as error:  # noqa: BLE001 (whoever collects it says what it means)
            self._ended.put((key, error))
        self._done()
