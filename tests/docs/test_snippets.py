"""Every block of the pages is run, checked or written down here as one that cannot be."""

from pathlib import Path

import pytest
from pages import PAGES, Page
from session import Session

from edgeroute.cli import COMMANDS

LANGUAGES = {"sh", "text", "yaml", "json", "python", "sql"}

NOT_TESTED: dict[str, list[str]] = {}
"""Blocks that nothing is done with, and why."""


@pytest.mark.parametrize("page", [page for page in PAGES if page.blocks], ids=str)
def test_the_blocks_of_a_page(page: Page, tmp_path: Path) -> None:
    with Session(tmp_path) as session:
        for block in page.blocks:
            session.do(block)


def test_blocks_that_are_not_tested() -> None:
    found = {page.name: [block.directives.get("not tested") for block in page.blocks] for page in PAGES}
    assert {name: whys for name, all_ in found.items() if (whys := [why for why in all_ if why])} == NOT_TESTED


def test_every_block_says_its_language() -> None:
    unknown = [str(block) for page in PAGES for block in page.blocks if block.language not in LANGUAGES]
    assert not unknown


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_commands_in_the_text_exist(page: Page) -> None:
    commands = [words for words in map(str.split, page.code) if words[:1] == ["edgeroute"] and len(words) > 1]
    assert {words[1] for words in commands} <= {*COMMANDS, "COMMAND", "--version", "--help"}


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_lines_are_short(page: Page) -> None:
    long = [line for line in page.text.splitlines() if len(line) > 120 and not line.startswith(("|", "\\copy"))]
    assert not long
