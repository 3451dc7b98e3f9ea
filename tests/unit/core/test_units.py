from __future__ import annotations

from contextlib import suppress
from typing import Annotated

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, Field, ValidationError

from docs.reference.settings import format_duration, format_size
from relay.core.units import (
    MAX_DURATION,
    MAX_SIZE,
    UNITS_REQUIRED,
    Duration,
    Size,
    parse_duration,
    parse_size,
)


class Both(BaseModel):
    wait: Annotated[Duration, Field(gt=0)] = 30.0
    room: Annotated[Size, Field(ge=1024)] = 1 << 20
    pause: Duration | None = None


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("250ms", 0.25), ("30s", 30), ("1.5s", 1.5), ("5m", 300), ("24h", 86400), ("7d", 604800), ("0", 0), ("30 s", 30)],
)
def test_durations_are_read(text: str, seconds: float) -> None:
    """A duration in the configuration would mean something else than it says."""
    assert parse_duration(text) == seconds


@pytest.mark.parametrize(
    "text", ["", "s", "-1s", "+1s", "1h30m", "1w", "1S", "1e3s", "nan", "infs", " 1s", "1s\n", "١s"]
)
def test_other_texts_are_no_durations(text: str) -> None:
    """A typing error would silently become some duration."""
    with pytest.raises(ValueError, match="must be a duration"):
        parse_duration(text)


def test_the_refusal_of_a_number_without_unit_says_how_to_write_it() -> None:
    """``chunk_interval: 250``, meant in milliseconds, would wait for four minutes."""
    with pytest.raises(ValueError, match="has no unit: write 250s or 250ms"):
        parse_duration("250")


@pytest.mark.parametrize("text", ["36501d", "99999999999999999999d"])
def test_a_duration_beyond_a_century_is_refused(text: str) -> None:
    """An absurd duration would overflow a timer or a timestamp much later."""
    with pytest.raises(ValueError, match="36500d"):
        parse_duration(text)


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("0", 0),
        ("512", 512),
        ("512B", 512),
        ("1KiB", 1024),
        ("1.5MiB", 1572864),
        ("10GiB", 10 << 30),
        ("2 TiB", 2 << 40),
    ],
)
def test_sizes_are_read(text: str, size: int) -> None:
    """A size in the configuration would mean something else than it says."""
    assert parse_size(text) == size


@pytest.mark.parametrize(
    ("text", "advice"),
    [
        ("1MB", "write 1MiB"),
        ("1mb", "write 1MiB"),
        ("10Gi", "write 10GiB"),
        ("10G", "write 10GiB"),
        ("1.5", "whole number of bytes"),
        ("9000000TiB", "less than"),
        ("-1", "must be a size"),
        ("many", "must be a size"),
        ("", "must be a size"),
    ],
)
def test_other_texts_are_no_sizes(text: str, advice: str) -> None:
    """An ambiguous or absurd size would be guessed at, or refused without saying what to write."""
    with pytest.raises(ValueError, match=advice):
        parse_size(text)


@given(st.floats(min_value=0, max_value=MAX_DURATION, allow_subnormal=False).filter(lambda s: s == 0 or s > 1e-9))
def test_durations_survive_being_written(seconds: float) -> None:
    """A configuration that was shown and copied would change its times."""
    assert parse_duration(format_duration(seconds)) == seconds


@given(st.integers(min_value=0, max_value=MAX_SIZE))
def test_sizes_survive_being_written(size: int) -> None:
    """A configuration that was shown and copied would change its sizes."""
    assert parse_size(format_size(size)) == size


@given(st.text())
def test_no_text_raises_anything_but_value_error(text: str) -> None:
    """A strange text in the configuration would end in a traceback instead of a sentence."""
    for parse in (parse_duration, parse_size):
        with suppress(ValueError):
            assert parse(text) >= 0


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.25, "250ms"), (90, "90s"), (60, "1m"), (86400, "1d"), (3600, "1h"), (0.0001, "0.0001s")]
)
def test_durations_are_written_short(seconds: float, text: str) -> None:
    """The reference would say ``604800s`` where the file says ``7d``."""
    assert format_duration(seconds) == text


def test_a_model_takes_texts_and_numbers() -> None:
    """A sink's own keys could not be written with units, or not be given as numbers in code."""
    assert Both.model_validate({"wait": "250ms", "room": "2KiB", "pause": "1m"}) == Both(wait=0.25, room=2048, pause=60)


def test_a_written_duration_needs_its_unit() -> None:
    """A bare number from a file would be taken for seconds, whatever was meant; 0 is the same in any unit."""
    with pytest.raises(ValidationError, match="write 5s or 5ms"):
        Both.model_validate({"pause": 5}, context=UNITS_REQUIRED)
    assert Both.model_validate({"pause": 0}, context=UNITS_REQUIRED).pause == 0


@pytest.mark.parametrize("value", [True, -1, float("inf"), float("nan"), [], "0s"])
def test_a_model_refuses_what_is_no_duration(value: object) -> None:
    """``timeout: true`` would be one second, and a constraint on a field would not hold for text."""
    with pytest.raises(ValidationError):
        Both.model_validate({"wait": value})


@pytest.mark.parametrize("value", [True, -1, 1.5, [], "1KB", "1B"])
def test_a_model_refuses_what_is_no_size(value: object) -> None:
    """``max_body: true`` would be one byte, and a constraint on a field would not hold for text."""
    with pytest.raises(ValidationError):
        Both.model_validate({"room": value})
