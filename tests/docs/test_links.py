"""Every link from one page of this repository to another leads somewhere, and no page is without a link to it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
PAGES = sorted(
    str(path.relative_to(REPOSITORY)) for path in (*REPOSITORY.glob("*.md"), *(REPOSITORY / "docs").rglob("*.md"))
)
LINK = re.compile(r"\]\((?!https?://)(?P<path>[^)#\s]*)(?:#(?P<anchor>[^)\s]+))?\)")


def headings(page: Path) -> set[str]:
    """Return the anchors of a page, as GitHub makes them."""
    lines = re.findall(r"^#+ (.*)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", line.lower()).replace(" ", "-") for line in lines}


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page: str) -> None:
    """To a file or folder that exists, and to a heading in it."""
    here = REPOSITORY / page
    for link in LINK.finditer(here.read_text()):
        target = here.parent / link["path"] if link["path"] else here
        assert target.exists(), link[0]
        if link["anchor"]:
            assert link["anchor"] in headings(target), link[0]


def test_every_guide_and_reference_page_is_linked_from_the_readme() -> None:
    """Who starts there finds all of them."""
    readme = (REPOSITORY / "README.md").read_text()
    linked = {link["path"] for link in LINK.finditer(readme)}
    assert {page for page in PAGES if page.startswith(("docs/guides/", "docs/reference/"))} <= linked


def test_the_decisions_are_numbered_once() -> None:
    """Each number names one of them, at the front of its file and of its title."""
    decisions = [Path(page) for page in PAGES if page.startswith("docs/decisions/")]
    numbers = [path.name[:4] for path in decisions]
    assert len(set(numbers)) == len(numbers)
    for path in decisions:
        assert (REPOSITORY / path).read_text().startswith(f"# {path.name[:4]}: ")
