"""The links between the pages for people."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import unquote

import pytest

from tests.docs.pages import ROOT, Page, pages, read


def dangling(page: Page, root: Path = ROOT) -> list[str]:
    """The relative links of a page that lead to no file, or to no heading of one."""
    known = {each.path: each.anchors for each in pages()}
    found = []
    for link in page.links:
        if "://" in link or link.startswith("mailto:"):
            continue
        target, _, fragment = link.partition("#")
        file = (root / page.path).parent.joinpath(unquote(target)).resolve()
        name = file.relative_to(root).as_posix() if file.is_relative_to(root) else ""
        headings = known.get(name, frozenset()) if target else page.anchors
        if not file.exists() or (fragment and fragment not in headings):
            found.append(link)
    return found


@pytest.mark.parametrize("page", pages(), ids=str)
def test_every_link_leads_somewhere(page: Page) -> None:
    """A reader would click and find nothing, or the top of a page instead of the place that was meant."""
    assert dangling(page) == []


def test_a_dangling_link_is_found() -> None:
    """The check would let everything pass."""
    text = "# A title\n\n[a](#a-title) [b](#b) [c](README.md#two-commands) [d](README.md#no) [e](nowhere.md) <https://x.example>\n"
    assert dangling(read("page.md", text)) == ["#b", "README.md#no", "nowhere.md"]


def test_every_page_can_be_reached_from_the_readme() -> None:
    """A page would lie there that no reader ever finds."""
    by_path = {page.path: page for page in pages()}
    seen, todo = set(), ["README.md"]
    while todo:
        path = todo.pop()
        if path in seen or path not in by_path:
            continue
        seen.add(path)
        for link in by_path[path].links:
            if "://" not in link and (target := link.partition("#")[0]):
                file = (ROOT / path).parent.joinpath(target).resolve()
                todo.append((file / "README.md" if file.is_dir() else file).relative_to(ROOT).as_posix())
    assert by_path.keys() - seen == set()


STATUS = re.compile(r"^Status: (accepted|superseded by \[ADR \d+\]\(\d{4}-[a-z-]+\.md\))\.", re.MULTILINE)


@pytest.mark.parametrize("path", sorted((ROOT / "docs/adr").glob("*.md")), ids=lambda path: path.stem)
def test_every_decision_says_whether_it_still_holds(path: Path) -> None:
    """A reader would build on a decision that was taken back."""
    text = path.read_text("utf-8")
    assert len(STATUS.findall(text)) == 1
    assert text.startswith(f"# {int(path.stem[:4])}. ")
