"""The events of a journal in pages: from a running relay over HTTP, or from the file of a stopped one."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol

from relay.cli.client import Client
from relay.core.event import Entry, Event
from relay.core.event_filter import EventFilter
from relay.publishing.replay import Page

if TYPE_CHECKING:
    from relay.journal.inspect import Stopped

_PAGE_EVENTS = 1000
_PAGE_BYTES = 4 << 20


class History(Protocol):
    """``newest`` and ``oldest`` are offsets; ``oldest`` of what is held beyond an offset, ``None``: nothing is.

    ``journal`` is the identity of the journal: offsets of another one mean other events.
    """

    def journal(self) -> str: ...

    def newest(self) -> int: ...

    def oldest(self, after: int) -> int | None: ...

    def page(self, after: int) -> Page: ...


class Served:
    """A running relay's, which does the selecting but for the time."""

    def __init__(self, client: Client, wanted: EventFilter) -> None:
        self._client, self._wanted = client, wanted
        asked = {"topic": wanted.topics, "type": wanted.types, "subject": wanted.subject}
        self._asked = {name: value for name, value in asked.items() if value is not None}

    def journal(self) -> str:
        return str(self._client.status()["journal"]["id"])

    def newest(self) -> int:
        return self._client.latest()

    def oldest(self, after: int) -> int | None:
        found = self._client.page(after, {}, 1)["events"]
        return found[0]["offset"] if found else None

    def page(self, after: int) -> Page:
        answer = self._client.page(after, self._asked)
        entries = [entry for each in answer["events"] if self._wanted.takes(entry := entry_of(each))]
        return Page(entries, answer["next"])


class Stored:
    """A stopped relay's."""

    def __init__(self, store: Stopped, wanted: EventFilter) -> None:
        self._store, self._wanted = store, wanted

    def journal(self) -> str:
        return self._store.journal_id

    def newest(self) -> int:
        return self._store.last_offset

    def oldest(self, after: int) -> int | None:
        found = self._store.read(after, 1, _PAGE_BYTES)
        return found[0].offset if found else None

    def page(self, after: int) -> Page:
        found = self._store.read(after, _PAGE_EVENTS, _PAGE_BYTES)
        return Page(list(filter(self._wanted.takes, found)), found[-1].offset if found else self._store.last_offset)


def entry_of(shown: Mapping[str, Any]) -> Entry:
    """An event of ``GET /v1/events`` as the journal has it: the same attributes, and ``data`` of the same meaning."""
    event = shown["event"]
    attributes = {name: event[name] for name in ("type", "id", "source", "subject", "time")}
    attributes |= {name: event[name] for name in ("dataschema", "traceparent") if name in event}
    return Entry(shown["offset"], 0, Event(topic=shown["topic"], data=_json_of(event["data"]), **attributes))


def _json_of(data: object) -> bytes:
    """Not by orjson, which has no integers beyond 64 bits; a lone surrogate can only be written escaped."""
    try:
        return json.dumps(data, ensure_ascii=False, separators=(",", ":")).encode()
    except UnicodeEncodeError:
        return json.dumps(data, separators=(",", ":")).encode()
