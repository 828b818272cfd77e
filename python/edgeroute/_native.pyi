"""The compiled core. Errors are OSError for files and ValueError for input; both carry a sentence for people."""

import asyncio
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from contextvars import Context
from types import GenericAlias
from typing import Any, ClassVar, Generic, Literal, TypeVar, final, overload

from edgeroute.cache import Comparison, Hit
from edgeroute.cache import Explanation as CacheExplanation
from edgeroute.placement import Considered
from edgeroute.rules import Explanation

__all__ = [
    "AffinityIndex",
    "Bank",
    "Cells",
    "Decision",
    "DirectFuture",
    "Expression",
    "Latency",
    "ModelEvidence",
    "Prompt",
    "Ring",
    "RoundRobin",
    "RuleSet",
    "SemanticCache",
    "Snapshot",
    "Store",
    "StoreStatistics",
    "Ticket",
    "Worker",
    "WorkerStatus",
    "check_rules",
    "compare",
    "embed",
    "explain",
    "explain_rules",
    "first_failures",
    "least_load",
    "least_share",
    "lint_rules",
    "power_of_two",
    "rule_codes",
    "rule_functions",
    "rule_variables",
]

_Key = TypeVar("_Key", str, int)

_Targets = Mapping[str, int] | Iterable[str]
"""Names, or names and weights; a weight of 0 takes nothing."""

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
        """Close the tickets that are under way, which closes their sockets, and the cache's store."""

    def take_warnings(self) -> list[str]:
        """Sentences for the operator about the cache, since the last call."""

    def take_log(self) -> bytes:
        """The log lines since the last call."""

@final
class Store:
    """The store of a host's answers, as the supervisor sees it."""

    def __new__(cls, path: str, most_bytes: int, most_entries: int, redis: str | None = None) -> Store:
        """Open the store in a folder; what is wrong with it is told by `take_warnings`."""

    def statistics(self) -> StoreStatistics: ...
    def entries_of(self, models: Sequence[str]) -> list[int]:
        """Entries of each of these models."""

    def evidence_of(self, models: Sequence[str]) -> list[ModelEvidence]:
        """What workers of this host have observed of each of these models."""

    def take_warnings(self) -> list[str]:
        """What is wrong with the store, each told once. Call it often: what the store tells waits for it."""

    def warm(self, normalised: bytes, answers: list[tuple[bytes, bytes, int | None]]) -> list[str | None]:
        """Keep answers that were written down, under the keys under which a router with this configuration looks for
        them: requests as `edgeroute explain` takes them, the bytes of each reply, and for how many milliseconds at
        most. Says of each why it is not kept; None where it is.
        """

    def flush(self) -> bool:
        """Wait until all that was put is written; whether it is."""

    def put(
        self,
        *,
        key: str,
        scope: str,
        name: str,
        model: str,
        stored_ms: int,
        expires_ms: int,
        head: bytes,
        body: bytes,
    ) -> None:
        """Keep an answer of a model for the virtual key or team of a name. Times are Unix milliseconds."""

    def purge(
        self,
        by: Literal["key", "virtual_key", "team", "everybody", "model", "older_than", "all"],
        name: str = "",
        stored_before_ms: int = 0,
    ) -> tuple[int, Literal["done", "waiting", "failed"]]:
        """Remove entries, and wait until they are gone: how many there were, and what has come of it.

        `waiting` is what the store has not done after 5 s and still will; a warning says why something has `failed`.
        A key is 32 hexadecimal digits; ValueError if it is not.
        """

@final
class ModelEvidence:
    """How comparisons of a model's answers with those to similar requests went, as far as the store keeps them."""

    correct: int
    wrong: int
    unknown: int
    serving: bool
    """Whether answers to similar requests are given, where their own evidence allows it."""

@final
class StoreStatistics:
    """How much there is in the store."""

    entries: int
    bytes: int
    """Of its file that are in use."""
    most_bytes: int
    """The file does not grow beyond; where others had it open before, that is what they have set."""
    dropped: int
    """Answers that could not be kept."""
    available: bool
    """Whether there is a store at present."""

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
    ANSWER: ClassVar[int]
    JOIN: ClassVar[int]
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
        """Start the current attempt, or wait for what comes before it; the future is fulfilled when `step` has changed.
        `client` is what `Worker.lasting` gives if it takes long; with None it is not among those.

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

    def go_on(self) -> None:
        """More of a replayed stream is due, or a vector is not waited for any longer."""

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

@final
class Bank:
    """Vectors, searched by cosine.

    >>> bank = Bank(3)
    >>> bank.insert(7, [1.0, 2.0, 3.0])
    >>> bank.within([2.0, 4.0, 6.1], 0.95)[0][0]
    7
    """

    def __new__(cls, dimensions: int) -> Bank:
        """ValueError for no dimension, or more than 65536."""

    def insert(self, id: int, vector: Sequence[float]) -> None:  # noqa: A002
        """Keep a vector under a number; numbers may repeat.

        ValueError for another dimension, for all zero, and for what is not finite.
        """

    def within(self, vector: Sequence[float], threshold: float, most: int = 8) -> list[tuple[int, float]]:
        """Numbers and cosines of those with a cosine of `threshold` or more, best first, at most `most`.

        One that is just at the threshold is missed five times in a thousand at most, a nearer one less often;
        thresholds of 0 and below miss nothing.
        """

    def __len__(self) -> int:
        """How many vectors it keeps."""

@final
class SemanticCache:
    """Answers by what a question means.

    An answer is given to another question if it is at least `threshold` sure that it serves both, and if no veto
    objects. At most `capacity` questions are kept, over all partitions: then the oldest goes first. An `embedder` takes
    a text and gives its vector, all of the same dimension; with it `threshold` is that of the cosine. All methods may
    be called by several threads.

    >>> cache = SemanticCache()
    >>> cache.add("How do I reset my password?", "Settings, Security, Reset.")
    True
    >>> cache.find("how can I reset my password").answer
    'Settings, Security, Reset.'
    >>> cache.find("how can I reset my router") is None
    True
    """

    def __new__(
        cls,
        threshold: float = 0.95,
        *,
        capacity: int = 100_000,
        embedder: Callable[[str], Sequence[float]] | None = None,
    ) -> SemanticCache:
        """ValueError for a threshold that is not from 0 to 1, or no capacity."""

    def add(
        self, question: str, answer: Any, *, partition: str = "", ttl: float | None = None, now: float | None = None
    ) -> bool:
        """Keep the answer of a question.

        One to the very same question is replaced. Partitions share nothing. It is found for `ttl` seconds, rounded up
        to a whole second of the clock; without one, as long as there is room. `now` is in seconds since 1970: without
        it, the system's clock. False if such a question is never answered from memory, or has nothing to go by; then
        `explain` says why. ValueError for a ttl of 0 or less, and for vectors of another dimension than before.
        """

    def find(
        self, question: str, *, partition: str = "", threshold: float | None = None, now: float | None = None
    ) -> Hit | None:
        """The answer of the nearest question that means the same.

        `threshold` is for this once. What the embedder raises is raised here.
        """

    def explain(
        self,
        question: str,
        *,
        partition: str = "",
        most: int = 5,
        threshold: float | None = None,
        now: float | None = None,
    ) -> CacheExplanation:
        """The nearest `most` questions, and why their answers are given or not.

        It compares with all questions of the partition: some milliseconds for 100,000.
        """

    def remove(self, question: str, *, partition: str = "") -> bool:
        """Forget the answer of this very question: whether there was one."""

    def clear(self) -> None:
        """Forget all."""

    @property
    def threshold(self) -> float:
        """How sure it must be."""

    @property
    def capacity(self) -> int:
        """The most questions it keeps."""

    def __len__(self) -> int:
        """How many questions it keeps, expired ones included until the next one is added."""

def compare(asked: str, stored: str, *, threshold: float = 0.95) -> Comparison:
    """How near two questions are by the built-in embedding, and whether the answer of one serves the other."""

def embed(text: str) -> list[float] | None:
    """The vector of a text by the embedding that is built in: 256 numbers, length one.

    None where a text has nothing to go by (no letter, no digit) or has more than 8192 bytes. The table is fitted to
    all-MiniLM-L6-v2; see `docs/explanation.md`.
    """

@final
class Ring:
    """Consistent hashing with bounded loads.

    `targets` are names, or a mapping from names to weights (0 takes nothing). Each has `virtual_nodes` points on the
    ring per unit of weight. No target takes more than `load_factor` times its share of the requests in flight.

    >>> ring = Ring(["gpu-0", "gpu-1", "gpu-2"])
    >>> ring.order("session 42")
    ['gpu-2', 'gpu-0', 'gpu-1']
    >>> ring.choose("session 42", {"gpu-0": 3, "gpu-1": 4, "gpu-2": 9})
    'gpu-0'
    """

    def __new__(cls, targets: _Targets, *, virtual_nodes: int = 256, load_factor: float = 1.25) -> Ring:
        """ValueError for a name twice, no weight above 0, a load factor below 1, or more points than 8 million."""

    def choose(self, key: str | bytes, loads: dict[str, int] | None = None) -> str | None:
        """Where the key goes: the first target clockwise that has room.

        `loads` are requests in flight by name; a target that is left out takes nothing now, and bounds are those of
        the others. Without `loads` all are idle. None if nobody can take it.
        """

    def order(self, key: str | bytes) -> list[str]:
        """The targets in the order in which the key meets them, whatever their load."""

@final
class Prompt:
    """A prompt as a chain of block hashes, hashed once to be looked up and inserted.

    `text` is what the engine sees, in its order: tools, system prompt, messages. Blocks are of 256 bytes, at most 1,024
    of them. Prompts with different salts share nothing.

    >>> Prompt("You are a helpful assistant. " * 100).tokens
    725.0
    """

    def __new__(cls, text: str | bytes, *, salt: int = 0, tokens_per_byte: float = 0.25) -> Prompt: ...
    @staticmethod
    def from_blocks(blocks: Sequence[int], *, tokens: float, tokens_per_block: float, salt: int = 0) -> Prompt:
        """A prompt whose blocks have numbers instead of text, as in traces."""

    @property
    def tokens(self) -> float:
        """Its length, by estimate."""

    @property
    def chain(self) -> list[int]:
        """The hashes of its whole blocks; each stands for the prompt up to its end."""

@final
class AffinityIndex:
    """Bounded-affinity hashing over an index of who has seen which prefix.

    `targets` are at most 64 names, or a mapping from names to weights. The index keeps to `memory` bytes and forgets
    what was used longest ago. Times (`now`) are whole seconds of any clock that only goes forward.

    >>> index = AffinityIndex(["gpu-0", "gpu-1"])
    >>> prompt = "You are a helpful assistant. " * 100
    >>> first = index.choose(prompt)
    >>> first.reason
    'cold'
    >>> index.insert(prompt, first.target)
    >>> again = index.choose(prompt)
    >>> (again.reason, again.target == first.target)
    ('warm', True)
    """

    def __new__(
        cls,
        targets: _Targets,
        *,
        memory: int = 8388608,
        margin_tokens: float = 256.0,
        bound_seconds: float = 0.5,
        bound_share: float = 0.25,
        context_share: float = 0.05,
    ) -> AffinityIndex:
        """ValueError for a name twice, no weight above 0, more than 64 targets, or too little memory."""

    def choose(
        self, prompt: Prompt | str | bytes, loads: dict[str, tuple[int, int]] | None = None, *, now: int = 0
    ) -> Decision | None:
        """The target for this prompt, which is not remembered: `insert` it once it is sent.

        `loads` are pairs as `edgeroute.placement.Load` by name; a target that is left out is not chosen. None if
        nobody with a weight is left.
        """

    def insert(self, prompt: Prompt | str | bytes, target: str, *, now: int = 0) -> None:
        """The target will have seen the whole prompt."""

    def depths(self, prompt: Prompt | str | bytes, *, now: int = 0) -> dict[str, int]:
        """How many blocks of the prompt, from its beginning, each target has seen."""

    def reset(self, target: str, *, now: int = 0) -> None:
        """The target has lost its cache: what it had seen up to this second does not count any more."""

    def learn(self, uncached_tokens: int, seconds: float) -> None:
        """A prompt's first token came after so many seconds, from a target that read nothing else meanwhile.

        How fast targets read decides how much busier than others one with a warm cache may be.
        """

    @property
    def prefill_rate(self) -> float:
        """How many prompt tokens a target reads per second, as learned; 10,000 before."""

    @property
    def capacity(self) -> int:
        """How many blocks the index holds at most."""

@final
class Decision:
    """A choice of `AffinityIndex`, and all that led to it; as a text, for people."""

    @property
    def target(self) -> str:
        """The name of the chosen target."""

    @property
    def reason(
        self,
    ) -> Literal["warm", "cold", "warm-over-bound", "cold-over-bound", "cheaper", "leaving-too-dear"]:
        """Whether a cache decided, and whether the targets that were wanted first were too busy or too dear."""

    @property
    def uncached_tokens(self) -> float:
        """The prompt tokens that the chosen target has to read: what to add to its load until its first token."""

    @property
    def hub_blocks(self) -> int:
        """The blocks that every candidate has seen."""

    @property
    def least_load(self) -> float:
        """The load of the least busy candidate with this request, in tokens."""

    @property
    def bound(self) -> float:
        """How far above that load affinity may lead, in tokens."""

    @property
    def considered(self) -> list[Considered]:
        """Every candidate: what was known about it, and why it was passed over."""

    @property
    def order(self) -> list[str]:
        """The chosen target, then the others by load: where to go when the chosen one fails."""

@final
class RoundRobin:
    """Smooth weighted round robin.

    >>> turns = RoundRobin({"gpu-0": 2, "gpu-1": 1})
    >>> [turns.at(turn) for turn in range(4)]
    ['gpu-0', 'gpu-1', 'gpu-0', 'gpu-0']
    """

    def __new__(cls, targets: _Targets) -> RoundRobin:
        """ValueError for a name twice, no weight above 0, or a round of more than 65,536 turns."""

    def at(self, turn: int) -> str:
        """Whose turn it is; turns are counted by the caller."""

@final
class Latency:
    """What a target's requests have taken: to the first token by size of prompt, and per further token.

    Peaks count at once and are forgiven over ten seconds (peak-EWMA).
    """

    def __new__(cls) -> Latency: ...
    def record_first_token(self, prompt_tokens: int, milliseconds: float, now_ms: int) -> None:
        """A request's first token came after so many milliseconds."""

    def record_per_token(self, prompt_tokens: int, milliseconds: float, now_ms: int) -> None:
        """Further tokens took so many milliseconds each."""

    def cost(self, prompt_tokens: int, output_tokens: int, in_flight: int) -> float:
        """What such a request would take in milliseconds, times the requests that wait with it; 0 without samples."""

def least_share(right: int, wrong: int) -> float:
    """The share that is right, for all that is known of it: the truth is less for a chance of 5 % only."""

def least_load(loads: dict[str, int], *, tokens: int = 0, seed: int = 0) -> str:
    """The target with the fewest tokens in flight if it took `tokens` more; equal ones take turns by `seed`."""

def power_of_two(loads: dict[str, int], *, tokens: int = 0, seed: int = 0) -> str:
    """The one with fewer tokens in flight of two targets that `seed` draws."""

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
