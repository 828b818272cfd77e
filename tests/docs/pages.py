"""The pages of the documentation: their blocks, links and anchors.

An HTML comment right before a fenced block says what the tests do with it, besides what its language says:

    file: NAME       it is written to this file; a configuration must pass `edgeroute check`
    append: NAME     it is appended to this file, likewise
    wrong            the configuration is wrong on purpose: `edgeroute check` refuses it
    exits N          the commands end with this exit status
    not tested: WHY  nothing is done with it; `test_snippets.py` lists these blocks

Several are joined by `; `.
"""

import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

ROOT = Path(__file__).parents[2]

_BLOCK = re.compile(
    r"^(?:(?P<indent> *)<!-- (?P<comment>[^\n]+) -->\n+)?(?P<margin> *)```(?P<language>\w*)\n(?P<text>.*?)^ *```$",
    re.MULTILINE | re.DOTALL,
)
_HEADING = re.compile(r"^#{1,6} (.+)$", re.MULTILINE)
_LINK = re.compile(r"(?<!\!)\[[^\]]+\]\(([^)\s]+)\)")
_CODE = re.compile(r"`([^`\n]+)`")


@dataclass(frozen=True)
class Block:
    """A fenced block of a page."""

    page: "Page"
    line: int
    language: str
    text: str
    directives: dict[str, str]
    """What the comment before it says: values by their words."""

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


@dataclass(frozen=True)
class Page:
    """A page, by its path from the root of the repository."""

    name: str

    def __str__(self) -> str:
        return self.name

    @cached_property
    def text(self) -> str:
        """The whole page."""
        return (ROOT / self.name).read_text(encoding="utf-8")

    @cached_property
    def blocks(self) -> list[Block]:
        """Its fenced blocks in order."""
        return [self._block(match) for match in _BLOCK.finditer(self.text)]

    def _block(self, match: re.Match[str]) -> Block:
        line = self.text.count("\n", 0, match.start("language")) + 1
        text = re.sub(rf"^{match['margin']}", "", match["text"], flags=re.MULTILINE)
        parts = [part.partition(":" if ":" in part else " ") for part in (match["comment"] or "").split("; ") if part]
        return Block(self, line, match["language"], text, {word: value.strip() for word, _, value in parts})

    @cached_property
    def prose(self) -> str:
        """What is not in fenced blocks."""
        return _BLOCK.sub("", self.text)

    @cached_property
    def links(self) -> list[str]:
        """The targets of its links."""
        return _LINK.findall(self.prose)

    @cached_property
    def code(self) -> list[str]:
        """What stands in backquotes in its prose."""
        return _CODE.findall(self.prose)

    @cached_property
    def anchors(self) -> set[str]:
        """The anchors of its headings, as GitHub makes them."""
        plain = [re.sub(r"`|\[|\]\([^)]*\)", "", title) for title in _HEADING.findall(self.prose)]
        return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in plain}


PAGES = [Page("README.md"), *(Page(str(each.relative_to(ROOT))) for each in sorted((ROOT / "docs").rglob("*.md")))]
"""What a reader is led through. CHANGELOG.md and SECURITY.md have links, but nothing to run."""
