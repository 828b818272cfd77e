"""One replica of an inference engine: iteration-level batching, chunked prompts, a paged cache of prefixes.

It follows vLLM's scheduler: every iteration gives each decoding sequence a token and spends the rest of its budget on
prompts, first come, first served. A prompt is admitted when the blocks of its whole context fit; blocks are pinned
while a sequence uses them, shared by all that do, and then kept until room is needed, the longest unused first. There
is no preemption.
"""

from collections import OrderedDict, deque
from heapq import heappop, heappush
from math import ceil, inf, sqrt

from simulation.loads import Request
from simulation.parameters import Engine


class Job:
    """A request on its way."""

    __slots__ = ("alone", "arrival", "cached", "first", "left", "owner", "replica", "request", "router", "uncached")

    def __init__(self, request: Request, arrival: float, owner: int) -> None:
        self.request = request
        self.arrival = arrival
        self.owner = owner
        """Whose turn it is when this ends."""
        self.router = 0
        self.replica = 0
        self.uncached = 0
        """Tokens to read, as the router believes."""
        self.cached = 0
        """Prompt tokens that the replica's cache held."""
        self.left = 0
        """Prompt tokens that it has yet to read."""
        self.alone = False
        """Whether its replica was reading nothing else when it was sent."""
        self.first = inf


class Cache:
    """Blocks of prefixes: those in use, and those that are kept as long as there is room."""

    def __init__(self, engine: Engine, block_tokens: int) -> None:
        self.block_tokens = block_tokens
        self.capacity = engine.kv_tokens // block_tokens
        """Blocks that may be in use."""
        self.kept = (engine.kv_tokens + engine.dram_tokens) // block_tokens
        """Blocks in all."""
        self.has_dram = engine.dram_tokens > 0
        self.used = 0
        self.pinned: dict[int, int] = {}
        """How many sequences use a block."""
        self.idle: OrderedDict[int, None] = OrderedDict()

    def blocks(self, request: Request) -> int:
        """What a request's whole context takes."""
        return max(ceil((request.tokens + request.output) / self.block_tokens), len(request.blocks))

    def admit(self, job: Job) -> int | None:
        """Pins the blocks of a job and says how many of its tokens have to be fetched; None if they do not fit."""
        request, pinned, idle = job.request, self.pinned, self.idle
        shared = fetched = 0
        for block in request.blocks:
            if block in pinned:
                shared += 1
            elif block in idle:
                fetched += 1
            else:
                break
        total = self.blocks(request)
        if self.used + total - shared > self.capacity:
            return None
        for block in request.blocks:
            users = pinned.get(block)
            if users is None:
                pinned[block] = 1
                idle.pop(block, None)
                self.used += 1
            else:
                pinned[block] = users + 1
        self.used += total - len(request.blocks)
        self._make_room()
        # The last token is read in any case, for its successor is wanted.
        job.cached = min((shared + fetched) * self.block_tokens, request.tokens - 1)
        return fetched * self.block_tokens if self.has_dram else 0

    def release(self, job: Job) -> None:
        """The job's blocks are idle now, and so are those of its reply; the ends of prefixes go first."""
        request, pinned, idle = job.request, self.pinned, self.idle
        self.used -= self.blocks(request) - len(request.blocks)
        for block in reversed(request.reply_blocks):
            if block not in pinned:
                idle[block] = None
                idle.move_to_end(block)
        for block in reversed(request.blocks):
            users = pinned[block] - 1
            if users:
                pinned[block] = users
            else:
                del pinned[block]
                idle[block] = None
                self.used -= 1
        self._make_room()

    def _make_room(self) -> None:
        idle = self.idle
        for _ in range(self.used + len(idle) - self.kept):
            idle.popitem(last=False)


class Replica:
    """Its queue, its batch and its cache. Iterations that only decode and end no sequence are taken in one step."""

    def __init__(self, engine: Engine, block_tokens: int) -> None:
        self.engine = engine
        self.cache = Cache(engine, block_tokens)
        self.version = 0
        """Changes when the end of the current step does."""
        self.computed = 0
        """Prompt tokens read so far."""
        self._waiting: deque[Job] = deque()
        self._reading: Job | None = None
        """The one prompt that is read in part."""
        self._read: list[Job] = []
        """Prompts that the current iteration completes."""
        self._decoding: list[tuple[int, int, Job]] = []
        """A heap: the iteration in which each sequence ends, a number, the job."""
        self._context = 0
        """Tokens of context of the decoding sequences."""
        self._iteration = 0
        self._numbers = 0
        self._began = 0.0
        self._steps = 0
        """Iterations in the current step; 0 while there is nothing to do."""
        self._first_step = 0.0
        self._growth = 0.0

    def arrive(self, job: Job, now: float) -> float | None:
        """Queue a job. The time of the next `wake`, if it changes."""
        request = job.request
        if self.cache.blocks(request) > self.cache.capacity:
            raise ValueError(f"a context of {request.tokens + request.output} tokens does not fit into a replica")
        self._waiting.append(job)
        if self._steps == 0:
            return self._start(now)
        if self._steps == 1 or len(self._waiting) > 1:
            return None
        # The iteration under way ends, and the next one takes the job.
        steps = self._steps_until(now - self._began)
        if steps >= self._steps:
            return None
        self._steps = steps
        self.version += 1
        return self._end()

    def wake(self, now: float) -> tuple[list[Job], list[Job], float]:
        """The step ends: the jobs whose first token came, those that are done, and the time of the next `wake`."""
        decoding = self._decoding
        self._iteration += self._steps
        self._context += self._steps * len(decoding)
        done: list[Job] = []
        while decoding and decoding[0][0] <= self._iteration:
            job = heappop(decoding)[2]
            self._context -= job.request.tokens + job.request.output
            done.append(job)
        first, self._read = self._read, []
        for job in first:
            if job.request.output <= 1:
                done.append(job)
                continue
            self._numbers += 1
            heappush(decoding, (self._iteration + job.request.output - 1, self._numbers, job))
            self._context += job.request.tokens + 1
        for job in done:
            self.cache.release(job)
        return first, done, self._start(now)

    def _start(self, now: float) -> float:
        """Begin a step; when it ends."""
        engine, sequences = self.engine, len(self._decoding)
        budget = left = engine.token_budget - sequences
        attended = 0.0
        fetched = 0
        while left > 0:
            job = self._reading
            if job is None:
                if not self._waiting or sequences + len(self._read) >= engine.most_sequences:
                    break
                to_fetch = self.cache.admit(self._waiting[0])
                if to_fetch is None:
                    break
                job = self._waiting.popleft()
                job.left = job.request.tokens - job.cached
                fetched += to_fetch
            chunk = min(left, job.left)
            attended += chunk * (job.request.tokens - job.left + chunk / 2)
            left -= chunk
            job.left -= chunk
            self._reading = job if job.left else None
            if not job.left:
                self._read.append(job)
        read = budget - left
        self.computed += read
        self.version += 1
        self._began = now
        self._growth = sequences * engine.per_context_token
        self._first_step = (
            engine.base
            + sequences * engine.per_sequence
            + self._context * engine.per_context_token
            + read * engine.per_prompt_token
            + attended * engine.per_attended_token
            + fetched * engine.per_fetched_token
        )
        if read:
            self._steps = 1
        elif sequences:
            self._steps = self._decoding[0][0] - self._iteration
        else:
            self._steps = 0
            return inf
        return self._end()

    def _end(self) -> float:
        return self._began + self._steps * (self._first_step + self._growth * (self._steps - 1) / 2)

    def _steps_until(self, seconds: float) -> int:
        """The iterations after which so much time has passed since the step began."""
        linear = self._first_step - self._growth / 2
        if self._growth == 0.0:
            return max(1, ceil(seconds / linear))
        root = (sqrt(linear * linear + 2 * self._growth * seconds) - linear) / self._growth
        return max(1, ceil(root))
