from __future__ import annotations

import asyncio

import pytest

from relay.core.event import Draft
from relay.journal.errors import JournalUnavailable
from relay.journal.queue import Queue, size_of
from tests.unit.drafts import dead_draft, draft


async def queue_of(*drafts: Draft) -> Queue:
    queue = Queue()
    for each in drafts:
        queue.put(each, asyncio.get_running_loop().create_future())
    return queue


def of_size(name: str, size: int) -> Draft:
    return draft(name, data=b'"' + b"x" * (size - 2) + b'"')


@pytest.mark.parametrize(
    ("sizes", "events", "most", "groups"),
    [
        ([10, 10, 10], 2, 1000, [2, 1]),
        ([10, 10, 10], 9, 20, [2, 1]),
        ([500, 10, 500], 9, 20, [1, 1, 1]),
        ([], 9, 20, []),
    ],
)
async def test_groups_are_bounded_and_in_order(sizes: list[int], events: int, most: int, groups: list[int]) -> None:
    """Broken: one group could hold up everybody for seconds, or an event larger than a group would wait forever."""
    drafts = [of_size(str(n), size) for n, size in enumerate(sizes)]
    queue, taken = await queue_of(*drafts), []
    while group := queue.take(events, most):
        taken.append([each for each, _ in group])
    assert [len(group) for group in taken] == groups
    assert [each for group in taken for each in group] == drafts


async def test_the_delivery_behind_a_dead_letter_counts() -> None:
    """Broken: deliveries that nobody can read would wait without a bound."""
    letter = dead_draft("a")
    assert letter.dead is not None
    assert size_of(letter) == len(letter.event.data) + len(letter.dead.raw)


async def test_what_comes_has_to_fit_beside_what_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Broken: while the disk is slow, each large event goes beyond the bound, and memory holds twice of it."""
    monkeypatch.setattr("relay.journal.queue.MAX_WAITING_BYTES", 30)
    queue = await queue_of(of_size("a", 10), of_size("b", 10))
    with pytest.raises(JournalUnavailable, match="already wait for the disk"):
        queue.put(of_size("c", 11), asyncio.get_running_loop().create_future())
    queue.put(of_size("d", 10), asyncio.get_running_loop().create_future())
    assert len(queue) == 3


async def test_taking_frees_the_room(monkeypatch: pytest.MonkeyPatch) -> None:
    """Broken: after one busy moment the queue would refuse everything, or bound nothing."""
    monkeypatch.setattr("relay.journal.queue.MAX_WAITING_BYTES", 25)
    queue = await queue_of(of_size("a", 10), of_size("b", 10))
    queue.take(1, 100)
    queue.put(of_size("c", 10), asyncio.get_running_loop().create_future())
    assert len(queue.take_all()) == 2
    assert len(queue) == 0
    queue.put(of_size("d", 25), asyncio.get_running_loop().create_future())
