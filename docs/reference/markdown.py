"""Tables and links of GitHub's Markdown."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Final

WRITTEN: Final = "<!-- Written by `make docs`; change what it is written from, not this page. -->"


_TAG: Final = re.compile(r"<(?=[^`]*(?:`[^`]*`[^`]*)*$)")
"""What would open an HTML tag: a sign outside of code."""


def page(title: str, introduction: str, parts: Iterable[str]) -> str:
    """A whole page, with a line end."""
    return "\n\n".join((WRITTEN, f"# {title}", introduction.strip(), *parts)) + "\n"


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table; a line break or a bar within a cell does not end it."""
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join("| " + " | ".join(map(_cell, line)) + " |" for line in lines)


def renewed(page: str, beginning: str, text: str) -> str:
    """A page with another text below a line. Raises ``ValueError`` where the page has no such line."""
    kept, line, _ = page.partition(beginning)
    if not line:
        raise ValueError(f"the page has no line {beginning}")
    return f"{kept}{line}\n\n{text}"


def code(text: str) -> str:
    """Set as code; nothing where there is nothing."""
    return f"`{text}`" if text else ""


def anchor(heading: str) -> str:
    """The fragment under which GitHub shows a heading: https://github.com/gjtorikian/html-pipeline toc filter."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def _cell(text: str) -> str:
    return _TAG.sub(r"\<", text.replace("\n", " ").replace("|", "\\|"))
