"""``ARCHITECTURE.md`` against the tree. That it lists every file as it is: ``test_reference_pages.py``."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from docs.reference import tree

ROOT = Path(__file__).parents[2]
PAGE, _, LISTED = (ROOT / "ARCHITECTURE.md").read_text("utf-8").partition(tree.BEGINNING)
NAMES = {path.name for top in ("relay", "tests", "docs", "config") for path in (ROOT / top).rglob("*")}


def test_every_package_is_explained() -> None:
    """A newcomer would meet a room of which the map says nothing."""
    rows = set(re.findall(r"^\| `(relay/[\w/]*)/` \|", PAGE, re.MULTILINE))
    packages = {path.parent.relative_to(ROOT).as_posix() for path in (ROOT / "relay").glob("*/**/__init__.py")}
    unexplained = {each for each in packages - rows if f"`{each.rpartition('/')[2]}/`" not in PAGE}
    assert not unexplained, "add a row to the tree in ARCHITECTURE.md, or name it in the row of its parent"
    assert not [row for row in rows if not (ROOT / row).is_dir()], "a row of a folder that is gone"


def test_every_file_that_is_named_for_short_is_there() -> None:
    """The map would send people to a file that has another name by now; whole paths are held by test_docs_links.py."""
    named = set(re.findall(r"`([\w.-]+\.(?:py|sql|lua|js))`", PAGE))
    assert len(named) > 10
    assert named <= NAMES


def test_every_file_is_listed_in_the_section_of_its_folder() -> None:
    """A reader would look in the wrong place, since the list has another file of the same name."""
    folder, listed = "", set()
    for line in LISTED.splitlines():
        folder = line.removeprefix("### ") if line.startswith("### ") else folder
        listed |= {folder + name for name in re.findall(r"^\| `([\w.-]+)` \|", line)}
    faces = {path for path in tree.files(ROOT) if path.endswith("/__init__.py")}
    assert listed == tree.files(ROOT).keys() - faces


@pytest.mark.parametrize(
    ("path", "text", "said"),
    [
        ("relay/a.py", '"""Reads ``.sql`` files, e.g. one. Pure."""\n', "Reads `.sql` files, e.g. one."),
        ("relay/a.py", '"""First line\nand second.\n\nMore."""\n', "First line and second."),
        ("relay/a.sql", "-- The tables\n-- of all. More.\n\nCREATE", "The tables of all."),
        ("relay/a.js", "// Follows events.\n\nimport", "Follows events."),
        ("relay/a.css", "/* Colours. Type. */\n", "Colours."),
    ],
)
def test_a_file_is_described_by_its_first_sentence(path: str, text: str, said: str) -> None:
    """The list would cut a sentence short, or show the marks of a comment."""
    assert f"| `{path.rpartition('/')[2]}` | {said} |" in tree.reference({path: text})


@pytest.mark.parametrize(("path", "text"), [("relay/a.py", "x = 1\n"), ("relay/a.lua", "return 1\n")])
def test_a_file_that_says_nothing_is_an_error(path: str, text: str) -> None:
    """The list would have an empty line, and the file no description at all."""
    with pytest.raises(ValueError, match="does not begin with a sentence"):
        tree.reference({path: text})
