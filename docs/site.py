"""``python -m docs.site FOLDER``: lays the pages out for the site, as ``mkdocs.yml`` expects them.

The pages keep their places, so their links to each other stay as they are. Links to other files lead to the repository
(``SOURCE``, like https://github.com/owner/relay). Pages are written in GitHub's Markdown; where MkDocs reads it
differently, this is where it is changed.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final
from urllib.parse import unquote

ROOT: Final = Path(__file__).resolve().parents[1]
REPOSITORY: Final = "https://github.com/OWNER/relay"
"""Where links to the sources lead if ``SOURCE`` does not say."""

_LINK: Final = re.compile(r"(!?\[[^\]]*\]\()([^)\s#]+)(#[^)\s]*)?(\))")
_SPAN: Final = re.compile(r"`[^`]*`")
_FENCE: Final = re.compile(r"^( *)(```+)")
_COMMENT: Final = re.compile(r"^ *<!--.*?-->\n", re.MULTILINE | re.DOTALL)


def pages(root: Path = ROOT) -> list[Path]:
    """The pages for people, by their paths from the root."""
    files = [
        *root.glob("*.md"),
        *root.glob("docs/**/*.md"),
        root / "bench/README.md",
        root / "deploy/helm/relay/README.md",
    ]
    return sorted(file.relative_to(root) for file in files if not {"node_modules", ".venv"} & set(file.parts))


def lay_out(folder: Path, source: str, root: Path = ROOT) -> None:
    """Writes the pages and their pictures into a folder, which is emptied first."""
    shutil.rmtree(folder, ignore_errors=True)
    known = set(pages(root))
    for page in known:
        place = folder / page
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(laid_out((root / page).read_text("utf-8"), page, known, source, root), "utf-8")
    shutil.copytree(root / "docs/images", folder / "docs/images")


def laid_out(text: str, page: Path, known: set[Path], source: str, root: Path = ROOT) -> str:
    """A page as MkDocs reads it."""
    text = _COMMENT.sub("", text)
    return "".join(line if code else _linked(line, page, known, source, root) for code, line in _lines(text))


def _lines(text: str) -> Iterator[tuple[bool, str]]:
    """The lines, each with whether it is in a block of code. What belongs to a list is indented by four, not by two."""
    closing, indent = "", 0
    for line in text.splitlines(keepends=True):
        fence = _FENCE.match(line)
        if closing:
            yield True, " " * (_deeper(indent) - indent) + line
            if fence and fence[2] == closing:
                closing = ""
        elif fence:
            closing, indent = fence[2], len(fence[1])
            yield True, " " * (_deeper(indent) - indent) + line
        else:
            spaces = len(line) - len(line.lstrip(" "))
            yield False, " " * _deeper(spaces) + line[spaces:]


def _deeper(spaces: int) -> int:
    """As many spaces as Python-Markdown wants for the same level of a list."""
    return 4 * -(-spaces // 3) if spaces >= 2 else spaces


def _linked(line: str, page: Path, known: set[Path], source: str, root: Path) -> str:
    """A line whose links to what is no page lead to the repository. Code is left alone."""
    kept: list[str] = []

    def hide(span: re.Match[str]) -> str:
        kept.append(span[0])
        return f"\0{len(kept) - 1}\0"

    def lead(link: re.Match[str]) -> str:
        return f"{link[1]}{_target(link[2], page, known, source, root)}{link[3] or ''}{link[4]}"

    line = _LINK.sub(lead, _SPAN.sub(hide, line))
    return re.sub(r"\0(\d+)\0", lambda span: kept[int(span[1])], line)


def _target(target: str, page: Path, known: set[Path], source: str, root: Path) -> str:
    if "://" in target or target.startswith("mailto:"):
        return target
    file = Path(os.path.normpath(page.parent / unquote(target)))
    if file / "README.md" in known:
        return f"{target.rstrip('/')}/README.md"
    if file in known or file.is_relative_to("docs/images"):
        return target
    return f"{source}/{'tree' if (root / file).is_dir() else 'blob'}/main/{file.as_posix()}"


if __name__ == "__main__":
    lay_out(Path(sys.argv[1]), os.environ.get("SOURCE") or REPOSITORY)
