"""Finds the events about one task or chat without an index of subjects.

Such an index would cost each webhook a page of its own. So the beginning and the end of a task or a stream are found
by the keys that absorb their repetitions, the chunks of a stream by what their keys begin with, and the few other
events (contradictions, progress, dead letters, replays) by an index that only they are in.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import orjson

from relay.core.chat.api import Api
from relay.core.chat.events import CHUNK, chunk_key, ended_key, started_key
from relay.core.chat.said import said
from relay.core.cloudevents import structured_json
from relay.core.event import Entry
from relay.core.tasks.events import submitted_key, terminal_key
from relay.edge.api.event_reader import PIECE_BYTES
from relay.journal.event_log import EventLog

MAX_EVENTS: Final = 1000
"""Events of one page."""

MAX_BYTES: Final = 4 << 20
"""Bytes of their data, unless the first alone has more."""


_MORE: Final = 512
"""Bytes that what chunks say may have more than they: what waits for a client is counted by its chunks."""


@dataclass(frozen=True, slots=True)
class Page:
    """Some of the events about a subject, in order, replays included; ``next`` is where to go on, ``None``: the end."""

    entries: Sequence[Entry]
    next: int | None


@dataclass(frozen=True, slots=True)
class Trail:
    """Where the beginning and the end of a subject are, as a task and as a chat."""

    task: Collection[int]
    chat: Collection[int]


async def trail_of(events: EventLog, subject: str) -> Trail:
    """Looks for what a subject is known under."""
    as_task = [submitted_key(subject), terminal_key(subject)]
    as_chat = [started_key(subject), ended_key(subject)]
    known = await events.known([*as_task, *as_chat])
    return Trail(
        task=[known[key][1] for key in as_task if key in known],
        chat=[known[key][1] for key in as_chat if key in known],
    )


async def page_about(
    events: EventLog,
    subject: str,
    trail: Trail,
    *,
    noted: Collection[int] = (),
    after: int = 0,
    limit: int = MAX_EVENTS,
) -> Page:
    """The events beyond an offset; ``noted`` are further offsets that are known to be of this subject."""
    offsets = {*trail.task, *trail.chat, *noted}
    offsets.update(await events.offsets_about(subject, after, limit + 1))
    if trail.chat:
        offsets.update(await events.known_beginning(chunk_key(subject), after, limit + 1))
    wanted = sorted(offset for offset in offsets if offset > after)
    entries = await events.pick(wanted[:limit], MAX_BYTES)
    return Page(entries, _next(wanted, limit, entries))


def _next(wanted: Sequence[int], limit: int, entries: Sequence[Entry]) -> int | None:
    """What was pruned lies before all that is held, so what is missing behind it was cut for its size."""
    asked = wanted[:limit]
    if entries and entries[-1].offset < asked[-1]:
        return entries[-1].offset
    return asked[-1] if len(wanted) > limit else None


def shown(entry: Entry, apis: Iterable[Api] = ()) -> dict[str, Any]:
    """An event with its place, as every route shows it; with what its chunks say, where they are of these APIs."""
    event = orjson.Fragment(structured_json(entry.event))
    place = {"offset": entry.offset, "topic": entry.event.topic, "event": event}
    if apis and entry.event.type == CHUNK:
        choices = orjson.dumps(said(orjson.loads(entry.event.data)["chunks"], apis))
        is_small = len(choices) <= len(entry.event.data) + _MORE
        place["choices"] = orjson.Fragment(choices if is_small else b"[]")
    return place


async def all_shown(entries: Iterable[Entry], apis: Iterable[Api]) -> list[dict[str, Any]]:
    """Many of them; others have their turn meanwhile."""
    found, unread = [], 0
    for entry in entries:
        found.append(shown(entry, apis))
        unread += len(entry.event.data)
        if apis and unread > PIECE_BYTES:
            unread = 0
            await asyncio.sleep(0)
    return found
