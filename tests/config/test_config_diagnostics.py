"""Where diagnostics point, and what they suggest."""

from pathlib import Path

import pytest

from edgeroute.config import ConfigError, load
from edgeroute.config.diagnostics import nearest


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    def check(path: Path, expected: str) -> None:
        with pytest.raises(ConfigError) as caught:
            load(path, {})
        assert str(caught.value) == f"{path}: error: cannot read the configuration: {expected}\n\nfound 1 error"
        assert caught.value.watched == (path,)

    check(tmp_path / "missing.yaml", "No such file or directory")
    check(tmp_path, "it is not a regular file")
    latin = tmp_path / "latin.yaml"
    latin.write_bytes(b"log: text\n# caf\xe9\n")
    check(latin, "it is not UTF-8 text (line 2, byte 15)")


def test_files_with_other_line_ends_and_a_byte_order_mark_have_the_same_places(tmp_path: Path) -> None:
    def places(content: bytes) -> list[tuple[int, int]]:
        path = tmp_path / "edgeroute.yaml"
        path.write_bytes(content)
        with pytest.raises(ConfigError) as caught:
            load(path, {})
        return [(each.line, each.column) for each in caught.value.diagnostics]

    text = b"log: text\nwrkers: 1\nmodels: {}\n"
    assert places(text) == places(b"\xef\xbb\xbf" + text) == places(text.replace(b"\n", b"\r\n"))


def test_nearest() -> None:
    def check(word: str, candidates: list[str], expected: str | None) -> None:
        assert nearest(word, candidates) == expected

    check("targts", ["targets", "fallbacks"], "targets")
    check("serach", ["search", "reach"], "search")
    check("Workers", ["workers"], "workers")
    check("x", ["y"], "y")
    check("quite-different", ["workers", "log"], None)
    check("a" * 1000, ["a" * 999], None)
    check("anything", [], None)
