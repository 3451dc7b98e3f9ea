"""What people read is in plain English: words and phrases that made readers stumble stay away."""

from __future__ import annotations

import ast
import io
import json
import re
import tokenize
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from relay.contract.asyncapi import asyncapi
from relay.contract.openapi import openapi

ROOT = Path(__file__).parents[2]
BANNED = {
    r"mend(s|ed|ing)?": "fix or repair",
    r"whoever": "everyone who, or the one who is meant",
    r"learnt": "observed, reported or found",
    r"time line": "timeline",
    r"told(?! apart)": "reported, said or shown",
    r"tells": "reports, says or shows",
    r"of an? [a-z]+ that [a-z]+, ": "the sentence in its usual order, as in 'for a running relay, see ...'",
    r"(is|are) no [a-z]+'s": "is not",
    r"comes to nothing": "fails",
    r"beyond reason": "the limit",
    r"as RFC \d+ has it": "according to RFC ...",
    r"(?<!there )(is|are|was|were) (?-i:none)\b": "is not one, is invalid, or does not count",
    r"in place of": "instead of",
    r"anew": "again, or starts over",
    r"once more": "again",
    r"for ever\b": "forever",
    r"by the letter": "strictly",
    r"be (it|they) ": "even if, or: whether ... or ...",
    r"speaks? of": "is about, mentions or reports on",
    r"till?\b": "until",
    r"(there|here|where)(of|in|upon|to)\b": "of it, in it, ...",
    r"inasmuch|lest\b|albeit|whence|upon": "a plain word",
}
"""What may not come back, as regular expressions, and what to write instead."""

PAGES = sorted(
    path
    for path in (
        *ROOT.glob("*.md"),
        *ROOT.glob("docs/**/*.md"),
        ROOT / "bench/README.md",
        ROOT / "config/relay.example.yaml",
        *ROOT.glob("deploy/helm/relay/**/*.md"),
        *ROOT.glob("deploy/helm/relay/**/*.rules.yaml"),
        *ROOT.glob("deploy/helm/relay/**/NOTES.txt"),
        *ROOT.glob("deploy/helm/relay/dashboards/*.json"),
        ROOT / "deploy/helm/relay/values.yaml",
        ROOT / "deploy/compose.yaml",
        *ROOT.glob(".github/**/*.md"),
        *ROOT.glob(".github/ISSUE_TEMPLATE/*.yml"),
        *ROOT.glob("relay/edge/console/static/*.html"),
    )
    if not {"node_modules", ".venv"} & set(path.parts)
)
"""Texts for people. ``docs/reference`` and ``docs/cli.md`` contain help, errors, hints, settings and metrics."""


FOLDERS = ("relay", "bench", "deploy", "docs", "tests")

_ANY = re.compile("|".join(rf"\b{banned}" for banned in BANNED), re.I)


def prose(source: str) -> Iterator[tuple[int, str]]:
    """The comments, docstrings and names of tests of a file, each with the number of its first line."""
    comments = ""
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            comments += f"\n{token.start[0]}: {token.string}"
    yield 0, comments
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            yield node.lineno, node.value.value
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_"):
            yield node.lineno, node.name.replace("_", " ")


def stumbles(text: str) -> dict[str, str]:
    """What is banned in a text, with what to write instead. What is set as code does not count."""
    prose = re.sub(r"```.*?```|`[^`]*`", "", text, flags=re.DOTALL)
    prose = re.sub(r"\s+", " ", prose)
    return {
        found.group(): instead
        for banned, instead in BANNED.items()
        if (found := re.search(rf"\b{banned}", prose, re.I))
    }


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_pages_are_in_plain_english(path: Path) -> None:
    """A native reader would stumble over a sentence, and doubt the rest."""
    assert not stumbles(path.read_text("utf-8"))


@pytest.mark.parametrize("document", [asyncapi, openapi])
def test_the_contract_is_in_plain_english(document: Callable[[str], Any]) -> None:
    """Its summaries and descriptions are what a developer sees first of a route or a message."""
    assert not stumbles(json.dumps(document("1.0")))


@pytest.mark.parametrize("folder", FOLDERS)
def test_code_is_commented_and_tests_are_named_in_plain_english(folder: str) -> None:
    """People read the code as well; a private word has to be learned before the sentence can be."""
    found = [
        (path.as_posix(), line, words)
        for path in (ROOT / folder).rglob("*.py")
        if _ANY.search(re.sub(r"[\s_#]+", " ", source := path.read_text("utf-8")))  # the rest need not be taken apart
        for line, text in prose(source)
        if (words := stumbles(text))
    ]
    assert not found


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("Of a relay that runs, GET /metrics tells.", {"Of a relay that runs, ", "tells"}),
        ("Mend it\nfirst; it was told.", {"Mend", "told"}),
        ("They are told apart by `told`; recommended amendments.", set()),
        ("Replaced in place, for every maybe there: there is none, or it is None.", set()),
        ("An address that is none.", {"is none"}),
        ("Begun anew in place of it, once more, for ever.", {"anew", "in place of", "once more", "for ever"}),
    ],
)
def test_stumbles_are_found_and_nothing_else(text: str, found: set[str]) -> None:
    """The test above would let everything pass, or cry wolf."""
    assert set(stumbles(text)) == found


def test_names_of_tests_are_read_as_sentences() -> None:
    """The list of tests, which many readers see first, could say what no docstring may."""
    source = "async def test_a_fault_is_told() -> None: ...\ndef test_they_are_told_apart() -> None: ...\n"
    assert [line for line, text in prose(source) if stumbles(text)] == [1]
