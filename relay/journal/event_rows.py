"""The rows of the events table: the one place that names its columns.

A row has the fields of an ``Entry``, those of its ``Event`` among them, in the order of the two named tuples, and its
checksum at the end. So a further attribute of events is a field there, a column here, and a step in ``migrations.sql``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from itertools import accumulate
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
_BLOBS: Final = ("key", "fingerprint", "data")
_TEXTS: Final = [place for place in range(len(_FIELDS)) if place not in (_DATA, *_KEYS)]
_texts, _keys = itemgetter(*_TEXTS), itemgetter(*_KEYS)
_CHECKED: Final = "\n".join(["%s"] * len(_TEXTS))

_EVENT: Final[Callable[[Iterable[Any]], Event]] = partial(tuple.__new__, Event)
_ENTRY: Final[Callable[[Iterable[Any]], Entry]] = partial(tuple.__new__, Entry)
"""As ``_make`` without counting, which takes as long again; ``zip`` counts."""
_OFFSET: Final = itemgetter(0)

DECLARED: Final = ",\n    ".join(f'"{name}" {declared}' for name, declared in EVENT_COLUMNS.items())
"""All columns, to make the table."""


def _listed(names: Sequence[str], form: Mapping[str, str] = MappingProxyType({}), usual: str = '"{}"') -> str:
    return ", ".join(form.get(name, usual).format(name) for name in names)


NAMES: Final = _listed((*_FIELDS, "crc"))
"""The columns in the order of a row."""

EVENT_NAMES: Final = _listed(Event._fields)
"""Those of the ``Event`` alone, in its order."""

_ARRAY: Final = 'CAST(json_group_array("{}") AS BLOB)'
_BYTES: Final = """CAST(json_group_array(length("{0}")) AS BLOB), CAST(group_concat(CAST("{0}" AS TEXT), '') AS BLOB)"""
IN_COLUMNS: Final = _listed((*_FIELDS, "crc"), dict.fromkeys(_BLOBS, _BYTES), _ARRAY)
"""As ``NAMES``, many rows in one, for ``entries_of``: per column a JSON array; of bytes one of their lengths, and all
of them one behind the other. In JSON they would take three times as long, there and back."""


def placeholders(count: int) -> str:
    """Of so many rows."""
    return sql.rows(count, len(EVENT_COLUMNS))


def row_of(entry: Entry) -> list[Any]:
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


def entries_of(page: Sequence[bytes], path: Path) -> list[Entry]:
    """The entries of a page that ``query.sql`` read, in order.

    Raises ``JournalBroken`` where one is not as it was written.
    """
    cells = iter(page)
    try:
        columns = [_cut(next(cells), next(cells)) if name in _BLOBS else orjson.loads(next(cells)) for name in _FIELDS]
        checksums = orjson.loads(next(cells))
    except orjson.JSONDecodeError as error:
        raise garbled(path, "An event") from error
    # Column by column: a backlog drains no faster than this, and acknowledgements wait for the interpreter lock beside.
    events = map(_EVENT, zip(*columns[_AT:_BEHIND], strict=True))
    entries = list(map(_ENTRY, zip(*columns[:_AT], events, *columns[_BEHIND:], strict=True)))
    texts, keys = zip(*_texts(columns), strict=True), zip(*_keys(columns), strict=True)
    for entry, kept, found in zip(entries, checksums, map(_crc, texts, keys, columns[_DATA]), strict=True):
        if kept != found:
            raise garbled(path, f"Event {entry.offset}")
    entries.sort(key=_OFFSET)
    return entries


def _cut(lengths: bytes, joined: bytes) -> list[bytes]:
    each: list[int] = orjson.loads(lengths)
    return [joined[end - length : end] for length, end in zip(each, accumulate(each), strict=True)]


def _checksum(row: Sequence[Any]) -> int:
    return _crc(_texts(row), _keys(row), row[_DATA])


def _crc(texts: tuple[Any, ...], keys: tuple[bytes, ...], data: bytes) -> int:
    """CRC-32 of a row: SQLite has none, and what a disk garbles must not be published."""
    return crc32(data, crc32((_CHECKED % texts).encode() + b"".join(keys)))
