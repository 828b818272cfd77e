"""YAML as version 1.2 reads it, and edgeroute: `off` and `yes` are text. PyYAML reads 1.1."""

import re
from pathlib import Path
from typing import Any

import yaml

_BOOL = "tag:yaml.org,2002:bool"


class _Loader(yaml.SafeLoader):
    """PyYAML's, with the booleans of 1.2."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != _BOOL]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
for _word in ("true", "false"):
    _Loader.yaml_implicit_resolvers[_word[0]] = [
        *_Loader.yaml_implicit_resolvers.get(_word[0], []),
        (_BOOL, re.compile(f"{_word}$")),
    ]


def load(text: str) -> Any:
    """What a text holds."""
    return yaml.load(text, Loader=_Loader)


def load_file(path: Path) -> Any:
    """What a file holds."""
    return load(path.read_text(encoding="utf-8"))
