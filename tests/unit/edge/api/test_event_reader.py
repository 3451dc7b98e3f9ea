"""Reading the journal piece by piece, as far as a slow consumer may make it wait."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relay.core.event_filter import EventFilter
from relay.core.pruned import Span
from relay.edge.api.event_reader import PIECE_BYTES, PIECE_EVENTS, EventReader
from relay.journal.journal import Journal, Policy
from tests.unit.drafts import dead_draft, draft
from tests.unit.edge.serving import opened


async def pieces(journal: Journal, after: int = 0, wanted: EventFilter | None = None) -> list[list[int]]:
    """The offsets of each piece, to the end."""
    reader, found = EventReader(journal.events, after, wanted or EventFilter()), []
    while not reader.caught_up:
        piece = await reader.next()
        found.append([entry.offset for entry in piece.entries])
    return found


async def test_a_piece_is_bounded_by_bytes_and_by_events(tmp_path: Path) -> None:
    """What waits for a slow consumer would be as large as the events are."""
    async with opened(tmp_path) as journal:
        sizes = [PIECE_BYTES // 3] * 4 + [PIECE_BYTES * 2] + [1] * 150
        for n, size in enumerate(sizes):
            await journal.append(draft(str(n), data=b"1" * size))
        found = await pieces(journal)
        assert [offset for piece in found for offset in piece] == list(range(1, len(sizes) + 1))
        assert [len(piece) for piece in found] == [3, 1, 1, PIECE_EVENTS, 50]


@settings(max_examples=30, deadline=None)
@given(
    dead=st.lists(st.booleans(), min_size=1, max_size=300),
    size=st.sampled_from([1, PIECE_BYTES // 50, PIECE_BYTES // 2]),
    limit=st.sampled_from([1, 7, 100]),
)
async def test_a_filter_leaves_nothing_out_however_much_it_matches(
    tmp_path_factory: pytest.TempPathFactory, dead: list[bool], size: int, limit: int
) -> None:
    """A consumer with a filter would miss events, those at the borders of what is read at once."""
    async with opened(tmp_path_factory.mktemp("journal")) as journal:
        receipts = [
            journal.append(dead_draft(str(n)) if each else draft(str(n), data=b"1" * size))
            for n, each in enumerate(dead)
        ]
        wanted = [(await receipt).offset for receipt, each in zip(receipts, dead, strict=True) if not each]
        reader, found = EventReader(journal.events, 0, EventFilter(("tasks",))), []
        while not reader.caught_up:
            found += [entry.offset for entry in (await reader.next(limit)).entries]
        assert found == wanted


async def test_what_was_pruned_at_its_place_is_said_once(tmp_path: Path) -> None:
    """A consumer would skip events and not know it, or hear of it forever."""
    async with opened(tmp_path, policy=Policy(retention=-10.0)) as journal:
        for n in range(10):
            await journal.append(draft(str(n)))
        await journal.maintenance._merge()
        await journal.maintenance._prune()
    async with opened(tmp_path) as journal:  # again: the newest events are in memory for as long as it is open
        await journal.append(draft("new"))
        reader = EventReader(journal.events, 4, EventFilter())
        piece = await reader.next()
        assert (piece.entries, piece.pruned) == ([], Span(5, 10))
        piece = await reader.next()
        assert ([entry.offset for entry in piece.entries], piece.pruned) == ([11], None)
        assert (await EventReader(journal.events, 0, EventFilter()).next()).pruned is None, (
            "who begins has missed nothing"
        )


async def test_offsets_that_never_were_events_are_not_missing(tmp_path: Path) -> None:
    """A journal that went on beyond a gap would report a false loss to its consumers."""
    async with opened(tmp_path) as journal:
        await journal.append(draft("a"))
        await journal.progress.fork("none", 100)
        await journal.append(draft("b"))
        reader = EventReader(journal.events, 1, EventFilter())
        piece = await reader.next()
        assert ([entry.offset for entry in piece.entries], piece.pruned) == ([101], None)
