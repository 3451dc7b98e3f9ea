"""docs/guarantees.md and docs/security.md, read by a machine: the tests that their claims name are there."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "guarantees.md").read_text(encoding="utf-8")
REFERENCE = re.compile(r"`([a-z0-9_/]+\.py)::(\w+)`")


@cache
def functions_of(path: Path) -> frozenset[str]:
    nodes = ast.walk(ast.parse(path.read_text(encoding="utf-8")))
    return frozenset(node.name for node in nodes if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


def rows() -> list[list[str]]:
    """The cells of each row of a table, headings and rules left out."""
    lines = [line for line in TEXT.splitlines() if line.startswith("|") and not line.startswith("| ---")]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return [row for row in cells if row[-1] != "shown by"]


@pytest.mark.parametrize("page", ["guarantees.md", "security.md"])
def test_each_test_that_is_named_is_there(page: str) -> None:
    """A guarantee would rest on a test that was renamed, or is gone."""
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    named = REFERENCE.findall(text)
    missing = [
        f"{file}::{name}"
        for file, name in named
        if not (ROOT / "tests" / file).is_file() or name not in functions_of(ROOT / "tests" / file)
    ]
    assert not missing, f"docs/{page} names tests that are not there: {missing}"
    assert text.count("::test_") == len(named), "a reference is not written as `file.py::test_name`"


def test_each_claim_names_a_test() -> None:
    """The page would promise what nobody has seen."""
    assert len(rows()) > 40
    bare = [row[0] for row in rows() if not REFERENCE.search(row[-1])]
    assert not bare, f"claims without a test: {bare}"


def test_each_promise_has_its_section() -> None:
    """A promise of the contract would be missing from the page that says how it is kept."""
    assert re.findall(r"^### (P\d):", TEXT, re.MULTILINE) == [f"P{n}" for n in range(1, 10)]
