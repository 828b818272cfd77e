"""`edgeroute.placement`: who gets the request, as a library."""

import doctest
import math
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from edgeroute import AffinityIndex, Ring, placement
from edgeroute.placement import Latency, Load, Prompt, RoundRobin, least_load, power_of_two

GPUS = ["gpu-0", "gpu-1", "gpu-2", "gpu-3"]


@pytest.mark.parametrize("name", ["AffinityIndex", "Prompt", "Ring", "RoundRobin"])
def test_the_examples_of_docstrings_are_true(name: str) -> None:
    text = getattr(placement, name).__doc__
    test = doctest.DocTestParser().get_doctest(text, dict(vars(placement)), name, None, 0)
    assert test.examples
    assert doctest.DocTestRunner().run(test).failed == 0


def test_a_ring_that_loses_a_target_moves_only_its_keys() -> None:
    keys = [f"session {number}" for number in range(500)]
    before = {key: Ring(GPUS).choose(key) for key in keys}
    after = {key: Ring(GPUS[:3]).choose(key) for key in keys}
    assert all(before[key] in ("gpu-3", after[key]) for key in keys)
    assert len(set(before.values())) == 4


def test_a_ring_keeps_to_its_bound() -> None:
    ring = Ring(GPUS, load_factor=1.25)
    loads = dict.fromkeys(GPUS, 0)
    for _ in range(100):
        chosen = ring.choose("always the same", loads)
        assert chosen is not None
        loads[chosen] += 1
    assert max(loads.values()) <= math.ceil(1.25 * 100 / 4)


def test_who_is_left_out_of_the_loads_takes_nothing() -> None:
    ring, index = Ring(GPUS), AffinityIndex(GPUS)
    for number in range(50):
        assert ring.choose(f"session {number}", {"gpu-1": 0}) == "gpu-1"
        decision = index.choose(f"prompt {number}" * 100, {"gpu-2": Load()})
        assert decision is not None
        assert decision.target == "gpu-2"
    assert ring.choose("a", {}) is None
    assert index.choose("a", {}) is None


def test_weights() -> None:
    assert Counter(Ring({"a": 3, "b": 1}).choose(str(number)) for number in range(4000))["a"] in range(2700, 3300)
    assert Ring({"a": 0, "b": 1}).order("x") == ["b"]
    turns = RoundRobin({"a": 5, "b": 1, "c": 1})
    assert "".join(turns.at(turn) for turn in range(7)) == "aabacaa"


def test_a_prompt_goes_where_its_beginning_is() -> None:
    index = AffinityIndex(GPUS)
    conversation = "You are a helpful assistant. " * 200
    first = index.choose(conversation)
    assert first is not None
    assert first.reason == "cold"
    index.insert(conversation, first.target)
    longer = Prompt(conversation + "And what is the capital of France? " * 50)
    second = index.choose(longer)
    assert second is not None
    assert (second.target, second.reason) == (first.target, "warm")
    assert second.uncached_tokens < longer.tokens / 2
    assert index.depths(longer)[first.target] == len(conversation) // 256
    index.reset(first.target, now=1)
    assert index.depths(longer, now=1) == dict.fromkeys(GPUS, 0)


def test_a_decision_tells_why() -> None:
    index = AffinityIndex(["gpu-0", "gpu-1"])
    index.insert("a" * 8192, "gpu-0")
    decision = index.choose("a" * 8192, {"gpu-0": Load(uncached_tokens=100_000), "gpu-1": Load()})
    assert decision is not None
    assert (decision.target, decision.reason) == ("gpu-1", "warm-over-bound")
    assert decision.order == ["gpu-1", "gpu-0"]
    busy, idle = decision.considered
    assert (busy.target, busy.depth_blocks, busy.load, busy.passed_over) == ("gpu-0", 32, 100_000, "over the bound")
    assert (idle.uncached_tokens, idle.passed_over) == (2048, None)
    assert "gpu-0  32 blocks seen" in str(decision)
    assert "97952 tokens above the least load, 12500 allowed" in str(decision)


def test_two_routers_that_know_nothing_agree() -> None:
    ours, theirs = AffinityIndex(GPUS), AffinityIndex(GPUS)
    for number in range(100):
        prompt = f"conversation {number} " * 100
        mine, other = ours.choose(prompt), theirs.choose(prompt)
        assert mine is not None
        assert other is not None
        assert mine.target == other.target


def test_tenants_with_salts_share_nothing() -> None:
    assert not set(Prompt("a" * 4096, salt=1).chain) & set(Prompt("a" * 4096, salt=2).chain)
    assert Prompt("a" * 4096).chain == Prompt(b"a" * 4096).chain


def test_what_is_learned_moves_the_bound() -> None:
    index = AffinityIndex(GPUS)
    before = index.prefill_rate
    for _ in range(100):
        index.learn(10_000, 0.1)
    assert before == 10_000
    assert index.prefill_rate > 90_000
    index.learn(10_000, float("nan"))
    index.learn(1, 1e-9)
    assert index.prefill_rate < 100_000


def test_loads_of_tokens() -> None:
    loads = {"a": 10_000, "b": 500, "c": 9_000}
    assert {least_load(loads, seed=seed) for seed in range(20)} == {"b"}
    assert {power_of_two(loads, seed=seed) for seed in range(50)} == {"b", "c"}
    assert {least_load({"a": 0, "b": 0}, seed=seed) for seed in range(2)} == {"a", "b"}


def test_latency_counts_peaks_at_once_and_forgives_them() -> None:
    latency = Latency()
    assert latency.cost(1000, 100, 0) == 0
    latency.record_first_token(1000, 500.0, 0)
    latency.record_per_token(1000, 10.0, 0)
    assert latency.cost(1000, 100, 0) == 1500
    assert latency.cost(1000, 100, 1) == 3000
    latency.record_first_token(1000, 100.0, 100_000)
    assert latency.cost(1000, 0, 0) == pytest.approx(100, rel=0.01)


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: Ring([]), "at least one target needs a weight above zero"),
        (lambda: Ring({"a": 0}), "at least one target needs a weight above zero"),
        (lambda: Ring(["a", "a"]), 'the target "a" is listed twice'),
        (lambda: Ring({"a": -1}), 'the weight of "a" must be from 0 to 4294967295; it is -1'),
        (lambda: Ring("abc"), "targets are a list of names, or a mapping from names to weights"),
        (lambda: Ring(["a"], load_factor=0.5), "it must be at least 100 %"),
        (lambda: Ring(["a"], load_factor=float("nan")), "a load factor is a number from 1"),
        (lambda: Ring({"a": 2**32 - 1}), "lower the weights or the number of virtual nodes"),
        (lambda: Ring(["a"], virtual_nodes=0), "at least one virtual node"),
        (lambda: Ring(map(str, range(70_000))), "70000 targets are too many"),
        (lambda: Ring(["a"]).choose("x", {"b": 1}), 'there is no target "b"'),
        (lambda: Ring(["a"]).choose("x", {"a": -1}), 'the load of "a" must be from 0'),
        (lambda: AffinityIndex(map(str, range(65))), "65 targets are too many: at most 64"),
        (lambda: AffinityIndex(["a"], memory=10), "at least 80 words of memory"),
        (lambda: AffinityIndex(["a"]).insert("x", "b"), 'there is no target "b"'),
        (lambda: AffinityIndex(["a"]).choose("x", {"a": (0, -1)}), 'the load of "a" must be from 0'),
        (lambda: Prompt("x", tokens_per_byte=0), "tokens_per_byte must be above 0"),
        (lambda: Prompt.from_blocks([1], tokens=-1, tokens_per_block=64), "tokens must not be negative"),
        (lambda: RoundRobin({"a": 1, "b": 10**9}), "use weights with a common divisor"),
        (lambda: least_load({}), "there is nothing to choose from"),
        (lambda: power_of_two({"a": -5}), 'the load of "a" must be from 0'),
    ],
)
def test_errors_say_what_is_wrong(make: Callable[[], Any], sentence: str) -> None:
    with pytest.raises(ValueError, match="^.*" + sentence.replace("(", r"\(").replace("%", "%")):
        make()


def test_what_is_large_or_empty_works() -> None:
    index = AffinityIndex(GPUS)
    for prompt in ("", b"", "x" * 10_000_000):
        assert index.choose(prompt) is not None
    assert len(Prompt("x" * 10_000_000).chain) == 1024
    assert Ring(map(str, range(10_000)), virtual_nodes=16).choose("x") is not None
    with pytest.raises(MemoryError):
        AffinityIndex(GPUS, memory=10**15)
