"""Every file of the relay with what it is, in its own words: the second half of ``ARCHITECTURE.md``."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from docs.reference import markdown
from docs.reference.markdown import code, table

BEGINNING: Final = "<!-- Written by make docs, from the first sentence of each file. -->"
"""The line below which the page is generated."""

DESCRIBED: Final = {".py", ".sql", ".lua", ".js", ".css"}

_SENTENCE: Final = re.compile(r"(.+?[.!?])(?=\s+[\"A-Z`]|\s*$)", re.DOTALL)
_COMMENT: Final = re.compile(r"\A(?:(?:--|//) ?[^\n]*\n)+|\A/\*.*?\*/", re.DOTALL)
_MARKS: Final = re.compile(r"^(?:--|//|/\*)[ ]?|\*/$", re.MULTILINE)


def files(root: Path) -> dict[str, str]:
    """Each file's path below ``root`` and its text."""
    found = sorted(path for path in (root / "relay").rglob("*") if path.suffix in DESCRIBED)
    return {path.relative_to(root).as_posix(): path.read_text("utf-8") for path in found}


def reference(texts: Mapping[str, str]) -> str:
    """A section for each folder. Raises ``ValueError`` where a file does not say what it is."""
    folders: dict[str, list[str]] = {}
    for path in texts:
        folders.setdefault(path.rpartition("/")[0], []).append(path)
    return "\n".join(line for folder in sorted(folders) for line in _section(folder, folders[folder], texts))


def renewed(page: str, texts: Mapping[str, str]) -> str:
    """A page with its generated part as it has to be. Raises ``ValueError`` where the page has no such part."""
    return markdown.renewed(page, BEGINNING, reference(texts))


def _section(folder: str, paths: list[str], texts: Mapping[str, str]) -> Iterator[str]:
    yield f"### {folder}/"
    yield ""
    face = f"{folder}/__init__.py"
    if face in paths:
        yield from (_first_sentence(face, texts[face]), "")
    rows = [(code(path.rpartition("/")[2]), _first_sentence(path, texts[path])) for path in paths if path != face]
    if rows:
        yield from (table(("file", "what it is"), rows), "")


def _first_sentence(path: str, text: str) -> str:
    if path.endswith(".py"):
        said = ast.get_docstring(ast.parse(text)) or ""
    else:
        comment = _COMMENT.match(text)
        said = _MARKS.sub("", comment.group()).strip() if comment else ""
    sentence = _SENTENCE.match(" ".join(said.partition("\n\n")[0].split()))
    if sentence is None:
        raise ValueError(f"{path} does not begin with a sentence that says what it is")
    return sentence.group(1).replace("``", "`")
