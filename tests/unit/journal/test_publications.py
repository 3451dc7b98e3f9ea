"""Where events are on each sink."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from relay.core.dead import refused_draft
from relay.core.event import Entry
from relay.core.sink import Refused
from relay.journal.journal import Journal
from relay.journal.projections.history import History
from relay.journal.publications import Publications
from relay.journal.rows import Shown
from tests.unit.drafts import draft
from tests.unit.edge.serving import opened

Seen = tuple[int, str, str, bool]


def publications_in(journal: Journal) -> Publications:
    return Publications(journal.events, journal.progress, journal.projection(History))


async def seen(journal: Journal, entries: Sequence[Entry] | None = None) -> list[Seen]:
    """Offset, sink, state and whether its time is known."""
    entries = await journal.events.read(0, 100) if entries is None else entries
    return [
        (each.offset, each.sink, each.state, each.at is not None) for each in await publications_in(journal).of(entries)
    ]


async def test_events_are_pending_until_a_sink_has_settled_them(tmp_path: Path) -> None:
    """Somebody would look for an event on a sink that has not got it, or not look where it is."""
    async with opened(tmp_path, "kafka", "redis") as journal:
        for name in "abc":
            await journal.append(draft(name))
        journal.progress.advance("kafka", 2, published=1, dead=1, exceptions=[(2, "dead")])
        journal.progress.advance("redis", 1, published=0, dead=0, absorbed=1, exceptions=[(1, "absorbed")])
        assert await seen(journal) == [
            (1, "kafka", "published", True),
            (1, "redis", "absorbed", False),
            (2, "kafka", "dead", False),
            (2, "redis", "pending", False),
            (3, "kafka", "pending", False),
            (3, "redis", "pending", False),
        ]


async def test_an_event_for_one_sink_is_on_no_other(tmp_path: Path) -> None:
    """A replay would be shown as missing on sinks that it is not for."""
    async with opened(tmp_path, "kafka", "redis") as journal:
        await journal.append(draft("a")._replace(sink="redis"))
        assert await seen(journal) == [(1, "redis", "pending", False)]


async def test_what_a_sink_reports_after_a_crash_is_published_at_an_unknown_time(tmp_path: Path) -> None:
    """After a kill the last events would be shown as refused, as waiting, or with the time of the restart."""
    async with opened(tmp_path, "kafka") as journal:
        for name in "abc":
            await journal.append(draft(name))
        journal.progress.advance("kafka", 1, published=1, dead=0)
        [_, second, _] = await journal.events.read(0, 3)
        await journal.append(refused_draft(second, Refused("too_large", "?"), origin="kafka", refused_at=1))
        await journal.progress.recount("kafka", Shown(3, dead=1))
        assert (await seen(journal))[:3] == [
            (1, "kafka", "published", True),
            (2, "kafka", "dead", False),
            (3, "kafka", "published", False),
        ]


async def test_what_a_sink_lost_is_pending_again(tmp_path: Path) -> None:
    """A failover of Redis would leave events shown as published that are not there."""
    async with opened(tmp_path, "redis") as journal:
        for name in "abc":
            await journal.append(draft(name))
        journal.progress.advance("redis", 3, published=3, dead=0)
        first = await publications_in(journal).of(await journal.events.read(0, 3))
        await journal._writer.call(journal._store.write_what_waits, 1 << 60)
        await journal.progress.recount("redis", Shown(1))
        noted = journal.projection(History).query(
            lambda table: table._db.execute('SELECT max("offset") FROM passages').fetchone()
        )
        assert await noted == (1,)
        assert [state for *_, state, _ in await seen(journal)] == ["published", "pending", "pending"]
        journal.progress.advance("redis", 3, published=2, dead=0)
        again = await publications_in(journal).of(await journal.events.read(0, 3))
        assert again[0] == first[0]
        assert all(each.state == "published" and each.at is not None for each in again)
