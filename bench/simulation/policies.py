"""Who gets a request. Each policy decides by what its router sent, and what came back: first tokens and ends.

Round robin, least load, power of two, latency, the ring, bounded-affinity hashing and every index of prefixes are the
compiled code of edgeroute. The rules of others are written down here from what they publish, over our index: with it
they know of every prefix that went through them, which is more than their own indexes keep.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from functools import partial
from random import Random

from edgeroute.placement import AffinityIndex, Latency, Ring, RoundRobin, least_load, power_of_two
from simulation.loads import Load
from simulation.parameters import Engine
from simulation.replica import Job

ASSUMED_OUTPUT = 256
"""Tokens that a reply is taken to have before it ends."""


class Policy(ABC):
    """What one router knows of its replicas, by position."""

    def __init__(self, names: Sequence[str], random: Random) -> None:
        self.names = list(names)
        self.positions = {name: position for position, name in enumerate(names)}
        self.random = random
        self.requests = [0] * len(names)
        """Sent and not ended."""
        self.waiting = [0] * len(names)
        """Sent and without a first token."""
        self.uncached = [0] * len(names)
        """Tokens to read of those that wait."""
        self.context = [0] * len(names)
        """Prompt tokens of all in flight."""

    @abstractmethod
    def choose(self, job: Job, now: float) -> int:
        """The position of the replica that gets the job."""

    def send(self, job: Job, now: float) -> int:
        """Choose, and remember it."""
        job.uncached = job.request.tokens
        chosen = self.choose(job, now)
        job.replica = chosen
        job.alone = self.waiting[chosen] == 0
        self.requests[chosen] += 1
        self.waiting[chosen] += 1
        self.uncached[chosen] += job.uncached
        self.context[chosen] += job.request.tokens
        return chosen

    def first_token(self, job: Job, now: float) -> None:
        """The job's first token has come."""
        self.waiting[job.replica] -= 1
        self.uncached[job.replica] -= job.uncached

    def end(self, job: Job, now: float) -> None:
        """The job has ended."""
        self.requests[job.replica] -= 1
        self.context[job.replica] -= job.request.tokens

    def lightest(self, loads: Sequence[float]) -> int:
        """The position of the smallest; equal ones are drawn."""
        least = min(loads)
        tied = [position for position, load in enumerate(loads) if load == least]
        return tied[0] if len(tied) == 1 else self.random.choice(tied)


class RandomChoice(Policy):
    def choose(self, job: Job, now: float) -> int:
        return self.random.randrange(len(self.names))


class InTurn(Policy):
    def __init__(self, names: Sequence[str], random: Random) -> None:
        super().__init__(names, random)
        self.round = RoundRobin(names)
        self.turn = random.randrange(len(names))

    def choose(self, job: Job, now: float) -> int:
        self.turn += 1
        return self.positions[self.round.at(self.turn)]


class LeastRequests(Policy):
    def choose(self, job: Job, now: float) -> int:
        loads = dict(zip(self.names, self.requests, strict=True))
        return self.positions[least_load(loads, seed=self.random.getrandbits(64))]


class _ByTokens(Policy):
    """By tokens in flight: prompts, and what they may generate."""

    def loads(self) -> dict[str, int]:
        return {
            name: context + ASSUMED_OUTPUT * requests
            for name, context, requests in zip(self.names, self.context, self.requests, strict=True)
        }


class LeastLoad(_ByTokens):
    def choose(self, job: Job, now: float) -> int:
        tokens = job.request.tokens + ASSUMED_OUTPUT
        return self.positions[least_load(self.loads(), tokens=tokens, seed=self.random.getrandbits(64))]


class PowerOfTwo(_ByTokens):
    def choose(self, job: Job, now: float) -> int:
        tokens = job.request.tokens + ASSUMED_OUTPUT
        return self.positions[power_of_two(self.loads(), tokens=tokens, seed=self.random.getrandbits(64))]


class PeakEwma(Policy):
    """Finagle's, as the `latency` strategy has it: to the first token by size of prompt, and per token."""

    def __init__(self, names: Sequence[str], random: Random) -> None:
        super().__init__(names, random)
        self.latencies = [Latency() for _ in names]

    def choose(self, job: Job, now: float) -> int:
        tokens = job.request.tokens
        return self.lightest(
            [
                latency.cost(tokens, ASSUMED_OUTPUT, requests)
                for latency, requests in zip(self.latencies, self.requests, strict=True)
            ]
        )

    def first_token(self, job: Job, now: float) -> None:
        super().first_token(job, now)
        taken = 1000 * (now - job.arrival)
        self.latencies[job.replica].record_first_token(job.request.tokens, taken, int(now * 1000))

    def end(self, job: Job, now: float) -> None:
        super().end(job, now)
        if job.request.output > 1:
            each = 1000 * (now - job.first) / (job.request.output - 1)
            self.latencies[job.replica].record_per_token(job.request.tokens, each, int(now * 1000))


class BoundedHash(Policy):
    """Consistent hashing with bounded loads as KubeAI sets it: 256 points each, c = 1.25."""

    def __init__(self, names: Sequence[str], random: Random, key: str) -> None:
        super().__init__(names, random)
        self.ring = Ring(names)
        self.key = key

    def choose(self, job: Job, now: float) -> int:
        chosen = self.ring.choose(job.request.keys[self.key], dict(zip(self.names, self.requests, strict=True)))
        # At c above 1 there is always room.
        assert chosen is not None
        return self.positions[chosen]


class _Prefixes(Policy):
    """With an index of who has seen which prefix."""

    def __init__(self, names: Sequence[str], random: Random, hashed_tokens: int) -> None:
        super().__init__(names, random)
        self.index = AffinityIndex(names)
        self.hashed_tokens = hashed_tokens

    def choose(self, job: Job, now: float) -> int:
        depths = list(self.index.depths(job.request.prompt, now=int(now)).values())
        left = [max(1, job.request.tokens - depth * self.hashed_tokens) for depth in depths]
        chosen = self.among(job, left)
        job.uncached = left[chosen]
        self.index.insert(job.request.prompt, self.names[chosen], now=int(now))
        return chosen

    @abstractmethod
    def among(self, job: Job, left: list[int]) -> int:
        """The position for a job, of which each replica would have to read `left` tokens."""

    def matched(self, job: Job, left: list[int]) -> list[float]:
        """The share of the prompt that each replica has seen."""
        return [1 - each / job.request.tokens for each in left]


class CacheAware(_Prefixes):
    """SGLang's gateway: shortest queue while out of balance (by 64 and 1.5), else the best match above 0.3."""

    def among(self, job: Job, left: list[int]) -> int:
        fewest, most = min(self.requests), max(self.requests)
        if most - fewest > 64 and most > 1.5 * fewest:
            return self.lightest(self.requests)
        best = min(left)
        if 1 - best / job.request.tokens <= 0.3:
            return self.lightest(self.requests)
        return self.lightest([each if left[at] == best else 10**9 for at, each in enumerate(self.requests)])


class PrefixBlend(_Prefixes):
    """The endpoint picker of Kubernetes' inference extension: prefix 3, queue 2, KV cache 2."""

    def __init__(self, names: Sequence[str], random: Random, hashed_tokens: int, engine: Engine) -> None:
        super().__init__(names, random, hashed_tokens)
        self.kv_tokens = engine.kv_tokens

    def among(self, job: Job, left: list[int]) -> int:
        shortest, longest = min(self.waiting), max(self.waiting)
        span = max(1, longest - shortest)
        costs = [
            -3 * matched + 2 * (waiting - shortest) / span + 2 * min(1.0, context / self.kv_tokens)
            for matched, waiting, context in zip(self.matched(job, left), self.waiting, self.context, strict=True)
        ]
        return self.lightest(costs)


class Product(_Prefixes):
    """lmetric: tokens to read times requests in flight."""

    def among(self, job: Job, left: list[int]) -> int:
        return self.lightest([each * (requests + 1) for each, requests in zip(left, self.requests, strict=True)])


class ShortestWait(_Prefixes):
    """The least tokens to read, others' and its own: the estimate of Mooncake's conductor."""

    def among(self, job: Job, left: list[int]) -> int:
        return self.lightest([own + others for own, others in zip(left, self.uncached, strict=True)])


class Sticky(_Prefixes):
    """llm-d, "sticky until saturated": with 80 % of the prompt, unless two seconds of reading behind the idlest."""

    def __init__(self, names: Sequence[str], random: Random, hashed_tokens: int, engine: Engine) -> None:
        super().__init__(names, random, hashed_tokens)
        self.bound = 2.0 / engine.per_prompt_token

    def among(self, job: Job, left: list[int]) -> int:
        least = min(self.uncached)
        sticks = [
            matched >= 0.8 and uncached - least <= self.bound
            for matched, uncached in zip(self.matched(job, left), self.uncached, strict=True)
        ]
        among = sticks if any(sticks) else [True] * len(left)
        return self.lightest(
            [own + others if may else 10**12 for own, others, may in zip(left, self.uncached, among, strict=True)]
        )


class Affinity(Policy):
    """Bounded-affinity hashing: the whole decision is compiled."""

    def __init__(self, names: Sequence[str], random: Random) -> None:
        super().__init__(names, random)
        self.index = AffinityIndex(names)

    def choose(self, job: Job, now: float) -> int:
        loads = dict(zip(self.names, zip(self.uncached, self.context, strict=True), strict=True))
        decision = self.index.choose(job.request.prompt, loads, now=int(now))
        assert decision is not None
        job.uncached = round(decision.uncached_tokens)
        self.index.insert(job.request.prompt, decision.target, now=int(now))
        return self.positions[decision.target]

    def first_token(self, job: Job, now: float) -> None:
        super().first_token(job, now)
        if job.alone:
            self.index.learn(job.uncached, now - job.arrival)


AFFINITY = "affinity"
RING = "CHWBL by "
"""Before the name of its key."""

Maker = Callable[[Sequence[str], Random], Policy]


def makers(load: Load) -> dict[str, Maker]:
    """Every policy by the name that reports give it; the ring once for each key that the load offers."""
    engine, hashed = load.engine, load.hashed_tokens
    made: dict[str, Maker] = {
        "random": RandomChoice,
        "round robin": InTurn,
        "least requests": LeastRequests,
        "least load": LeastLoad,
        "power of two": PowerOfTwo,
        "peak-EWMA": PeakEwma,
        "cache-aware (SGLang)": lambda names, random: CacheAware(names, random, hashed),
        "prefix blend (EPP)": lambda names, random: PrefixBlend(names, random, hashed, engine),
        "product (lmetric)": lambda names, random: Product(names, random, hashed),
        "shortest wait (Mooncake)": lambda names, random: ShortestWait(names, random, hashed),
        "sticky (llm-d)": lambda names, random: Sticky(names, random, hashed, engine),
        AFFINITY: Affinity,
    }
    for key in load.keys:
        made[f"{RING}{key}"] = partial(BoundedHash, key=key)
    return made
