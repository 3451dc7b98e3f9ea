"""Ends the chats that were open when relay was killed, before new ones start."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

import orjson

from relay.clocks import wall_ms
from relay.core.chat.api import Api
from relay.core.chat.events import CHAT_SOURCE, STARTED, ChatStarted
from relay.core.chat.recovery import closed_by_restart
from relay.core.clock import rfc3339
from relay.core.event import CHAT, Draft, Event
from relay.journal.errors import JournalUnavailable
from relay.journal.journal import Journal
from relay.journal.projections.chats import Chats, OpenChat
from relay.telemetry.signals.chats import ChatSignals

_AT_ONCE = 50
"""Endings that are made before those are waited for: each may have a megabyte."""

_TIMEOUT = 5.0
"""Seconds that a start waits for all of them together."""

_AGAIN = 0.5


async def end_open_chats(journal: Journal, apis: Mapping[str, Api], signals: ChatSignals) -> asyncio.Task[None] | None:
    """Writes ``relay.chat.failed``, reason ``relay_restarted``, for each stream that the journal has no ending of.

    Where the journal accepts nothing (full disk), the start does not wait for it: the task that goes on is answered.
    Cancelled, it leaves the rest to the next start.
    """
    chats = journal.projection(Chats)
    found = await chats.query(Chats.all)
    if not found:
        return None
    closing = asyncio.create_task(_close(journal, apis, found, signals), name="end open chats")
    await asyncio.wait((closing,), timeout=_TIMEOUT)
    if not closing.done():
        return closing
    closing.result()
    return None


async def _close(journal: Journal, apis: Mapping[str, Api], found: Sequence[OpenChat], signals: ChatSignals) -> None:
    chats = journal.projection(Chats)
    chunks = await chats.query(Chats.chunks)
    for start in range(0, len(found), _AT_ONCE):
        endings = []
        for chat in found[start : start + _AT_ONCE]:
            remains = await chats.query(Chats.remains, chat, chunks.get(chat.chat_id, []))
            endings.append(closed_by_restart(remains.started or _beginning(chat), remains.chunks, wall_ms(), apis))
        await asyncio.gather(*(_written(journal, ending.terminal) for ending in endings))
        signals.chats_closed([ending.data for ending in endings])


async def _written(journal: Journal, ending: Draft) -> None:
    while True:
        try:
            await journal.append(ending)
        except JournalUnavailable:
            await asyncio.sleep(_AGAIN)
        else:
            return


def _beginning(chat: OpenChat) -> Event:
    """Stands for a beginning that was pruned: what is known without it."""
    data: ChatStarted = {
        "chat_id": chat.chat_id,
        "api": None,
        "model": None,
        "stream": True,
        "started_at": rfc3339(chat.opened_at),
        "client": None,
        "request": None,
    }
    return Event(CHAT, STARTED, chat.chat_id, CHAT_SOURCE, chat.chat_id, data["started_at"], orjson.dumps(data))
