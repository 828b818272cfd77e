"""The catalogue of prices is made of a list of models."""

import json
from typing import Any

from prices import prices, render


def test_what_is_kept() -> None:
    def check(provider: str, cost: dict[str, float], expected: dict[str, dict[str, list[float]]]) -> None:
        models: list[dict[str, Any]] = [{"provider": provider, "model": "a", "cost_per_mtok_usd": cost}]
        assert prices(models) == expected

    check("openai", {"input": 2, "output": 8, "cache_read": 0.5}, {"openai": {"a": [2, 0.5, 8]}})
    check("moonshotai", {"input": 2, "output": 8, "cached_input": 1}, {"moonshot": {"a": [2, 1, 8]}})
    check("openai", {"input": 2, "output": 8}, {"openai": {"a": [2, 2, 8]}})  # nothing is cached
    check("openai", {"input": 2, "output": 8, "cache_read": 0}, {"openai": {"a": [2, 2, 8]}})
    check("openai", {"input": 2}, {"openai": {"a": [2, 2, 0]}})  # embeddings
    check("openai", {"input": 0, "output": 0}, {})
    check("openai", {}, {})
    check("unheard-of", {"input": 2, "output": 8}, {})


def test_the_file_is_json_with_a_line_for_each_model() -> None:
    text = render({"openai": {"a": [1, 0.5, 2], "b": [1, 1, 1]}, "xai": {"c": [3, 3, 3]}}, "2026-07-02")
    found = json.loads(text)
    assert (found["date"], found["prices"]["openai"]["a"], found["prices"]["xai"]) == (
        "2026-07-02",
        [1, 0.5, 2],
        {"c": [3, 3, 3]},
    )
    assert sum('": [' in line for line in text.splitlines()) == 3
