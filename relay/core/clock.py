"""Instants as epoch milliseconds, and as the RFC 3339 text that events carry. Nothing here reads a clock."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache

MAX_MS = 253_402_300_799_999
"""The last millisecond of the year 9999, beyond which RFC 3339 has no text."""

_EPOCH_ORDINAL = date(1970, 1, 1).toordinal()
_EPOCH = datetime.fromtimestamp(0, UTC)
_MS = timedelta(milliseconds=1)
_SECONDS = tuple(f"{second:02d}" for second in range(60))
_MILLIS = tuple(f".{milli:03d}Z" for milli in range(1000))
_RFC3339 = re.compile(
    r"\d{4}-\d\d-\d\d[Tt ](?:[01]\d|2[0-3]):\d\d:(\d\d)(?:\.\d+)?(?:[Zz]|[+-]\d\d:\d\d)",
    re.ASCII,
)


@lru_cache(maxsize=256)
def _minute(minutes: int) -> str:
    days, minute = divmod(minutes, 1440)
    return f"{date.fromordinal(_EPOCH_ORDINAL + days).isoformat()}T{minute // 60:02d}:{minute % 60:02d}:"


def rfc3339(ms: int) -> str:
    """UTC with exactly three decimals, as ``2023-11-14T22:13:20.000Z``: texts sort as the instants do.

    ``ms`` is epoch milliseconds, 0 to ``MAX_MS``; ``ValueError`` outside. Events of one moment share their minute,
    so the date is computed once for all of them.
    """
    if not 0 <= ms <= MAX_MS:
        raise ValueError(f"{ms} ms is outside 1970-01-01 to 9999-12-31, the range of an event's time")
    return _minute(ms // 60_000) + _SECONDS[ms // 1000 % 60] + _MILLIS[ms % 1000]


def parse_rfc3339(text: str) -> int:
    """Epoch milliseconds of an RFC 3339 timestamp (any offset; finer than a millisecond is cut off).

    ``ValueError`` if the text is not one, or when the instant lies before 1970 or after 9999.
    Source: https://www.rfc-editor.org/rfc/rfc3339#section-5.6
    """
    match = _RFC3339.fullmatch(text)
    if match is None:
        raise ValueError("not an RFC 3339 timestamp; expected a form like 2023-11-14T22:13:20.000Z")
    leap = match[1] == "60"  # a leap second is the next minute's first
    at = datetime.fromisoformat((f"{text[:17]}59{text[19:]}" if leap else text).upper())
    ms = (at - _EPOCH) // _MS + 1000 * leap
    if not 0 <= ms <= MAX_MS:
        raise ValueError("the timestamp lies outside 1970-01-01 to 9999-12-31")
    return ms
