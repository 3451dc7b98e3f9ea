"""What was open when the relay was killed gets its ending, before anything new begins."""

from __future__ import annotations

import time

import orjson

from relay.core.chat import CHAT_SOURCE, STARTED, ChatStarted
from relay.core.chat_restart import restarted_draft
from relay.core.clock import rfc3339
from relay.core.event import CHAT, Draft, Event
from relay.edge.recorder import Recorder
from relay.journal.journal import Journal
from relay.journal.streams import OpenStream, Remains, Streams
from relay.telemetry import ChatSignals

_AT_ONCE = 50
"""Endings that are made before those are waited for: each may have a megabyte."""

_PATIENCE = 5.0


async def close_open_streams(journal: Journal, recorder: Recorder, signals: ChatSignals) -> None:
    """Writes ``relay.chat.failed``, reason ``relay_restarted``, for each stream that the journal has no ending of.

    Where the journal takes nothing (full disk), the recorder goes on trying while the relay starts.
    """
    streams = await journal.ask(Streams, Streams.all)
    if not streams:
        return
    chunks = await journal.ask(Streams, Streams.chunks)
    for count, stream in enumerate(streams, 1):
        remains = await journal.ask(Streams, Streams.remains, stream, chunks.get(stream.stream_id, []))
        recorder.track().put((_ending(stream, remains),))
        if count % _AT_ONCE == 0 or count == len(streams):
            await recorder.settled(_PATIENCE)
    signals.streams_closed(len(streams))


def _ending(stream: OpenStream, remains: Remains) -> Draft:
    now = time.time_ns() // 1_000_000
    return restarted_draft(remains.started or _beginning(stream), remains.chunks, now)


def _beginning(stream: OpenStream) -> Event:
    """Stands for a beginning that was pruned: what is known without it."""
    data: ChatStarted = {
        "stream_id": stream.stream_id,
        "model": None,
        "stream": True,
        "started_at": rfc3339(stream.opened_at),
        "client": None,
        "request": None,
    }
    return Event(CHAT, STARTED, stream.stream_id, CHAT_SOURCE, stream.stream_id, data["started_at"], orjson.dumps(data))
