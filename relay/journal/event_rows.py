"""The rows of the table of events: the one place that names its columns.

A row has the fields of an ``Entry``, those of its ``Event`` among them, in the order of the two named tuples, and its
checksum at the end. So a further attribute of events is a field there, a column here, and a step in ``migrations.sql``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from operator import itemgetter
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final
from zlib import crc32

import orjson

from relay.core.event import Entry, Event
from relay.journal import sql
from relay.journal.volume import garbled

EVENT_COLUMNS: Final = {
    # AUTOINCREMENT keeps the highest offset ever used in sqlite_sequence: without it a table that was pruned empty
    # starts at 1 again, and a sink whose checkpoint is at N takes N new events for published.
    "offset": "INTEGER PRIMARY KEY AUTOINCREMENT",
    "accepted_at": "INTEGER NOT NULL",  # epoch milliseconds
    "topic": "TEXT NOT NULL",
    "type": "TEXT NOT NULL",
    "id": "TEXT NOT NULL",
    "source": "TEXT NOT NULL",
    "subject": "TEXT NOT NULL",
    "time": "TEXT NOT NULL",
    "dataschema": "TEXT",
    "traceparent": "TEXT",
    "sink": "TEXT",  # the only sink it is for; NULL: every sink
    "key": "BLOB NOT NULL",  # which fact this is, 16 bytes
    "fingerprint": "BLOB NOT NULL",  # what the fact states
    "crc": "INTEGER NOT NULL",  # of all the others
    "data": "BLOB NOT NULL",  # JSON in UTF-8
}
"""In the order of the table: ``data`` comes last, for SQLite reads its way to a column through those before it."""

_AT: Final = Entry._fields.index("event")
_BEHIND: Final = _AT + len(Event._fields)
_FIELDS: Final = (*Entry._fields[:_AT], *Event._fields, *Entry._fields[_AT + 1 :])
_DATA: Final = _FIELDS.index("data")
_KEYS: Final = [_FIELDS.index(name) for name in ("key", "fingerprint")]
_TEXTS: Final = [place for place in range(len(_FIELDS)) if place not in (_DATA, *_KEYS)]
_texts, _keys = itemgetter(*_TEXTS), itemgetter(*_KEYS)
_CHECKED: Final = "\n".join(["%s"] * len(_TEXTS))

DECLARED: Final = ",\n    ".join(f'"{name}" {declared}' for name, declared in EVENT_COLUMNS.items())
"""All columns, to make the table."""


def _listed(names: Sequence[str], form: Mapping[str, str] = MappingProxyType({})) -> str:
    return ", ".join(form.get(name, '"{}"').format(name) for name in names)


NAMES: Final = _listed((*_FIELDS, "crc"))
"""The columns in the order of a row."""

EVENT_NAMES: Final = _listed(Event._fields)
"""Those of the ``Event`` alone, in its order."""

IN_JSON: Final = _listed((*_FIELDS, "crc"), {"key": "hex({})", "fingerprint": "hex({})", "data": "CAST({} AS TEXT)"})
"""As ``NAMES``, for ``entries_of``. ``data`` travels as text in JSON: its bytes must come back as they were."""


def placeholders(count: int) -> str:
    """Of so many rows."""
    return sql.rows(count, len(EVENT_COLUMNS))


def row_of(entry: Entry) -> list[Any]:
    """The row of an entry."""
    around: tuple[Any, ...] = entry
    row = [*around[:_AT], *entry.event, *around[_AT + 1 :]]
    row.append(_checksum(row))
    return row


def entry_of(row: Sequence[Any], path: Path) -> Entry:
    """The entry of a row. Raises ``JournalBroken`` where it is not as it was written."""
    entry = Entry._make((*row[:_AT], Event._make(row[_AT:_BEHIND]), *row[_BEHIND:-1]))
    if row[-1] != _checksum(row):
        raise garbled(path, f"Event {entry.offset}")
    return entry


def entries_of(page: bytes, path: Path) -> list[Entry]:
    """The entries of a page that ``query.sql`` read. Raises ``JournalBroken`` where one is not as it was written."""
    try:
        rows = orjson.loads(page)
    except orjson.JSONDecodeError as error:
        raise garbled(path, "An event") from error
    for row in rows:
        row[_DATA] = row[_DATA].encode()
        for place in _KEYS:
            row[place] = bytes.fromhex(row[place])
    return [entry_of(row, path) for row in rows]


def _checksum(row: Sequence[Any]) -> int:
    """CRC-32 of a row: SQLite has none, and what a disk garbles must not be published."""
    return crc32(row[_DATA], crc32((_CHECKED % _texts(row)).encode() + b"".join(_keys(row))))
