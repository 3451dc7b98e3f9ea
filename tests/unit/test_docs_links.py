"""The links between the pages for people."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import unquote

import pytest

from tests.docs.pages import ROOT, Page, pages, paths, read


@pytest.fixture
def page(request: pytest.FixtureRequest) -> Page:
    """Read by the first test that needs it, and not where the tests are merely collected."""
    return next(page for page in pages() if page.path == request.param)


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


@pytest.mark.parametrize("page", paths(), indirect=True)
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


NAMED = re.compile(r"(?:relay|tests|docs|deploy|bench|config|requirements)/[\w./-]+")
EXAMPLES = {"CONTRIBUTING.md": {"relay/a/b.py", "tests/unit/a/test_b.py"}}
"""Paths that stand for others."""


def missing_files(page: Page, root: Path = ROOT) -> list[str]:
    """The files and folders that a page sets as code, by their path from the root, and that are not there."""
    named = {text for text in page.code if NAMED.fullmatch(text)} - EXAMPLES.get(page.path, set())
    return sorted(text for text in named if not (root / text).exists())


@pytest.mark.parametrize("page", paths(), indirect=True)
def test_every_file_that_a_page_names_is_there(page: Page) -> None:
    """A reader would look for a file that was moved or deleted."""
    assert missing_files(page) == []


def test_a_file_that_is_not_there_is_found() -> None:
    """The check above would let everything pass."""
    text = "`relay/app/relay.py` `relay/app/` `relay/no.py` `relay/<x>.py` `make test`"
    assert missing_files(read("page.md", text)) == ["relay/no.py"]


def test_the_tour_leads_through_every_room() -> None:
    """A room would stand there that neither the map nor the tour ever names."""
    pages = "".join((ROOT / name).read_text("utf-8") for name in ("ARCHITECTURE.md", "docs/internals.md"))
    rooms = {path.parent.relative_to(ROOT).as_posix() for path in (ROOT / "relay").rglob("*.py")} - {"relay"}
    single = {path.relative_to(ROOT).as_posix() for path in (ROOT / "relay").glob("[a-z]*.py")}
    assert [name for name in sorted(rooms | single) if name not in pages and not _named_inside(name, pages)] == []


def _named_inside(name: str, pages: str) -> bool:
    """Whether a room is named within the line of the one that it is in: "``doctor/`` ..." under ``relay/cli/``."""
    parent, _, own = name.rpartition("/")
    return any(f"`{parent}/`" in line and f"`{own}/" in line for line in pages.splitlines())


STATUS = re.compile(r"^Status: (accepted|superseded by \[ADR \d+\]\(\d{4}-[a-z-]+\.md\))\.", re.MULTILINE)


@pytest.mark.parametrize("path", sorted((ROOT / "docs/adr").glob("*.md")), ids=lambda path: path.stem)
def test_every_decision_says_whether_it_still_holds(path: Path) -> None:
    """A reader would build on a decision that was taken back."""
    text = path.read_text("utf-8")
    assert len(STATUS.findall(text)) == 1
    assert text.startswith(f"# {int(path.stem[:4])}. ")
