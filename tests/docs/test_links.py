"""Links lead somewhere, and the README leads everywhere. Other sites are not asked."""

import posixpath
from urllib.parse import urlsplit

import pytest
from pages import PAGES, ROOT, Page

OTHERS = [Page("CHANGELOG.md"), Page("SECURITY.md")]


def leads_to(page: Page, link: str) -> str:
    """The path from the root of what a link of a page names."""
    path = urlsplit(link).path
    return posixpath.normpath(posixpath.join(posixpath.dirname(page.name), path)) if path else page.name


def local(page: Page) -> list[str]:
    return [link for link in page.links if not urlsplit(link).scheme]


@pytest.mark.parametrize("page", [*PAGES, *OTHERS], ids=str)
def test_links_lead_somewhere(page: Page) -> None:
    for link in local(page):
        path = leads_to(page, link)
        assert (ROOT / path).exists(), link
        anchor = urlsplit(link).fragment
        assert not anchor or anchor in Page(path).anchors, link


@pytest.mark.parametrize("page", [*PAGES, *OTHERS], ids=str)
def test_links_to_other_sites_are_whole(page: Page) -> None:
    for link in page.links:
        parts = urlsplit(link)
        assert not parts.scheme or (parts.scheme == "https" and "." in parts.netloc), link


def test_the_readme_leads_to_every_page() -> None:
    reached: set[str] = set()
    ahead = ["README.md"]
    while ahead:
        name = ahead.pop()
        if name not in reached and name.endswith(".md"):
            reached.add(name)
            ahead += [leads_to(Page(name), link) for link in local(Page(name))]
    assert {page.name for page in PAGES} <= reached
