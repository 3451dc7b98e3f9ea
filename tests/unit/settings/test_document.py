from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.settings.document import parse

# Beyond U+FFFF JSON escapes in pairs, which YAML reads as two characters.
TEXTS = st.text(st.characters(max_codepoint=0xFFFF, exclude_categories=["Cs"]), max_size=8)
SCALARS = st.none() | st.booleans() | st.integers(-(10**20), 10**20) | TEXTS
TREES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text("abc_", min_size=1), inner, max_size=4)
)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("off", "off"), ("yes", "yes"), ("true", True), ("False", False), ("null", None), ("~", None), ("", None),
        ("10", 10), ("-1.5", -1.5), ("1e3", 1000.0), (".inf", float("inf")), ("1:30", "1:30"), ("250ms", "250ms"),
        ("2024-01-01", "2024-01-01"), ("'10'", "10"), ("0x10", "0x10"), ("'null'", "null"), ("=", "="),
    ],
)  # fmt: skip
def test_scalars_follow_yaml_1_2(text: str, value: Any) -> None:
    """``chunks: off`` would be the boolean false, and a host name like 1:30 a number."""
    assert parse(f"k: {text}").value == {"k": value}


@given(TREES)
def test_whatever_is_written_as_json_is_read_back(tree: Any) -> None:
    """Some value could not be configured at all; JSON is what programs put into a variable."""
    assert parse(json.dumps(tree)).value == tree


@given(st.text())
def test_no_text_raises(text: str) -> None:
    """A broken file would end in a traceback, which may show a secret, instead of in a problem."""
    assert all(problem.file == "f" for problem in parse(text, "f").problems)


def test_every_key_knows_its_line() -> None:
    """Problems would point at the wrong line of the file."""
    written = parse("a:\n  b: 1\n  c:\n    - x\n    - {d: 2}\n", "f")
    lines = {path: origin.line for path, origin in written.origins.items()}
    assert lines == {
        (): 1, ("a",): 1, ("a", "b"): 2, ("a", "c"): 3, ("a", "c", 0): 4, ("a", "c", 1): 5, ("a", "c", 1, "d"): 5,
    }  # fmt: skip


def test_what_is_not_written_has_the_place_around_it() -> None:
    """A problem with a missing key would have no line."""
    written = parse("a:\n  b: 1\n", "f")
    assert written.origin(("a", "missing")).line == 1
    assert written.origin(("b",)).line == 1


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("a: 1\nb: 2\na: 3\n", "f:3: a: is given twice, first on line 1; keep one of them"),
        ("a: {b: 1, b: 2}", "f:1: a.b: is given twice, first on line 1; keep one of them"),
        (
            "a: [1\n",
            "f:2: is not valid YAML (column 1): expected ',' or ']', but got '<stream end>';"
            " check indentation and quotes",
        ),
        (
            "a: b: c",
            "f:1: is not valid YAML (column 5): mapping values are not allowed here; check indentation and quotes",
        ),
        (
            "a: 1\n---\nb: 2",
            "f:2: is not valid YAML (column 1): found another document; check indentation and quotes",
        ),
        ("a: !x 1", "f:1: a: has a YAML tag, which is not supported; remove the tag"),
        ("? [a]\n: 1", "f:1: has a key that is not plain text"),
        ("a: &x [*x]", "f:1: a.0: is an alias that contains itself"),
        ("a: \x00", "f: is not YAML: it contains unreadable characters"),
    ],
)
def test_broken_documents_are_explained(text: str, problem: str) -> None:
    """The second of two equal keys would win in silence, or a syntax error have no place."""
    assert str(parse(text, "f").problems[0]) == problem


@pytest.mark.parametrize(
    "text", ["k: *hush", "k: 'hush", 'k: "hush\\q"', "k: !hush v", "k: %hush", "k: @hush", "k: hush: x"]
)
def test_no_syntax_error_quotes_the_file(text: str) -> None:
    """A secret with a character that YAML minds would be printed with the complaint."""
    problems = parse(text, "f").problems
    assert problems
    assert "hush" not in "".join(map(str, problems))


def test_aliases_are_followed() -> None:
    """Two sinks could not share their settings."""
    assert parse("a: &x {b: 1}\nc: *x\n").value == {"a": {"b": 1}, "c": {"b": 1}}


def test_absurd_nesting_is_a_problem_and_not_a_crash() -> None:
    """A file of brackets would end in a RecursionError."""
    assert parse("[" * 5000, "f").problems
