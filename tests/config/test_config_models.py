"""What names of models mean."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from edgeroute.config.models import Model, Target, dialects_of_model, find_cycles, interpret, match
from edgeroute.config.schema import (
    Config,
    ListedTarget,
    Pool,
    Price,
    Provider,
    Strategy,
    StrategyName,
    TargetTimeouts,
    WeightedTarget,
)


def test_interpret() -> None:
    def check(value: str | Pool, expected: Model) -> None:
        assert interpret(value, {"openai", "vllm"}) == expected

    def served(*targets: Target, strategy: StrategyName = "ordered", fallbacks: tuple[str, ...] = ()) -> Model:
        return Model(None, targets, Strategy(strategy), fallbacks)

    ordered = Strategy("ordered")
    check("fast", Model("fast", (), ordered, ()))
    check("openai", Model("openai", (), ordered, ()))
    check("openai/gpt", served(Target("openai", "gpt")))
    check("vllm/meta/llama", served(Target("vllm", "meta/llama")))
    check("other/gpt", Model("other/gpt", (), ordered, ()))
    check(Pool(["openai/a"], fallbacks=["b"]), served(Target("openai", "a"), fallbacks=("b",)))
    check(Pool({"openai/a": 3}), served(Target("openai", "a", 3), strategy="weighted"))
    check(Pool({"openai/a": 3}, Strategy("cost")), served(Target("openai", "a", 3), strategy="cost"))
    soon = TargetTimeouts(connect=5)
    check(Pool([ListedTarget("openai/a", soon), "vllm/b"]), served(Target("openai", "a", 1, soon), Target("vllm", "b")))
    price = Price(1, 2)
    check(Pool([ListedTarget("openai/a", price=price)]), served(Target("openai", "a", price=price)))
    weighted = WeightedTarget(7, soon, price)
    check(Pool({"openai/a": weighted}), served(Target("openai", "a", 7, soon, price), strategy="weighted"))


def test_dialects_of_model() -> None:
    config = Config(
        providers={"openai": Provider(), "anthropic": Provider(), "vllm": Provider(dialect="openai-chat")},
        models={
            "one": "openai/a",
            "same": Pool(["openai/a", "vllm/b"]),
            "both": Pool({"openai/a": 1, "anthropic/b": 1}),
            "alias": "both",
            "helped": Pool(["anthropic/c"], fallbacks=["one", "helped"]),
            "any/*": "anthropic/*",
        },
    )

    def check(name: str, *expected: str) -> None:
        assert dialects_of_model(config, name) == expected

    check("one", "openai-chat")
    check("same", "openai-chat")
    check("both", "anthropic-messages", "openai-chat")
    check("alias", "anthropic-messages", "openai-chat")
    check("helped", "anthropic-messages", "openai-chat")
    check("any/thing", "anthropic-messages")
    check("unknown")


def test_match() -> None:
    def check(name: str, expected: str | None) -> None:
        assert match(name, ["openai/*", "openai/gpt-*", "openai/gpt-4", "fast"]) == expected

    check("fast", "fast")
    check("openai/gpt-4", "openai/gpt-4")
    check("openai/gpt-5", "openai/gpt-*")  # the longest wildcard
    check("openai/o3", "openai/*")
    check("openai/*", "openai/*")
    check("openai", None)
    check("faster", None)
    assert match("anything", ["*"]) == "*"


GRAPHS = st.dictionaries(st.sampled_from("abcdef"), st.lists(st.sampled_from("abcdefz"), max_size=3))


@given(GRAPHS)
def test_cycles_are_found_exactly_where_there_are_some(edges: dict[str, list[str]]) -> None:
    def reachable(start: str) -> set[str]:
        found: set[str] = set()
        pending = list(edges.get(start, []))
        while pending:
            name = pending.pop()
            if name not in found:
                found.add(name)
                pending += edges.get(name, [])
        return found

    cycles = find_cycles(edges)
    assert bool(cycles) == any(name in reachable(name) for name in edges)
    for cycle in cycles:
        assert cycle[0] == cycle[-1]
        assert all(following in edges[name] for name, following in pairwise(cycle))
