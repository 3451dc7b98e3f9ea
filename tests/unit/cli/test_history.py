"""The events of a journal as a replay reads them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from relay.cli.client import Client
from relay.cli.history import Served, Stored, entry_of
from relay.core.cloudevents import structured_json
from relay.core.event import Event
from relay.core.event_filter import EventFilter
from relay.journal.store import Store


def shown(event: Event) -> dict[str, Any]:
    """As ``GET /v1/events`` shows it."""
    return {"offset": 7, "topic": event.topic, "event": json.loads(structured_json(event))}


@pytest.mark.parametrize(
    "data",
    [
        b'{"a":1,"b":[true,null]}',
        b'{"n":123456789012345678901234567890}',
        '{"t":"ü€😀"}'.encode(),
        b'{"t":"\\ud83d"}',
    ],
)
@pytest.mark.parametrize("traceparent", [None, "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"])
def test_an_event_read_over_http_is_the_one_that_is_held(data: bytes, traceparent: str | None) -> None:
    """A replay would change a number or a character, or lose an attribute."""
    event = Event("tasks", "t", "i", "s", "x", "2026-01-01T00:00:00Z", data, "urn:schema", traceparent)
    entry = entry_of(shown(event))
    assert entry.offset == 7
    assert entry.event == event


def test_a_page_leaves_out_what_the_time_excludes_and_leads_on() -> None:
    """A replay of some minutes would publish the whole day, or stop at the first page."""
    event = Event("tasks", "t", "i", "s", "x", "2026-01-01T00:00:00Z", b"{}")

    class Relay(Client):
        def page(self, after: int, wanted: Any, limit: int = 0) -> dict[str, Any]:
            assert (after, wanted) == (3, {"topic": ("tasks",), "subject": "x"})
            return {"events": [shown(event)], "next": 9}

    late = EventFilter(topics=("tasks",), subject="x", not_before=2_000_000_000_000)
    page = Served(Relay("http://x"), late).page(3)
    assert (page.entries, page.upto) == ([], 9)


def test_an_empty_journal_is_read_to_its_end(tmp_path: Path) -> None:
    """A replay from a journal whose events have all gone would never end."""
    store = Store(tmp_path / "relay.db")
    history = Stored(store, EventFilter())
    assert (history.newest(), history.oldest(0), history.page(0).upto) == (0, None, 0)
    store.close()
