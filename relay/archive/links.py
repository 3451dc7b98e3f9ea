"""Fresh links to outputs: the upstream signs them again whenever it is asked for a task's result."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

import orjson

from relay.archive.errors import FetchError
from relay.core.archive.events import without_query
from relay.core.archive.job import MAX_LINK, Job, Link, deadline_of
from relay.core.clock import parse_rfc3339
from relay.core.event import Draft
from relay.core.source import Delivery, Source
from relay.core.tasks.reconcile import PollAnswer, Unanswered

_UNKNOWN: Final = frozenset({400, 404})
"""The upstream does not know the task (any more)."""


class Links:
    """``poll`` asks the upstream for a task, ``source`` reads its answers."""

    def __init__(self, poll: Callable[[str], Awaitable[PollAnswer | Unanswered]], source: Source) -> None:
        self._poll, self._source = poll, source

    async def fresh(self, job: Job, now: int) -> Link | None:
        """Another link to the same output; ``None``: there is none. ``now``: epoch milliseconds.

        Raises ``FetchError`` (``poll_failed``, retriable) where the upstream does not say.
        """
        answer = await self._poll(job.task_id)
        if isinstance(answer, Unanswered) or answer.status not in (200, *_UNKNOWN):
            raise FetchError("poll_failed", "The upstream does not say whether there is a fresh link.", retriable=True)
        if answer.status != 200:
            return None
        normalized = self._source.normalize(Delivery(answer.body, now, "poll"))
        outputs = orjson.loads(normalized.event.data)["outputs"] if isinstance(normalized, Draft) else []
        if job.index >= len(outputs):
            return None
        url, expires_at = outputs[job.index]["url"], outputs[job.index]["expires_at"]
        # Another object is another ending of the task, and published as that.
        if not url or url == job.link or len(url) > MAX_LINK or without_query(url) != without_query(job.link):
            return None
        return Link(url, deadline_of(None if expires_at is None else parse_rfc3339(expires_at), now))
