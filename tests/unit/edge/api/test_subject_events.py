"""What the journal holds about one subject; its routes have tests of their own."""

from __future__ import annotations

from pathlib import Path

from relay.core.chat.events import Opening, started_draft
from relay.core.tasks.events import bare_task, submitted_draft
from relay.edge.api.subject_events import page_about, shown, trail_of
from tests.unit.edge.serving import opened

AT = 1_700_000_000_000


async def test_a_task_and_a_stream_of_one_id_are_told_apart(tmp_path: Path) -> None:
    """A route for tasks would show a chat, or the other way round."""
    async with opened(tmp_path) as journal:
        await journal.append(submitted_draft(bare_task("x", "submitted", via="submit", received_at=AT)))
        await journal.append(started_draft(Opening("x", AT, 0.0)))
        trail = await trail_of(journal.events, "x")
        assert (trail.task, trail.chat) == ([1], [2])


async def test_what_was_pruned_leaves_the_rest_to_be_shown(tmp_path: Path) -> None:
    """A timeline would end, or go round in circles, where its beginning is not held any more."""
    async with opened(tmp_path) as journal:
        for n in range(3):
            await journal.append(submitted_draft(bare_task(f"t{n}", "submitted", via="submit", received_at=AT)))
        trail = await trail_of(journal.events, "t2")
        page = await page_about(journal.events, "t2", trail, noted=[1, 2])
        assert [entry.offset for entry in page.entries] == [1, 2, 3]
        await journal.maintenance._merge()
        assert journal._store.prune(floor=2, older_than=1 << 60, over_size=1 << 60) == 2
        page = await page_about(journal.events, "t2", trail, noted=[1, 2], limit=2)
        assert ([entry.offset for entry in page.entries], page.next) == ([], 2)
        page = await page_about(journal.events, "t2", trail, noted=[1, 2], after=2, limit=2)
        assert ([entry.offset for entry in page.entries], page.next) == ([3], None)


async def test_an_event_is_shown_with_its_place(tmp_path: Path) -> None:
    """A client could not go on from what it was shown."""
    async with opened(tmp_path) as journal:
        await journal.append(submitted_draft(bare_task("t1", "submitted", via="submit", received_at=AT)))
        [entry] = await journal.events.read(0, 1)
        assert (shown(entry)["offset"], shown(entry)["topic"]) == (1, "tasks")
