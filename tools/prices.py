"""Makes the catalogue of prices that ships with edgeroute, from a list of models like that of models.dev.

    python tools/prices.py MODELS.jsonl 2026-07-02

Each line of the list is a model: `provider`, `model`, `cost_per_mtok_usd` (`input`, `output`, `cache_read` …; US
dollars per million tokens). Kept are the providers of our catalogue, and of each model the three prices that a router
needs. The date says when the list was true. Source: models.dev (MIT).
"""

import argparse
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from edgeroute.providers import CATALOGUE
from edgeroute.providers.prices import FILE

_THEIR_NAMES = {"moonshotai": "moonshot", "togetherai": "together", "fireworks-ai": "fireworks"}
_CACHED = ("cache_read", "cached_input", "cache_input")


def prices(models: Iterable[dict[str, Any]]) -> dict[str, dict[str, list[float]]]:
    """By provider and model: input, cached input, output.

    A model is left out if it costs nothing: the list writes that too where it knows no price. A cached input that
    costs nothing is one that is not cached, so it costs what any input does.
    """
    found: dict[str, dict[str, list[float]]] = {}
    for each in models:
        provider = _THEIR_NAMES.get(each["provider"], each["provider"])
        cost = each["cost_per_mtok_usd"]
        if provider not in CATALOGUE or not cost.get("input"):
            continue
        cached = next((cost[name] for name in _CACHED if cost.get(name)), cost["input"])
        found.setdefault(provider, {})[each["model"]] = [cost["input"], cached, cost.get("output", 0)]
    return {provider: dict(sorted(of_models.items())) for provider, of_models in sorted(found.items())}


def render(found: dict[str, dict[str, list[float]]], date: str) -> str:
    """The file: a line for each model."""
    head = {"source": "models.dev (MIT)", "date": date, "unit": "US dollars per million tokens: input, cached, output"}
    lines = [f"  {json.dumps(name)}: {json.dumps(value)}," for name, value in head.items()]
    providers: list[str] = []
    for provider, of_models in found.items():
        rows = ",\n".join(f"      {json.dumps(model)}: {json.dumps(price)}" for model, price in of_models.items())
        providers.append(f"    {json.dumps(provider)}: {{\n{rows}\n    }}")
    return "\n".join(["{", *lines, '  "prices": {', ",\n".join(providers), "  }", "}", ""])


def main() -> None:
    """Writes the file into the package."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("models", type=Path, help="the list, a JSON object per line")
    parser.add_argument("date", help="when it was true, as in 2026-07-02")
    arguments = parser.parse_args()
    lines = arguments.models.read_text(encoding="utf-8").splitlines()
    FILE.write_text(render(prices(map(json.loads, lines)), arguments.date), encoding="utf-8")


if __name__ == "__main__":
    main()
