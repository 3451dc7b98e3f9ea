"""The documentation as a machine reads it: pages, their blocks of code, and what is said about each in a comment.

An HTML comment directly above a block says what a test does with it; GitHub does not show it:

- ``<!-- file: relay.yaml -->``: it is written to that file of the page's folder, for the blocks after it. (A block of
  YAML is a configuration, and validated as such, wherever it is written to.)
- ``<!-- background: 8080 -->``: it is started, instead of what had that port, and goes on; the next block waits until
  the port answers.
- ``<!-- until -->``: it goes on by itself (``relay tail``); it is ended when the output shown below has come.
- ``<!-- retry -->``: it is repeated until it prints what is shown: what it shows takes a moment to get there.
- ``<!-- dry run -->``: targets of ``make``, which ``make -n`` has to know.
- ``<!-- values -->``: YAML that is not a configuration, but values of the chart.
- ``<!-- run by: tests/x.py::test_y -->``: that test runs just this, so it is not run here.
- ``<!-- not run: reason -->``: nobody runs it; the reason is one of ``NOT_RUN`` in ``test_commands.py``.

Of a page as a whole, ``<!-- needs: kafka, redis -->`` says what has to be there when its commands are run, and
``<!-- page run by: tests/x.py -->`` that another test runs all of it. A block of ``text`` or ``json`` is what the
command before it prints, with ``...`` for what differs from run to run.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Final

from markdown_it import MarkdownIt
from markdown_it.token import Token

from docs.reference.markdown import anchor

ROOT: Final = Path(__file__).resolve().parents[2]
COMMANDS: Final = ("sh", "bash", "python")
OUTPUTS: Final = ("text", "json")
PROGRAMS: Final = {"docs/consumers/": "tests/e2e/test_consumer_examples.py"}
"""Folders of programs, whose pages are run together with them."""

OF_A_BLOCK: Final = ("file", "background", "until", "retry", "dry run", "values", "run by", "not run")
OF_A_PAGE: Final = ("needs", "page run by")

_COMMENT: Final = re.compile(r"^<!--\s*([a-z]+(?: [a-z]+){0,2})(?::\s*(.*?))?\s*-->\s*$", re.DOTALL)


@dataclass(frozen=True)
class Block:
    """A fenced block. ``said``: the comments above it, by their verb; ``output``: what it prints, as far as shown."""

    page: str
    line: int
    language: str
    text: str
    said: dict[str, str] = field(default_factory=dict)
    output: str | None = None

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


@dataclass(frozen=True)
class Page:
    """A page. ``said``: the comments on top of it; ``links`` and ``anchors`` as they are written and shown."""

    path: str
    said: dict[str, str]
    blocks: tuple[Block, ...]
    links: tuple[str, ...]
    anchors: frozenset[str]
    code: tuple[str, ...]
    """What is set as code within the text."""

    def __str__(self) -> str:
        return self.path


@cache
def paths() -> tuple[str, ...]:
    """Where the pages for people are: at the root, under ``docs``, and beside the benchmarks and the chart."""
    files = [
        *ROOT.glob("*.md"),
        *ROOT.glob("docs/**/*.md"),
        ROOT / "bench/README.md",
        ROOT / "deploy/helm/relay/README.md",
    ]
    own = (path for path in sorted(files) if not {"node_modules", ".venv"} & set(path.parts))
    return tuple(path.relative_to(ROOT).as_posix() for path in own)


@cache
def pages() -> tuple[Page, ...]:
    """Every page for people."""
    return tuple(read(path, (ROOT / path).read_text("utf-8")) for path in paths())


def read(path: str, text: str) -> Page:
    """One page. Raises ``ValueError`` for a comment that could be meant for the test and is not known to it."""
    tokens = MarkdownIt("commonmark").enable("table").parse(text)
    blocks: list[Block] = []
    programs = [test for folder, test in PROGRAMS.items() if path.startswith(folder)]
    of_the_page = {"page run by": programs[0]} if programs else {}
    said: dict[str, str] = {}
    for token in tokens:
        if token.type == "html_block":
            for verb, value in _said(path, token.content):
                (of_the_page if verb in OF_A_PAGE else said)[verb] = value
        elif token.type in ("fence", "code_block"):
            _add(blocks, path, token, said)
            said = {}
        elif token.level == 0 and token.nesting >= 0:
            said = {}
    return Page(
        path, of_the_page, tuple(blocks), tuple(_links(tokens)), frozenset(_anchors(tokens)), tuple(_code(tokens))
    )


def _add(blocks: list[Block], path: str, token: Token, said: dict[str, str]) -> None:
    language = token.info.partition(" ")[0] if token.type == "fence" else "indented"
    if language in OUTPUTS and not said and blocks and blocks[-1].language in COMMANDS and blocks[-1].output is None:
        blocks[-1] = replace(blocks[-1], output=token.content)
    else:
        line = token.map[0] + 1 if token.map else 0
        blocks.append(Block(path, line, language, token.content, said))


def _said(path: str, html: str) -> Iterator[tuple[str, str]]:
    for comment in re.findall(r"<!--.*?-->", html, re.DOTALL):
        match = _COMMENT.match(comment)
        if match and match[1] in (*OF_A_BLOCK, *OF_A_PAGE):
            yield match[1], match[2] or ""
        elif match and match[2] is not None:
            raise ValueError(f"{path}: no test knows what {comment} means")


def _inline(tokens: Iterable[Token]) -> Iterator[Token]:
    for token in tokens:
        yield from token.children or ()


def _links(tokens: Iterable[Token]) -> Iterator[str]:
    for token in _inline(tokens):
        target = token.attrs.get("href") or token.attrs.get("src")
        if target:
            yield str(target)


def _code(tokens: Iterable[Token]) -> Iterator[str]:
    return (token.content for token in _inline(tokens) if token.type == "code_inline")


def _anchors(tokens: Sequence[Token]) -> Iterator[str]:
    """The fragments of the headings, numbered where one comes again."""
    seen: Counter[str] = Counter()
    for heading, inline in pairwise(tokens):
        if heading.type == "heading_open":
            shown = "".join(part.content for part in inline.children or () if part.type in ("text", "code_inline"))
            name = anchor(shown)
            yield f"{name}-{seen[name]}" if seen[name] else name
            seen[name] += 1
