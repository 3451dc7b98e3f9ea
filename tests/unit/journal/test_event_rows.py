from __future__ import annotations

from pathlib import Path

import pytest

from relay.core.event import Entry, Event
from relay.journal.errors import JournalBroken
from relay.journal.event_rows import EVENT_COLUMNS, entry_of, row_of

EVENT = Event("tasks", "relay.task.failed", "id", "source", "subject", "time", b"{}", "schema", "trace")
ENTRY = Entry(7, 1234, EVENT, "kafka", b"k" * 16, b"says")


def test_each_field_of_an_entry_and_its_event_has_a_column_and_no_two_share_one() -> None:
    """Broken: a new attribute of events would be lost in the journal, and sinks would publish events without it."""
    fields = [*Entry._fields, *Event._fields]
    fields.remove("event")
    assert sorted([*fields, "crc"]) == sorted(EVENT_COLUMNS)
    assert list(EVENT_COLUMNS)[-1] == "data"


def test_an_entry_comes_back_from_its_row() -> None:
    """Broken: a consumer would get another event than the one that was accepted."""
    assert entry_of(row_of(ENTRY), Path("relay.db")) == ENTRY
    bare = Entry(7, 1234, EVENT._replace(dataschema=None, traceparent=None))
    assert entry_of(row_of(bare), Path("relay.db")) == bare


@pytest.mark.parametrize("place", range(len(EVENT_COLUMNS)))
def test_whatever_changes_in_a_row_is_noticed(place: int) -> None:
    """Broken: what a disk has garbled would be published as if it had been accepted."""
    row = row_of(ENTRY)
    row[place] = row[place] + 1 if isinstance(row[place], int) else row[place][:-1]
    with pytest.raises(JournalBroken):
        entry_of(row, Path("relay.db"))
