"""Every block of the pages is run, checked or written down here as one that cannot be."""

import re
from pathlib import Path

import pytest
from pages import PAGES, ROOT, Page
from session import Session

from edgeroute.cli import COMMANDS

LANGUAGES = {"sh", "text", "yaml", "json", "python", "sql"}
DIRECTIVES = {"file", "append", "wrong", "exits", "not tested"}

NOT_TESTED = {
    "docs/architecture.md": ["a picture", "test_docs.py compares it with the tree"],
    "docs/benchmarks.md": [
        "takes minutes, and a machine of its own",
        "a picture",
        *["takes minutes"] * 5,
    ],
    "docs/dev/gates.md": ["builds a release"],
    "docs/how-to/caches.md": ["it takes some hundred comparisons"],
    "docs/how-to/deploy.md": [
        "needs root",
        "needs a container runtime",
        "needs a cluster",
        "needs root",
    ],
    "docs/how-to/strategies.md": ["a file of replicas"],
    "docs/reference/diagnostics.md": ["an excerpt"],
    "docs/migrate.md": ["commands for the database of LiteLLM"],
}
"""Blocks that nothing is done with, and why."""


@pytest.mark.parametrize("page", [page for page in PAGES if page.blocks], ids=str)
def test_the_blocks_of_a_page(page: Page, tmp_path: Path) -> None:
    with Session(tmp_path) as session:
        for block in page.blocks:
            session.do(block)


def test_blocks_that_are_not_tested() -> None:
    found = {page.name: [block.directives.get("not tested") for block in page.blocks] for page in PAGES}
    assert {name: whys for name, all_ in found.items() if (whys := [why for why in all_ if why])} == NOT_TESTED


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_files_in_the_text_exist(page: Page) -> None:
    parts = ("rust", "python", "tests", "docs", "config", "deploy", "bench", "tools", "requirements")
    named = [name for name in page.code if re.fullmatch(rf"(?:{'|'.join(parts)})/[\w./-]+", name)]
    assert not [
        name
        for name in named
        if name.endswith((".rs", ".py", ".yaml", "/")) and "NAME" not in name and not exists(name)
    ]


def exists(name: str) -> bool:
    # The architecture leaves `src/` out; test_docs.py looks at all of its files.
    crate = re.fullmatch(r"python/(\w+\.rs)", name)
    return (ROOT / (f"rust/python/src/{crate[1]}" if crate else name)).exists()


def test_blocks_say_their_language_and_what_to_do_in_known_words() -> None:
    for page in PAGES:
        for block in page.blocks:
            assert block.language in LANGUAGES, str(block)
            assert block.directives.keys() <= DIRECTIVES, str(block)


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_commands_in_the_text_exist(page: Page) -> None:
    commands = [words for words in map(str.split, page.code) if words[:1] == ["edgeroute"] and len(words) > 1]
    assert {words[1] for words in commands} <= {*COMMANDS, "COMMAND", "--version", "--help"}


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_lines_are_short(page: Page) -> None:
    long = [line for line in page.text.splitlines() if len(line) > 120 and not line.startswith(("|", "\\copy"))]
    assert not long
