"""The compiled core. Errors are OSError for files and ValueError for input; both carry a sentence for people."""

import asyncio
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from contextvars import Context
from types import GenericAlias
from typing import Any, ClassVar, Generic, Literal, TypeVar, final, overload

from edgeroute.rules import Explanation

__all__ = [
    "Cells",
    "DirectFuture",
    "Expression",
    "RuleSet",
    "Snapshot",
    "Ticket",
    "Worker",
    "WorkerStatus",
    "check_rules",
    "explain",
    "explain_rules",
    "first_failures",
    "lint_rules",
    "rule_codes",
    "rule_functions",
    "rule_variables",
]

_Key = TypeVar("_Key", str, int)

@final
class Cells:
    """The memory file: small numbers that all workers of a host agree on."""

    @staticmethod
    def create(path: str) -> Cells:
        """Make the file, fully allocated, mode 0600; it must not exist."""

    @staticmethod
    def open(path: str) -> Cells:
        """Open a file that this version made."""

    @staticmethod
    def anonymous() -> Cells:
        """Cells that no other process sees."""

    @property
    def generation(self) -> int:
        """The published configuration generation."""

    def publish(self, generation: int) -> None:
        """Tell all workers that this generation's file is in place."""

    def workers(self) -> list[WorkerStatus]:
        """Every claimed row."""

    def sums(self) -> list[tuple[str, int]]:
        """Metric lines: name with labels, value. Names with `_seconds_sum` before the labels are in microseconds."""

    def gauges(self) -> list[tuple[str, int]]:
        """Gauges by name, summed over all rows."""

    def write_engine_signals(
        self, provider: str, replica: str, running: int, waiting: int, cache_per_mille: int, unix_s: int
    ) -> None:
        """Tell the workers what the engine of a replica says of itself; OSError if there is no room for it."""

    def reap(self) -> list[int]:
        """Empty the rows of dead workers and give back what they had reserved; returns the ids of those that died
        without leaving their row.
        """

@final
class WorkerStatus:
    """A worker that has claimed a row."""

    row: int
    pid: int
    started: int
    """When the process started, in the operating system's unit."""
    generation: int
    """The configuration it serves; 0 before the first."""
    heartbeat_ms: int
    """When it last said that it lives, Unix milliseconds."""
    alive: bool

@final
class Snapshot:
    """A compiled configuration."""

    @staticmethod
    def compile(normalised: bytes, cells: Cells, generation: int) -> Snapshot:
        """Compile normalised bytes, finding their cells; releases the interpreter meanwhile."""

    @property
    def generation(self) -> int: ...
    @property
    def max_body(self) -> int: ...
    @property
    def max_in_flight(self) -> int: ...
    @property
    def body_ms(self) -> int:
        """Milliseconds in which the body of a request must arrive."""
    def status(self, now_ms: int) -> bytes:
        """Targets (exchanges open, breaker of each replica) and limits (most, used, reserved) at a Unix time in
        milliseconds, as JSON. Nothing is reserved; it holds no secrets.
        """
    def replicas(self, now_ms: int) -> list[tuple[str, str, str]]:
        """Provider, name and breaker (`closed`, `open` or `half-open`) of each replica at such a time.

        The name is the base URL; `URL@address` where the address was discovered.
        """

@final
class Worker:
    """One worker process: its row, its connections to providers, its configuration."""

    def __new__(cls, cells: Cells, seed: int, json: bool) -> Worker:
        """Claims a row of the cells."""

    def fileno(self) -> int:
        """The descriptor that becomes readable when `serve` has something to do."""

    @property
    def published(self) -> int:
        """The published generation."""

    def compile(self, normalised: bytes, generation: int) -> Snapshot:
        """Like `Snapshot.compile`, with the cells of this worker."""

    def configure(self, snapshot: Snapshot) -> None:
        """Requests that begin from now on see this snapshot."""

    def heartbeat(self) -> None:
        """Say that the worker lives."""

    def decide(
        self,
        method: str,
        path: str,
        query: str,
        headers: list[tuple[bytes, bytes]] | list[tuple[str, str]],
        peer: str,
        body: bytes,
    ) -> Ticket:
        """Decide a request. Header names are lower case; `peer` is the address of the TCP peer, with or without its
        port (`10.0.0.1`, `10.0.0.1:4711`, `[::1]:80`), empty if unknown.
        """

    def refuse_unread(
        self,
        method: str,
        path: str,
        query: str,
        headers: list[tuple[bytes, bytes]] | list[tuple[str, str]],
        peer: str,
        late: bool,
    ) -> Ticket | None:
        """A ticket that refuses a request before its body is read, by its head or because the body is `late`; None if
        the body has to be read, which it never has if it is late.
        """

    def turn_away(self, path: str, headers: list[tuple[bytes, bytes]] | list[tuple[str, str]]) -> str:
        """Count a request that is refused because as many as may be are open; returns the caller's dialect."""

    def lasting(self) -> list[tuple[Ticket, Any]]:
        """The requests whose exchange began before the last call, each once, with the `client` of their attempt."""

    def serve(self) -> bool:
        """Serve the sockets that are ready and the deadlines that have passed. True: call again soon."""

    def stop(self) -> int:
        """End the requests under way: their clients are told that the router is stopping. Returns how many."""

    def close(self) -> None:
        """Close the tickets that are under way, which closes their sockets."""

    def take_log(self) -> bytes:
        """The log lines since the last call."""

@final
class DirectFuture:
    """Like `asyncio.Future`, but `set_result` resumes the coroutine that waits before it returns, unless another one is
    running: then it goes on in the next turn of the event loop.
    """

    def __new__(cls, event_loop: asyncio.AbstractEventLoop) -> DirectFuture: ...
    def get_loop(self) -> asyncio.AbstractEventLoop: ...
    def done(self) -> bool: ...
    def cancelled(self) -> bool: ...
    def result(self) -> Any:
        """InvalidStateError before it is done, CancelledError after `cancel`."""

    def exception(self) -> None:
        """The same."""

    def set_result(self, result: Any) -> None:
        """InvalidStateError if it is done."""

    def cancel(self, msg: object = None) -> bool: ...
    def add_done_callback(self, callback: Callable[[DirectFuture], Any], *, context: Context | None = None) -> None: ...
    def remove_done_callback(self, callback: Callable[[DirectFuture], Any]) -> int: ...
    def __await__(self) -> Generator[Any, None, Any]: ...

@final
class Ticket:
    """A request in the works. `step` says what to do next."""

    ATTEMPT: ClassVar[int]
    """Await `attempt`."""
    RELAY: ClassVar[int]
    """Hand over `response`, then what `read` gives."""
    LIST: ClassVar[int]
    """Answer with the list of `models`."""
    DESCRIBE: ClassVar[int]
    """Answer with the description of the one model in `models`."""
    REFUSE: ClassVar[int]
    """Answer with the error in `refusal`."""
    CLOSED: ClassVar[int]
    """Nothing is left to do."""

    @property
    def step(self) -> int: ...
    @property
    def id(self) -> str: ...
    @property
    def dialect(self) -> str:
        """The protocol that the caller speaks."""

    @property
    def stream(self) -> bool:
        """Whether the client asked for a stream."""

    @property
    def max_stream(self) -> int:
        """The most bytes that a stream may have on a face without back-pressure."""

    @property
    def models(self) -> list[str]: ...
    @property
    def refusal(self) -> tuple[int, str, str, str | None] | None:
        """Status, code, message, field."""

    def attempt(self, future: DirectFuture, client: Any | None) -> DirectFuture:
        """Start the current attempt; the future is fulfilled when `step` has changed. `client` is what
        `Worker.lasting` gives if it takes long; with None it is not among those.

        RuntimeError if one is under way.
        """

    def watch(self, watcher: asyncio.Task[None]) -> None:
        """Keep the task that waits for the client to leave; it is cancelled when the request ends."""

    @overload
    def response(self, as_bytes: Literal[True]) -> tuple[int, list[tuple[bytes, bytes]], bytes | None]: ...
    @overload
    def response(self, as_bytes: Literal[False]) -> tuple[int, list[tuple[str, str]], bytes | None]:
        """Status, headers and body to relay; without a body, `read` gives it. A whole response closes the ticket."""

    @overload
    def own_headers(self, as_bytes: Literal[True]) -> list[tuple[bytes, bytes]]: ...
    @overload
    def own_headers(self, as_bytes: Literal[False]) -> list[tuple[str, str]]:
        """Headers of an answer of edgeroute's own; closes the ticket."""

    def read(self, create_future: Callable[[], DirectFuture]) -> Any:
        """The next whole events: bytes, empty at the end of the stream, or a future that gives them.

        RuntimeError if somebody is waiting for them already.
        """

    @property
    def broken(self) -> str | None:
        """What broke the stream, once its end was read; None if it ended as it should."""

    @property
    def sequence_number(self) -> int:
        """The number that the next event of the stream has, where the dialect numbers its events."""

    def cap(self) -> None:
        """End a stream that has become too large."""

    def close(self) -> None:
        """Cancel what is under way and write the record; may be called again."""

@final
class RuleSet(Generic[_Key]):
    """Conditions in CEL that are tried in order, for use without a router.

    They are known by the names of a mapping, or by their positions in a list; one text is a list of one.

    What is evaluated is a mapping from variables to values; `edgeroute.rules` says which Python values. What is not
    given is absent, as a header that a client did not send. Only what rules ask for is read of it: ValueError if that
    is not of the type of the variable, and for a name that is not declared.
    """

    @overload
    def __new__(cls, rules: Mapping[str, str], variables: Mapping[str, str] | None = None) -> RuleSet[str]: ...
    @overload
    def __new__(cls, rules: str | Sequence[str], variables: Mapping[str, str] | None = None) -> RuleSet[int]:
        """Compile the conditions; RuleError with every mistake of all of them.

        `variables` gives each variable a type such as `string`, `double` or `map(string, list(int))`; without it
        there are the variables that rules of a configuration have (docs/reference/rules.md).
        """

    def __class_getitem__(cls, key: Any) -> GenericAlias: ...
    def __len__(self) -> int: ...
    def first_match(self, mapping: Mapping[str, Any]) -> _Key | None:
        """The first rule that holds; one that cannot be evaluated does not."""

    def evaluate(self, mapping: Mapping[str, Any]) -> dict[_Key, bool | None]:
        """Whether each rule holds; None if it cannot be evaluated, of which `explain` tells the reason."""

    def evaluate_batch(self, mappings: Iterable[Mapping[str, Any]]) -> list[_Key | None]:
        """The first match of each mapping."""

    def explain(self, mapping: Mapping[str, Any]) -> Explanation:
        """What came of each rule and why, as data and, by `str`, for people."""

@final
class Expression:
    """An expression in CEL of any type, for use without a router."""

    def __new__(
        cls,
        text: str,
        variables: Mapping[str, str] | None = None,
        *,
        container: str = "",
        functions: Sequence[str] = (),
        checked: bool = True,
        macros: bool = True,
    ) -> Expression:
        """Compile the expression; RuleError with every mistake.

        `variables` are those of `RuleSet`; their names may be qualified (`com.example.quota`), and the names in
        `container` may be written without it. `functions` are signatures such as `quota(string) -> int`, with which
        an expression can be checked and not be evaluated. Without the checker (`checked=False`) what is wrong with
        types and names shows in the evaluation. Without `macros`, what looks like one is the call of a function.
        """

    @property
    def type(self) -> str:
        """The type of its value, `dyn` if that is not known before the evaluation."""

    def evaluate(self, mapping: Mapping[str, Any] | None = None) -> Any:
        """Its value, as `edgeroute.rules` says; RuleError if it has none, ValueError as `RuleSet` has it."""

_Finding = tuple[int, str, str, int, int, str, list[tuple[int, int, str]], str | None]
"""Index of the rule, code, severity, first byte, byte after the last, message, labels (bytes and text), help."""

def check_rules(expressions: list[str], definitions: list[tuple[str, str]]) -> list[_Finding]:
    """Compile definitions (name and expression) and then rule conditions, which may use them; returns every error.

    Indexes count the definitions first.
    """

def lint_rules(
    rules: list[tuple[str, str, tuple[str, str] | None, bool]], definitions: list[tuple[str, str]]
) -> list[_Finding]:
    """Warnings and notes about rules that compile, in the order in which they are tried.

    A rule is its name, its condition, a variable with the text it must be for the rule to take part, and whether
    the search ends with it. Indexes do not count the definitions.
    """

def first_failures(expressions: list[str], definitions: list[tuple[str, str]]) -> list[tuple[int, int] | None]:
    """The first part of each condition that fails on some requests, as bytes; None if none does or it is wrong."""

def rule_codes() -> list[tuple[str, str, str]]:
    """Code, severity and meaning of every kind of finding."""

def rule_functions() -> list[str]:
    """The names of all functions of rules, in alphabetical order."""

def rule_variables() -> list[tuple[str, str, str, str]]:
    """Name, type, an example and the description of every rule variable."""

def explain(normalised: bytes, requests: list[bytes]) -> list[bytes]:
    """Explain the decisions on written requests; JSON in, JSON out. Nothing is reserved."""

def explain_rules(normalised: bytes) -> bytes:
    """How the rules of a configuration are searched; JSON out."""
