"""How busy inference engines say they are: read from their /metrics, and handed to the workers through cells.

A correction of what edgeroute counts itself, for what others send to the same engine; never a need. The names are those
of vLLM ("Production Metrics": V1 calls `kv_cache_usage_perc` what V0 called `gpu_cache_usage_perc`) and of SGLang
("Production Metrics", with --enable-metrics).
"""

import http.client
import logging
import re
import socket
import ssl
import time
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any, Literal
from urllib.parse import urlsplit

import msgspec

from edgeroute._native import Cells
from edgeroute.config import Config
from edgeroute.config.members import Members
from edgeroute.replicas.errands import Errands

POLL_SECONDS = 1.0
_MOST_POLLS = 32
_TIMEOUT_SECONDS = 2.0
_LARGEST_PAGE = 4 << 20
_log = logging.getLogger("edgeroute")

Engine = Literal["vllm", "sglang"]

_NAMES: Mapping[str, tuple[str, str, str]] = {
    "vllm": ("vllm:num_requests_running", "vllm:num_requests_waiting", "vllm:(?:kv|gpu)_cache_usage_perc"),
    "sglang": ("sglang:num_running_reqs", "sglang:num_queue_reqs", "sglang:token_usage"),
}
"""Requests that run, requests that wait, share of the cache that is in use."""
_SAMPLE = r"^{}(?:\{{(.*)\}})? ([0-9.eE+-]+)(?: [0-9]+)?$"
_OTHER_RANK = re.compile(r'\b(?:tp|pp)_rank="[1-9]')
"""Several processes that work on the same requests."""


class Polled(msgspec.Struct, frozen=True, kw_only=True):
    """A replica whose engine is asked."""

    provider: str
    replica: str
    engine: Engine
    url: str
    """Of its metrics."""
    address: str | None
    """Where to connect, in place of the URL's host."""
    ca: str | None
    """PEM text of authorities trusted besides the system's."""


class Signals(msgspec.Struct, frozen=True):
    """What an engine says of itself."""

    running: int
    waiting: int
    cache_usage: float
    """0 to 1."""


class UnreadableError(Exception):
    """Metrics that cannot be had; its text says why."""


def polled(config: Config, members: Members) -> list[Polled]:
    """The replicas to ask: those of providers with `engine`. One behind a proxy is not asked."""
    return [
        Polled(
            provider=name, replica=each.name, engine=provider.engine, url=_metrics_url(each.url),
            address=each.address, ca=provider.ca_file.pem if provider.ca_file else None,
        )
        for name, provider in config.providers.items()
        if provider.engine is not None and provider.proxy is None
        for each in members[name]
    ]  # fmt: skip


def read(wanted: Polled) -> Signals:
    """Ask an engine; blocks. Raises UnreadableError."""
    try:
        return parse(_fetch(wanted), wanted.engine)
    except (OSError, http.client.HTTPException) as error:
        raise UnreadableError(getattr(error, "strerror", None) or str(error) or type(error).__name__) from None


def parse(page: str, engine: Engine) -> Signals:
    """What a page of metrics says, over all engines of a replica and all models. Raises UnreadableError."""
    running, waiting, usage = (_samples(page, name) for name in _NAMES[engine])
    if not running or not waiting:
        raise UnreadableError(f"its metrics are not those of {engine}")
    return Signals(int(sum(running)), int(sum(waiting)), min(1.0, max(usage, default=0.0)))


class EngineSignals:
    """Asks engines again and again. Use it from one thread; others may read `described`."""

    def __init__(self, cells: Cells, ask: Callable[[Polled], Signals] = read) -> None:
        self._cells = cells
        self._ask = ask
        self._errands: Errands[Polled, Signals] = Errands(_MOST_POLLS)
        self._next: dict[Polled, float] = {}
        self._said: dict[tuple[str, str], Signals | str] = {}

    def look(self, wanted: Sequence[Polled], now: float) -> None:
        """Note what has been answered, and ask those whose turn it is; `now` is `time.monotonic()`."""
        self._next = {each: self._next.get(each, now) for each in wanted}
        asked = {(each.provider, each.replica) for each in wanted}
        self._said = {key: said for key, said in self._said.items() if key in asked}
        for each, outcome in self._errands.collect():
            if each in self._next:
                self._note(each, outcome)
        # The longest overdue first: where they are too many for one turn, each gets its own.
        for each, at in sorted(self._next.items(), key=lambda item: item[1]):
            if now >= at and self._errands.start(each, lambda each=each: self._ask(each)):
                self._next[each] = now + POLL_SECONDS

    def is_asking(self) -> bool:
        """Whether an answer is still to come."""
        return self._errands.has_running()

    def described(self) -> list[dict[str, Any]]:
        """What each engine said last, or why it cannot be asked, as JSON can hold it."""
        return [
            {"provider": provider, "replica": replica}
            | ({"trouble": said} if isinstance(said, str) else msgspec.structs.asdict(said))
            for (provider, replica), said in list(self._said.items())
        ]

    def _note(self, each: Polled, outcome: Signals | Exception) -> None:
        key = (each.provider, each.replica)
        before = self._said.get(key)
        said = self._write(key, outcome) if isinstance(outcome, Signals) else _words(outcome)
        self._said[key] = said
        if isinstance(said, str) and said != before:
            _log.warning("%s: %s is used without the metrics of its engine: %s", *key, said)

    def _write(self, key: tuple[str, str], said: Signals) -> Signals | str:
        usage = round(said.cache_usage * 1000)
        try:
            self._cells.write_engine_signals(*key, said.running, said.waiting, usage, int(time.time()))
        except OSError as error:  # no room for it, or its name is too long
            return str(error)
        return said


def _words(error: Exception) -> str:
    return str(error) if isinstance(error, UnreadableError) else repr(error)


def _metrics_url(base: str) -> str:
    """`http://gpu-0:8000/v1` → `http://gpu-0:8000/metrics`."""
    return re.sub(r"(/v[0-9]+[a-z0-9]*)?$", "/metrics", base, count=1)


def _samples(page: str, name: str) -> list[float]:
    found = re.findall(_SAMPLE.format(name), page, re.MULTILINE)
    return [float(value) for labels, value in found if not _OTHER_RANK.search(labels)]


def _fetch(wanted: Polled) -> str:
    parts = urlsplit(wanted.url)
    host, port = parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)
    deadline = time.monotonic() + _TIMEOUT_SECONDS
    with socket.create_connection((wanted.address or host, port), timeout=_TIMEOUT_SECONDS) as plain:
        connection = http.client.HTTPConnection(host, port)
        connection.sock = plain
        if parts.scheme == "https":
            connection.sock = _trusting(wanted.ca).wrap_socket(plain, server_hostname=host)
        connection.request("GET", parts.path, headers={"host": parts.netloc, "connection": "close"})
        with connection.sock, connection.getresponse() as response:
            if response.status != 200:
                raise UnreadableError(f"it answers {parts.path} with {response.status}")
            page = bytearray()
            while piece := response.read1(65_536):
                page += piece
                if len(page) > _LARGEST_PAGE or time.monotonic() > deadline:
                    raise UnreadableError("its metrics are too many, or too slow")
    return page.decode("utf-8", "replace")


@lru_cache(maxsize=64)
def _trusting(ca: str | None) -> ssl.SSLContext:
    context = ssl.create_default_context()
    if ca is not None:
        context.load_verify_locations(cadata=ca)
    return context
