"""What was open when the relay was killed gets its ending, before anything new begins."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence

import orjson

from relay.core.chat.events import CHAT_SOURCE, STARTED, ChatStarted
from relay.core.chat.recovery import restarted_draft
from relay.core.clock import rfc3339
from relay.core.event import CHAT, Draft, Event
from relay.journal.errors import JournalUnavailable
from relay.journal.journal import Journal
from relay.journal.projected import Projected
from relay.journal.projections.chats import OpenStream, Remains, Streams
from relay.telemetry.signals.chats import ChatSignals

_AT_ONCE = 50
"""Endings that are made before those are waited for: each may have a megabyte."""

_TIMEOUT = 5.0
"""Seconds that a start waits for all of them together."""

_AGAIN = 0.5


async def close_open_streams(journal: Journal, signals: ChatSignals) -> asyncio.Task[None] | None:
    """Writes ``relay.chat.failed``, reason ``relay_restarted``, for each stream that the journal has no ending of.

    Where the journal accepts nothing (full disk), the start does not wait for it: the task that goes on is answered.
    Cancelled, it leaves the rest to the next start.
    """
    chats = journal.projection(Streams)
    streams = await chats.query(Streams.all)
    if not streams:
        return None
    closing = asyncio.create_task(_close(journal, chats, streams, signals), name="close streams")
    await asyncio.wait((closing,), timeout=_TIMEOUT)
    if not closing.done():
        return closing
    closing.result()
    return None


async def _close(
    journal: Journal, chats: Projected[Streams], streams: Sequence[OpenStream], signals: ChatSignals
) -> None:
    chunks = await chats.query(Streams.chunks)
    for start in range(0, len(streams), _AT_ONCE):
        endings = []
        for stream in streams[start : start + _AT_ONCE]:
            remains = await chats.query(Streams.remains, stream, chunks.get(stream.chat_id, []))
            endings.append(_ending(stream, remains))
        await asyncio.gather(*(_written(journal, ending) for ending in endings))
    signals.chats_closed(len(streams))


async def _written(journal: Journal, ending: Draft) -> None:
    while True:
        try:
            await journal.append(ending)
        except JournalUnavailable:
            await asyncio.sleep(_AGAIN)
        else:
            return


def _ending(stream: OpenStream, remains: Remains) -> Draft:
    now = time.time_ns() // 1_000_000
    return restarted_draft(remains.started or _beginning(stream), remains.chunks, now)


def _beginning(stream: OpenStream) -> Event:
    """Stands for a beginning that was pruned: what is known without it."""
    data: ChatStarted = {
        "chat_id": stream.chat_id,
        "model": None,
        "stream": True,
        "started_at": rfc3339(stream.opened_at),
        "client": None,
        "request": None,
    }
    return Event(CHAT, STARTED, stream.chat_id, CHAT_SOURCE, stream.chat_id, data["started_at"], orjson.dumps(data))
