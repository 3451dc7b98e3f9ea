"""Instants: the text of an epoch millisecond and back."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.core.clock import MAX_MS, parse_rfc3339, rfc3339


@given(st.integers(0, MAX_MS))
def test_text_is_what_the_standard_library_writes(ms: int) -> None:
    """Events would carry a wrong time."""
    expected = datetime.fromtimestamp(ms // 1000, UTC).strftime("%m-%dT%H:%M:%S")
    assert rfc3339(ms)[5:] == f"{expected}.{ms % 1000:03d}Z"


@given(st.integers(0, MAX_MS))
def test_parsing_undoes_formatting(ms: int) -> None:
    """A time read back from an event would not be the one that was written."""
    assert parse_rfc3339(rfc3339(ms)) == ms


@given(st.integers(0, MAX_MS), st.integers(0, MAX_MS))
def test_texts_sort_as_the_instants_do(one: int, other: int) -> None:
    """Consumers could not order events by comparing their times as text."""
    assert (rfc3339(one) < rfc3339(other)) == (one < other)


@pytest.mark.parametrize("ms", [-1, MAX_MS + 1])
def test_instants_without_text_are_refused(ms: int) -> None:
    """An event would get a year that RFC 3339 cannot write."""
    with pytest.raises(ValueError, match="outside 1970"):
        rfc3339(ms)


@pytest.mark.parametrize(
    ("text", "ms"),
    [
        ("1970-01-01T00:00:00Z", 0),
        ("2023-11-14T22:13:20Z", 1_700_000_000_000),
        ("2023-11-14T23:43:20.5+01:30", 1_700_000_000_500),
        ("2023-11-14 20:13:20.123999-02:00", 1_700_000_000_123),
        ("2016-12-31t23:59:60z", 1_483_228_800_000),
        ("2024-02-29T00:00:00Z", 1_709_164_800_000),
    ],
)
def test_every_form_of_rfc_3339_is_read(text: str, ms: int) -> None:
    """Timestamps of other writers (offsets, lower case, leap seconds, finer fractions) would be refused or misread."""
    assert parse_rfc3339(text) == ms


@pytest.mark.parametrize(
    "text",
    [
        "",
        "now",
        "2023-11-14",
        "2023-11-14T22:13:20",
        "2023-02-30T00:00:00Z",
        "2023-11-14T24:00:00Z",
        "2023-11-14T22:13:20Z\n",
        "٢٠٢٣-11-14T22:13:20Z",
        "1969-12-31T23:59:59Z",
        "9999-12-31T23:59:59-01:00",
    ],
)
def test_anything_else_is_refused(text: str) -> None:
    """A wrong timestamp would become some other instant without anybody noticing."""
    with pytest.raises(ValueError, match=r"RFC 3339|time of day|day (?:is out of|30 must be in) range|outside 1970"):
        parse_rfc3339(text)
