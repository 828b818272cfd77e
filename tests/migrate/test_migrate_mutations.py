"""Whatever stands in a file, an import ends with a draft that is a valid configuration, or with a place in the file."""

import contextlib
import random
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from migrate_inputs import FOLDER, INPUTS, NOW, environment

from edgeroute.config import ConfigError, load
from edgeroute.config.diagnostics import Source
from edgeroute.migrate import Draft, Exports, import_bifrost, import_litellm, write

VALUES = [
    *("null", "true", "[]", "{}", "-1", "0", "1e999", "70000000000000", '"x"', '["a", {}]', '{"a": {"b": []}}'),
    *("os.environ/X", "env.X", '"$${x}"', '"\\ud83d\\ude00"', '"a b/*"', '"*"', '"http://[::1"'),
]
ROUNDS = 25


def mutated(text: str, rng: random.Random) -> str:
    """A text with some values replaced, and perhaps a line less."""
    places = [found.span(1) for found in re.finditer(r'[:\[,]\s*("[^"\n]*"|[\w./*-]+)(?=\s*[,}\]\n])', text)]
    for start, end in sorted(rng.sample(places, min(len(places), rng.randint(1, 4))), reverse=True):
        text = text[:start] + rng.choice(VALUES) + text[end:]
    if rng.random() < 0.2:
        lines = text.splitlines(keepends=True)
        del lines[rng.randrange(len(lines))]
        text = "".join(lines)
    return text


def judge(make: Callable[[], Draft], file: Path) -> None:
    """Fails unless an import refuses its input with a place in it, or makes a configuration that is valid."""
    try:
        draft = make()
    except ConfigError as error:
        if error.diagnostics[0].line == 0:
            raise
        return
    if draft.models:
        text = write(draft, "a mutation")
        file.write_text(text)
        environ = environment(text)
        if "X" in environ and any(is_valid(file, environ | {"X": each}) for each in ("name", "redis://h", "6379")):
            return
        load(file, environ)


def is_valid(file: Path, environ: dict[str, str]) -> bool:
    """Whether a file is a valid configuration."""
    with contextlib.suppress(ConfigError):
        load(file, environ)
        return True
    return False


@pytest.mark.parametrize("path", INPUTS, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_configurations(path: Path, tmp_path: Path):
    rng = random.Random(path.name)
    importer = import_bifrost if path.suffix == ".json" else import_litellm
    for _ in range(ROUNDS):
        source = Source(str(path), mutated(path.read_text(), rng))
        judge(lambda source=source: importer(source, {}, NOW), tmp_path / "edgeroute.yaml")


@pytest.mark.parametrize("name", ["with_keys.keys.csv", "with_keys.teams.json"])
def test_exports(name: str, tmp_path: Path):
    rng = random.Random(name)
    folder = FOLDER / "litellm"
    for _ in range(ROUNDS):
        texts = {each: (folder / each).read_text() for each in ("with_keys.keys.csv", "with_keys.teams.json")}
        texts[name] = mutated(texts[name], rng)
        exports = Exports(*(Source(str(folder / each), text) for each, text in texts.items()))
        config = Source(str(folder / "with_keys.yaml"), (folder / "with_keys.yaml").read_text())
        judge(
            lambda config=config, exports=exports: import_litellm(config, {}, NOW, exports), tmp_path / "edgeroute.yaml"
        )
