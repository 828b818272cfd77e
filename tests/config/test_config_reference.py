"""The reference of the configuration: up to date and whole. That its examples load is tested in tests/docs."""

from pathlib import Path

from edgeroute.config import schema
from edgeroute.config.reference import examples, render_reference
from edgeroute.config.schema import Section
from edgeroute.supervisor.generations import AT_RESTART

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "configuration.md"


def test_the_written_page_is_up_to_date() -> None:
    """Mend with: make reference."""
    assert PAGE.read_text(encoding="utf-8") == render_reference(AT_RESTART)


def test_every_setting_has_its_row_and_every_link_its_section() -> None:
    page = render_reference(AT_RESTART)
    sections = [each for each in vars(schema).values() if isinstance(each, type) and issubclass(each, Section)]
    for section in sections:
        for name in section.__struct_encode_fields__:
            assert f"| `{name}` |" in page, f"{section.__name__}.{name}"
    for title in examples():
        assert page.count(f"\n## {title}\n") == 1
