"""Every character of a value knows its place in the file, however it is written."""

from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from edgeroute.config import ConfigError, load
from edgeroute.config.diagnostics import Source
from edgeroute.config.marks import Mapping, MarkupError, Scalar, Sequence, compose, locate
from edgeroute.config.rules import rule_diagnostics

CONDITIONS = {
    "plain": "when: stream && WRONG > 1",
    "plain_over_two_lines": "when: stream &&\n       WRONG > 1",
    "single_quotes": "when: 'path == \"it''s\" && WRONG'",
    "double_quotes": 'when: "stream && WRONG"',
    "double_quotes_with_escapes": 'when: "headers[\\"x\\"] == \\"\\u00e9\\t\\x41\\" && WRONG"',
    "double_quotes_over_two_lines": 'when: "stream &&\\\n     WRONG"',
    "literal_block": "when: |\n      stream &&\n\n        WRONG\n",
    "folded_block": "when: >-   # why\n      stream &&\n      path == 'é😀' &&\n      WRONG\n",
    "kept_block": "when: |2+\n      stream && WRONG\n\n",
}


@pytest.mark.parametrize("name", CONDITIONS)
def test_an_error_in_a_condition_points_to_its_place(name: str, tmp_path: Path) -> None:
    path = tmp_path / "edgeroute.yaml"
    condition = CONDITIONS[name]
    path.write_text(f"rules:\n  - name: a\n    {condition}\n    model: fast\n", encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        load(path, {})
    [found] = [each for each in caught.value.diagnostics if each.message.startswith("condition")]
    lines = path.read_text(encoding="utf-8").split("\n")
    assert lines[found.line - 1][found.column - 1 :][: found.width] == "WRONG"


def test_words_that_yaml_would_turn_into_something_else_stay_text() -> None:
    root = compose(Source("x", "[on, yes, 1:30, 0x10, 012, 2024-01-01, null, 1e3, ~]"))
    assert isinstance(root, Sequence)
    texts = [item.text for item in root.items if isinstance(item, Scalar)]
    assert texts == ["on", "yes", "1:30", "0x10", "012", "2024-01-01", "null", "1e3", "~"]


@given(
    st.text(alphabet=st.sampled_from("aé😀'\"\\:#-{}&*! \t\n\u00a0"), max_size=30),
    st.sampled_from(["", "'", '"', "|", ">"]),
)
def test_places_lead_back_to_the_characters(text: str, style: str) -> None:
    """For whatever PyYAML writes: each character that is not blank is found where it is told to be."""
    written: str = yaml.safe_dump({"key": text}, default_style=style or None, allow_unicode=True, width=20)  # pyright: ignore[reportUnknownMemberType]
    source = Source("x", written)
    root = compose(source)
    assert isinstance(root, Mapping)
    scalar = root.entries["key"][1]
    assert isinstance(scalar, Scalar)
    assert scalar.text == text
    for index, character in enumerate(text):
        if character not in " \t\n":
            span = locate(source, scalar, index, index + 1)
            assert span is not None
            assert written[span.start] in (character, "\\")


@given(st.text(max_size=200))
def test_any_text_is_a_tree_or_a_markup_error(text: str) -> None:
    source = Source("x", text.replace("\r", "\n"))
    try:
        compose(source)
    except MarkupError as error:
        start = error.span.start
    else:
        return
    assert 0 <= start <= len(text)


def test_the_compiled_rule_compiler_counts_bytes_as_we_do() -> None:
    expression = "path == 'é' && nonsense"
    [problem] = rule_diagnostics(["stream", expression])
    assert problem.condition == 1
    assert expression.encode()[problem.start : problem.end] == b"nonsense"


def test_anchors_only_where_they_are_allowed():
    text = "base: &base {k: 1, l: 2}\nmerged: {<<: *base, k: 3}\nboth: [*base, *base]\n"
    with pytest.raises(MarkupError):
        compose(Source("x.yaml", text))
    root = compose(Source("x.yaml", text), anchors=True)
    assert isinstance(root, Mapping)
    merged, both = root.entries["merged"][1], root.entries["both"][1]
    assert isinstance(merged, Mapping)
    assert isinstance(both, Sequence)
    assert {name: value.text for name, (_, value) in merged.entries.items() if isinstance(value, Scalar)} == {
        "k": "3",
        "l": "2",
    }
    assert both.items[0] is both.items[1] is root.entries["base"][1]


@pytest.mark.parametrize("text", ["a: &a [*a]\n", "a: *unknown\n"])
def test_an_alias_needs_a_complete_anchor(text: str):
    with pytest.raises(MarkupError, match="nothing complete before this"):
        compose(Source("x.yaml", text), anchors=True)
