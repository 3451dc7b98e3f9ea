"""The parameters that say which stretch of the journal a list is about, and from which end."""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from aiohttp import web

from relay.clocks import wall_ms
from relay.core.clock import parse_rfc3339, rfc3339
from relay.core.event_filter import EventFilter
from relay.core.units import parse_duration
from relay.edge.api.guard import MAX_OFFSET, whole_number
from relay.edge.http.problems import ProblemError
from relay.journal.event_log import EventLog
from relay.journal.queries import Newest

PAGE_BYTES: Final = 1 << 20
"""Of the data of the events of a page that begins with the newest, unless one alone has more."""

_LOOKS: Final = 10  # at up to 50,000 events each: a rare kind must not hold a request for long; the client asks on


class Range(NamedTuple):
    """Offsets, both included; ``last`` is ``None`` where later events belong to it, too."""

    first: int
    last: int | None

    def below(self, before: int) -> int:
        """Below which offset a list begins that goes backwards from ``before``."""
        return before if self.last is None else min(before, self.last + 1)


async def range_in(request: web.Request, events: EventLog) -> Range:
    """What ``since`` and ``until`` say, by when relay accepted the events.

    Raises ``ProblemError`` (``bad_request``).
    """
    since, until = span_in(request)
    return Range(
        0 if since is None else await events.first_accepted_from(since),
        None if until is None else await events.first_accepted_from(until + 1) - 1,
    )


def span_in(request: web.Request) -> tuple[int | None, int | None]:
    """What ``since`` and ``until`` say, as epoch milliseconds. Raises ``ProblemError`` (``bad_request``)."""
    since, until = (instant_in(request, name) for name in ("since", "until"))
    if since is not None and until is not None and since > until:
        raise ProblemError("bad_request", "The parameter since must not be later than until: 2h is longer ago than 1h.")
    return since, until


def instant(ms: int | None) -> str | None:
    """An instant in epoch milliseconds as answers show it."""
    return None if ms is None else rfc3339(ms)


def instant_in(request: web.Request, name: str) -> int | None:
    """Epoch milliseconds of an RFC 3339 time, or of a duration ago. Raises ``ProblemError`` (``bad_request``)."""
    text = request.query.get(name)
    if not text:
        return None
    try:
        return max(0, wall_ms() - round(parse_duration(text) * 1000))
    except ValueError:
        pass
    try:
        return parse_rfc3339(text)
    except ValueError:
        detail = f"The parameter {name} must be a time like 2026-01-31T09:00:00Z, or how long ago: 15m, 2h, 7d."
        raise ProblemError("bad_request", detail) from None


def place_before(request: web.Request) -> int | None:
    """Below which offset the wanted page begins, newest first; ``latest`` is above all. ``None``: not asked for.

    Raises ``ProblemError`` (``bad_request``).
    """
    text = request.query.get("before")
    if text in (None, "latest"):
        return None if text is None else MAX_OFFSET
    return whole_number(text, "before", most=MAX_OFFSET, default=0)


def place_in(request: web.Request, place: re.Pattern[str], things: str) -> re.Match[str] | None:
    """Where a list goes on: ``before`` as the page before it gave it out. ``None``: it begins.

    Raises ``ProblemError`` (``bad_request``) for anything else.
    """
    text = request.query.get("before")
    match = place.fullmatch(text) if text else None
    if text and match is None:
        raise ProblemError("bad_request", f"The parameter before must be the next of another page of {things}.")
    return match


async def newest(events: EventLog, before: int, wanted: EventFilter, span: Range, limit: int) -> Newest:
    """Wanted entries of a span below an offset, newest first; fewer than ``limit``, or none, where few are wanted."""
    found = Newest([], span.below(before))
    for _ in range(_LOOKS):
        if found.next is None or found.entries:
            break
        found = await events.newest(found.next, wanted, span.first, limit, PAGE_BYTES)
    return found
