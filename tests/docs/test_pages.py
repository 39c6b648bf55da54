"""No page of the first hour is without a test, and no link of it leads nowhere."""

import re
from pathlib import Path

import pytest
from fixtures.pages import read_page

FOLDER = Path(__file__).parents[2] / "docs" / "getting-started"
PAGES = sorted(path for path in FOLDER.glob("*.md") if path.name != "README.md")


def test_every_page_is_followed_by_a_test() -> None:
    followed = {path.stem.removeprefix("test_").replace("_", "-") for path in Path(__file__).parent.glob("test_*.py")}
    assert PAGES and {path.stem for path in PAGES} <= followed


def test_every_page_is_in_the_index() -> None:
    index = (FOLDER / "README.md").read_text()
    assert [path.name for path in PAGES if f"({path.name})" not in index] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_hardly_anything_is_skipped(page: Path) -> None:
    skipped = [block for block in read_page(page) if block.skip]
    assert len(skipped) <= 2, "the environment, and what needs a cluster"


@pytest.mark.parametrize("page", [*PAGES, FOLDER / "README.md"], ids=lambda page: page.stem)
def test_links_lead_somewhere(page: Path) -> None:
    text = re.sub(r"(?ms)^```.*?^```$", "", page.read_text())
    targets = [target for target in re.findall(r"\]\(([^)]+)\)", text) if "://" not in target]
    for target in targets:
        path, _, anchor = target.partition("#")
        linked = (FOLDER / path).resolve() if path else page
        assert linked.is_file(), target
        if anchor:
            assert anchor in _anchors(linked.read_text()), target


def _anchors(text: str) -> set[str]:
    """Of its headings, as they are made on the forges."""
    headings = re.findall(r"(?m)^#+ (.*)$", text)
    return {re.sub(r"[^\w\- ]", "", heading).lower().replace(" ", "-") for heading in headings}
