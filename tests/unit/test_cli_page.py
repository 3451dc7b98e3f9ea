"""``docs/cli.md`` and the commands."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from docs.reference.commands import reference, renewed

PAGE = Path(__file__).parents[2] / "docs/cli.md"


def test_the_page_lists_the_commands_that_there_are() -> None:
    """The page would name an option that is gone, or keep silent about a new one."""
    page = PAGE.read_text("utf-8")
    assert page == renewed(page), "make docs"


def test_options_name_what_belongs_behind_them() -> None:
    """A newcomer would read the name of a class where a file or a number is wanted."""
    named = re.findall(r"^\| `(.*)` \|", reference(), re.MULTILINE)
    assert len(named) > 50
    assert not [name for name in named if "<" in name]


def test_every_argument_and_option_says_what_it_is() -> None:
    """A reader of the help would have to try an option to learn what it does."""
    assert not re.findall(r"^\| `.*` \| (?:\[.*)?\|$", reference(), re.MULTILINE)


def test_a_page_without_the_generated_part_is_left_alone() -> None:
    """A wrong path would overwrite somebody's page."""
    with pytest.raises(ValueError, match="has no line"):
        renewed("# Something else")
