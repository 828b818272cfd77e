"""The inputs of the tests of `edgeroute import`, and what is made of them."""

import hashlib
import re
from datetime import UTC, datetime
from pathlib import Path

from edgeroute.migrate import Draft, Exports, import_bifrost, import_litellm, read_source

NOW = datetime(2026, 9, 1, 12, tzinfo=UTC)
FOLDER = Path(__file__).parent / "migrate"
INPUTS = [
    path
    for pattern in ("litellm/*.yaml", "bifrost/*.json")
    for path in sorted(FOLDER.glob(pattern))
    if ".expected" not in path.name
]
"""Configurations of our own like those that LiteLLM and Bifrost publish; each says which it corresponds to."""


def imported(path: Path) -> Draft:
    """A draft of a published configuration, with the exports beside it, and nothing in the environment."""
    if path.suffix == ".json":
        return import_bifrost(read_source(path), {}, NOW)
    tables = [path.with_suffix(suffix) for suffix in (".keys.csv", ".teams.json")]
    exports = Exports(*(read_source(each) if each.exists() else None for each in tables))
    return import_litellm(read_source(path), {}, NOW, exports)


def environment(text: str) -> dict[str, str]:
    """A value for each variable that a configuration reads, and a home."""
    names = set(re.findall(r"\$\{(\w+)\}", text))
    return {"HOME": "/root"} | {name: _value(name, index) for index, name in enumerate(sorted(names))}


def _value(name: str, index: int) -> str:
    if name.endswith("_HASH"):
        return "sha256:" + hashlib.sha256(name.encode()).hexdigest()
    if name.startswith("REDIS_URL"):
        return "redis://:password@cache:6379"
    return "https://models.example.com" if re.search("^X$|BASE|ENDPOINT|URL", name) else f"value-{index}"
