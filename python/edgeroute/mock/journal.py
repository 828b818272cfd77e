"""What the mock provider received, for tests to look at."""

from collections import deque

import msgspec

_KEPT = 100
_KEPT_BYTES = 64 * 1024 * 1024


class Record(msgspec.Struct):
    """One request; in JSON the body is base64. Kept from its head on, so the rest changes while it runs."""

    number: int
    """Counts from 1; also in the reply's ``x-request-id``."""
    connection: int
    """Which connection it came on; counts from 1."""
    method: str
    path: str
    """The target as sent, with its query."""
    headers: list[tuple[str, str]]
    """As sent and in order, names in lower case."""
    body: bytes = b""
    complete: bool = False
    """Whether the whole body arrived."""
    status: int | None = None
    """Of the reply that was chosen; faults may keep it from being sent."""
    bytes_sent: int = 0
    ended: bool = False
    disconnected: bool = False
    """Whether the client went away before the end of the reply."""

    def header(self, name: str) -> str:
        """The value of header ``name`` (lower case), several joined by a comma, ``""`` without one."""
        return ", ".join(value for key, value in self.headers if key == name)


class Stats(msgspec.Struct):
    """Counters. ``open`` and ``connections_open`` are gauges; the others start again at a reset."""

    open: int = 0
    total: int = 0
    disconnects: int = 0
    connections_open: int = 0
    connections: int = 0


class Journal:
    """The open requests, the last 100 that ended (their bodies together 64 MiB at most) and one mock's counters."""

    def __init__(self) -> None:
        self.stats = Stats()
        self._open: dict[int, Record] = {}
        self._ended: deque[Record] = deque(maxlen=_KEPT)
        self._requests = 0
        self._connections = 0

    def connect(self) -> int:
        """Count a new connection; its number."""
        self._connections += 1
        self.stats.connections += 1
        self.stats.connections_open += 1
        return self._connections

    def disconnect(self) -> None:
        """Count a connection as closed."""
        self.stats.connections_open -= 1

    def begin(self, connection: int, method: str, path: str, headers: list[tuple[str, str]]) -> Record:
        """Keep a request whose head has arrived."""
        self._requests += 1
        self.stats.total += 1
        self.stats.open += 1
        record = Record(self._requests, connection, method, path, headers)
        self._open[record.number] = record
        return record

    def end(self, record: Record, *, disconnected: bool) -> None:
        """Close a request that :meth:`begin` opened, once."""
        record.ended = True
        record.disconnected = disconnected
        self.stats.open -= 1
        self.stats.disconnects += disconnected
        if self._open.pop(record.number, None) is None:
            return  # forgotten by a reset
        self._ended.append(record)
        while len(self._ended) > 1 and sum(len(each.body) for each in self._ended) > _KEPT_BYTES:
            self._ended.popleft()

    def reset(self) -> None:
        """Forget the requests and start the counters again; requests still open stay counted as open."""
        self._open.clear()
        self._ended.clear()
        self.stats = Stats(open=self.stats.open, connections_open=self.stats.connections_open)

    def requests(self) -> bytes:
        """``{"requests": […], "stats": {…}}``, oldest request first."""
        records = sorted([*self._ended, *self._open.values()], key=lambda each: each.number)
        return msgspec.json.encode({"requests": records, "stats": self.stats})
