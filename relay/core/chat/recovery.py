"""What the last event of a chat says that was open when relay was killed, from what the journal holds of it. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import orjson

from relay.core.chat.api import Api
from relay.core.chat.events import ChatChunk, ChatData, ChatStarted, terminal_draft
from relay.core.chat.outcome import Seen, verdict
from relay.core.chat.size import fitted
from relay.core.chat.tap import Closed
from relay.core.clock import rfc3339
from relay.core.event import Event

_FIRST = "chat_completions"
"""Reads the chunks of a chat whose API is not known: it passes over what it cannot read."""


def closed_by_restart(started: Event, chunks: Iterable[Event], now: int, apis: Mapping[str, Api]) -> Closed:
    """``relay.chat.failed``, reason ``relay_restarted``. ``now``: epoch milliseconds.

    ``started`` is the chat's ``relay.chat.started``, ``chunks`` its ``relay.chat.chunk`` in the order of the journal,
    as many as are left; ``apis``: all, by their names. What the events do not say (bytes, durations) is null; chunks
    missing between them are ``gaps``.
    """
    opened: ChatStarted = orjson.loads(started.data)
    name = opened.get("api")  # a journal from before there were several has none, and a newer relay may know more
    assembly = apis.get(name or _FIRST, apis[_FIRST]).assembly()
    count, expected = 0, 0
    for event in chunks:
        written: ChatChunk = orjson.loads(event.data)
        for chunk in written["chunks"]:
            assembly.add(chunk)
        count += len(written["chunks"])
        expected = written["first_sequence"] + len(written["chunks"])
    ended = verdict(Seen(), "relay_restarted")
    data: ChatData = {
        "chat_id": started.subject,
        "api": name,
        "completion_id": assembly.completion_id,
        "model": assembly.model or opened["model"],
        "outcome": ended.outcome,
        "reason": ended.reason,
        "http_status": None,
        "error": assembly.error,
        "choices": assembly.choices(),
        "usage": assembly.usage,
        "tokens": assembly.tokens(),
        "usage_source": "absent" if assembly.usage is None else "reported",
        "chunks": expected,
        "bytes": None,
        "gaps": expected - count,
        "truncated": assembly.truncated,
        "timings": {
            "started_at": opened["started_at"],
            "first_byte_ms": None,
            "first_token_ms": None,
            "duration_ms": None,
        },
        "client": opened["client"],
        "request": opened["request"],
    }
    terminal = terminal_draft(data, fitted(data), time=rfc3339(now), traceparent=started.traceparent)
    return Closed([], terminal, data)
