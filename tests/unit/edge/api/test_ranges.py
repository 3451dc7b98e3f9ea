"""What a list may be asked for: a stretch of time, and where to begin."""

from __future__ import annotations

from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request

from relay.clocks import wall_ms
from relay.core.clock import rfc3339
from relay.core.event_filter import EventFilter
from relay.core.tasks.events import bare_task, submitted_draft
from relay.edge.api.guard import MAX_OFFSET
from relay.edge.api.ranges import Range, instant_in, newest, place_before, range_in
from relay.edge.http.problems import ProblemError
from tests.unit.edge.serving import opened


def asking(query: str) -> web.Request:
    return make_mocked_request("GET", f"/v1/events?{query}")


def test_an_instant_is_a_time_or_how_long_ago() -> None:
    """`since=2h` would be refused, or taken for another moment."""
    assert instant_in(asking(""), "since") is None
    assert instant_in(asking("since=2023-11-14T22:13:20Z"), "since") == 1_700_000_000_000
    ago = instant_in(asking("since=2h"), "since")
    assert ago is not None
    assert abs(wall_ms() - 7_200_000 - ago) < 60_000


@pytest.mark.parametrize("text", ["soon", "5", "-2h", "2023-11-14", "99999999d"])
def test_what_is_no_instant_says_what_is_one(text: str) -> None:
    """A slip would show everything, or nothing, and nobody would know why."""
    with pytest.raises(ProblemError) as refused:
        instant_in(asking(f"until={text}"), "until")
    assert "2026-01-31T09:00:00Z" in str(refused.value.detail)


def test_a_page_begins_below_an_offset_or_at_the_newest() -> None:
    """The first page could not be asked for without knowing the newest offset."""
    assert place_before(asking("")) is None
    assert place_before(asking("before=latest")) == MAX_OFFSET
    assert place_before(asking("before=17")) == 17
    with pytest.raises(ProblemError):
        place_before(asking("before=last"))


async def test_a_range_is_one_of_offsets(tmp_path: Path) -> None:
    """A time range would have to be looked for in every event."""
    async with opened(tmp_path) as journal:
        assert await range_in(asking("since=1h&until=0"), journal.events) == Range(0, -1)
        data = bare_task("a", "submitted", via="submit", received_at=wall_ms())
        await journal.append(submitted_draft(data))
        assert await range_in(asking("since=1h&until=0"), journal.events) == Range(1, 1)
        assert await range_in(asking("since=2999-01-01T00:00:00Z"), journal.events) == Range(2, None)
        assert await range_in(asking("until=1h"), journal.events) == Range(0, 0)
        with pytest.raises(ProblemError):
            await range_in(asking("since=1h&until=2h"), journal.events)
        [entry] = await journal.events.read(0, 10)
        for late, first, last in ((-1, 1, 0), (0, 1, 1), (1, 2, 1)):  # both ends belong to it, to the millisecond
            at = rfc3339(entry.accepted_at + late)
            assert await range_in(asking(f"since={at}&until={at}"), journal.events) == Range(first, last)
        found = await newest(journal.events, MAX_OFFSET, EventFilter(), Range(0, None), 10)
        assert ([entry.offset for entry in found.entries], found.next) == ([1], None)
