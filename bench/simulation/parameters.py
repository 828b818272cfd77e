"""What the simulated engines and loads are: fixed before policies were compared.

Sources: data sheets of the accelerators, layer sizes of the models, and for `H100X2` the 20,480 prompt tokens a second
that llm-d measured and put into its own router. An engine's iteration takes

    base + per_sequence * sequences + per_context_token * their context
         + prompt tokens * (per_prompt_token + per_attended_token * tokens before them) + per_fetched_token * fetched

where decoding reads the weights and the contexts from memory, reading prompts computes, and fetching moves blocks from
main memory to the accelerator.
"""

from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class Engine:
    """One replica: a model on its accelerators. Times in seconds."""

    name: str
    kv_tokens: int
    """Tokens of context that the accelerators' memory holds."""
    dram_tokens: int
    """Tokens of idle blocks that main memory holds besides."""
    token_budget: int
    """Tokens of one iteration: one per decoding sequence, the rest for prompts."""
    most_sequences: int
    base: float
    per_sequence: float
    per_context_token: float
    per_prompt_token: float
    per_attended_token: float
    per_fetched_token: float


H100X2 = Engine(
    name="32B on two H100",
    kv_tokens=307_200,
    dram_tokens=0,
    token_budget=8192,
    most_sequences=256,
    base=0.013,  # 65 GB of weights at 2 * 2.5 TB/s
    per_sequence=30e-6,
    per_context_token=52e-9,  # 262 kB a token at 2 * 2.5 TB/s
    per_prompt_token=1 / 20_480,
    per_attended_token=1e-9,  # 1.3 MFLOP at 1.3 PFLOP/s
    per_fetched_token=3e-6,  # 262 kB at 2 * 45 GB/s
)

H100X2_DRAM = replace(H100X2, name="32B on two H100, DRAM tier", dram_tokens=4 * H100X2.kv_tokens)

L4 = Engine(
    name="8B in FP8 on L4",
    kv_tokens=88_000,
    dram_tokens=0,
    token_budget=8192,
    most_sequences=256,
    base=0.032,  # 8.1 GB of weights at 250 GB/s
    per_sequence=200e-6,
    per_context_token=0.5e-6,  # 131 kB a token at 260 GB/s
    per_prompt_token=1 / 7_500,  # 16 GFLOP at 120 TFLOP/s
    per_attended_token=4e-9,
    per_fetched_token=0.0,
)

REPLICAS = 8
SLO_P95_TTFT = 5.0
"""Seconds. Goodput is the highest speed-up of a trace at which the 95th percentile is within it."""

TRACE_QUANTUM = 3.0
"""Mooncake's traces give all arrivals of three seconds one timestamp; they are spread over these seconds at random."""
TRACE_SPEED_HBM = 1.6
TRACE_SPEED_DRAM = 1.8


@dataclass(frozen=True, slots=True)
class Tenants:
    """Many tenants with a long prompt each: the load of llm-d's benchmark."""

    tenants: int = 150
    shared_tokens: int = 6000
    question_tokens: int = 1200
    output_tokens: int = 1000
    per_second: float = 9.0
    requests: int = 5400
    block_tokens: int = 60


@dataclass(frozen=True, slots=True)
class Agents:
    """Coding agents, a closed loop: each turn sends all before it again, then a tool runs."""

    sessions_at_once: int = 64
    sessions: int = 320
    kinds: int = 4
    """Kinds of agents; those of one kind share tools and system prompt."""
    shared_tokens: int = 12_288
    first_tokens: float = 8_000.0
    """Median of a session's own first message; log-normal, as are the others."""
    turn_tokens: float = 1_800.0
    """Median of what a turn adds besides the reply."""
    output_tokens: float = 250.0
    spread: float = 0.8
    """Standard deviation of the logarithms."""
    mean_turns: float = 20.0
    tool_seconds: float = 3.0
    most_tokens: int = 160_000
    start_seconds: float = 60.0
    """The first sessions begin within these seconds."""
    block_tokens: int = 512


@dataclass(frozen=True, slots=True)
class Threads:
    """Conversations without think time, a closed loop: the shape of KubeAI's benchmark, on its hardware."""

    threads_at_once: int = 1200
    threads: int = 4800
    template_tokens: int = 32
    message_tokens: float = 36.0
    """Median of a user's message; log-normal."""
    spread: float = 0.7
    output_tokens: int = 40
    least_turns: int = 5
    mean_turns: float = 7.38
    most_turns: int = 30
    start_seconds: float = 10.0
    block_tokens: int = 16
