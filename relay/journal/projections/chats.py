"""The open chats: each has started in the journal and has no terminal event there yet.

A chat enters with its ``relay.chat.started`` and leaves with its ending, in the transaction of the event; so after a
crash exactly those are here that somebody waits for in vain. An ending never comes before its beginning: the recorder
hands it over when that is on disk.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

import orjson

from relay.core.chat.events import STARTED
from relay.core.event import CHAT, Event
from relay.journal import sql
from relay.journal.event_rows import EVENT_NAMES
from relay.journal.plan import Plan
from relay.journal.projection import Projection

SCAN: Final = 200_000
"""Events, the newest ones, among which the chunks of open chats are looked for: a start must not take minutes because
one chat was open for hours. What is older is a gap in the ending."""

_SQL: Final = sql.statements("projections/chats.sql")
_EVENTS = _SQL["events"].format(names=EVENT_NAMES)


class OpenChat(NamedTuple):
    """A chat without an ending. ``offset`` is that of its beginning, ``opened_at`` epoch milliseconds."""

    chat_id: str
    offset: int
    opened_at: int


class NamedChat(NamedTuple):
    """An open chat with what its beginning says; ``None``: unknown, or the beginning was pruned."""

    chat_id: str
    offset: int
    opened_at: int
    model: str | None
    client: str | None
    api: str | None


class Remains(NamedTuple):
    """What the journal still has of a chat: its beginning, if that was not pruned, and its chunks in order."""

    started: Event | None
    chunks: list[Event]


class Chats(Projection):
    statements = _SQL

    def apply(self, group: Plan) -> None:
        """Enters what has begun and lets go of what has ended."""
        begun: list[tuple[str, int]] = []
        ended: list[str] = []
        for entry in group.entries:
            # A replay for one sink was here before, under its first offset.
            if entry.event.topic == CHAT and entry.sink is None:
                if entry.event.type == STARTED:
                    begun.append((entry.event.subject, entry.offset))
                else:
                    ended.append(entry.event.subject)
        if begun:
            self._db.execute(_SQL["open"], {"rows": orjson.dumps(begun).decode(), "now": group.now})
        if ended:
            self._db.execute(_SQL["close"], {"ids": orjson.dumps(ended).decode()})

    def all(self) -> list[OpenChat]:
        """The open chats, in the order of their beginning."""
        return [OpenChat(*row) for row in self._db.execute(_SQL["all"])]

    def count(self) -> int:
        return int(self._db.execute(_SQL["count"]).fetchone()[0])

    def page(self, before: int, limit: int) -> list[NamedChat]:
        """At most ``limit`` open chats that began below an offset, the last one first."""
        return [NamedChat(*row) for row in self._db.execute(_SQL["page"], (before, limit))]

    def beginning_with(self, prefix: str, limit: int) -> list[str]:
        """The first ``limit`` open chats whose ids begin so, in their order."""
        found = self._db.execute(_SQL["beginning_with"], {**sql.beginning_with(prefix), "limit": limit})
        return [row[0] for row in found.fetchall()]

    def chunks(self) -> dict[str, list[int]]:
        """Where the chunk events of the open chats are, among the newest ``SCAN`` events."""
        rows = self._db.execute(_SQL["chunks"], {"scan": SCAN})
        return {chat_id: [int(offset) for offset in offsets.split(",")] for chat_id, offsets in rows}

    def remains(self, chat: OpenChat, chunks: Sequence[int]) -> Remains:
        """What is left of a chat; ``chunks`` are the offsets of its chunk events."""
        rows = self._db.execute(_EVENTS, (orjson.dumps([chat.offset, *chunks]).decode(),))
        events = [Event(*row) for row in rows]
        started = next((event for event in events if event.type == STARTED), None)
        return Remains(started, [event for event in events if event.type != STARTED])
