"""Which task an address belongs to, in the journal's file."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from relay.core.tasks.address import made_before, nonce
from relay.journal.journal import Journal
from relay.journal.projections.task_addresses import Addresses, Binding, Found
from tests.unit.drafts import draft
from tests.unit.edge.serving import opened

N1, N2 = nonce(b"1" * 16, 1000), nonce(b"2" * 16, 2000)


@pytest.fixture
async def journal(tmp_path: Path) -> AsyncIterator[Journal]:
    async with opened(tmp_path) as journal:
        yield journal


async def find(journal: Journal, nonce: bytes, task_id: str) -> Found:
    return await journal.projection(Addresses).query(Addresses.find, nonce, task_id)


async def test_an_address_is_bound_at_once_and_on_disk_with_the_next_group(tmp_path: Path) -> None:
    """After a crash the address of a task would be good for any other."""
    async with opened(tmp_path) as journal:
        addresses = journal.projection(Addresses).table
        addresses.bind(N1, Binding("a", given=True))
        assert await find(journal, N1, "b") == Found("a", False)
        await journal.append(draft("a"))
        key = addresses.key
    async with opened(tmp_path) as journal:
        assert await find(journal, N1, "b") == Found("a", False)
        assert journal.projection(Addresses).table.key == key


async def test_what_waits_is_let_go_once_it_is_written(journal: Journal) -> None:
    """Every address ever given would be written again with each group."""
    addresses = journal.projection(Addresses).table
    addresses.bind(N1, Binding("a", given=True))
    await journal.append(draft("a"))
    await journal.append(draft("b"))
    assert addresses._waiting == {}


async def test_the_answer_counts_more_than_a_delivery_and_not_the_reverse(journal: Journal) -> None:
    """One wrong delivery would lock the task's own result out, before or after the answer."""
    addresses = journal.projection(Addresses).table
    for binding, expected in ((Binding("x", False), "x"), (Binding("a", True), "a")):
        addresses.bind(N1, binding)
        await journal.append(draft(expected))
        assert (await find(journal, N1, "b")).task_id == expected
    addresses.bind(N1, Binding("y", False))
    await journal.append(draft("c"))
    await journal.append(draft("d"))
    rows = await journal.projection(Addresses).query(
        lambda table: table._db.execute("SELECT task_id FROM task_addresses").fetchall()
    )
    assert rows == [("a",)]


async def test_a_task_that_was_given_an_address_takes_no_other(journal: Journal) -> None:
    """An address of another replica's task would be good for the tasks of this one."""
    addresses = journal.projection(Addresses).table
    addresses.bind(N1, Binding("a", given=True))
    assert await find(journal, N2, "a") == Found(None, True)
    await journal.append(draft("a"))
    assert await find(journal, N2, "a") == Found(None, True)
    assert await find(journal, N2, "b") == Found(None, False)


async def test_a_task_that_a_delivery_claimed_takes_the_address_that_it_was_given(journal: Journal) -> None:
    """The first forgery would lock the real result out."""
    journal.projection(Addresses).table.bind(N1, Binding("a", given=False))
    await journal.append(draft("a"))
    assert await find(journal, N2, "a") == Found(None, False)


async def test_old_addresses_are_forgotten_in_steps(journal: Journal) -> None:
    """The table would grow forever, or those that are still good be forgotten."""
    addresses = journal.projection(Addresses).table
    for n in range(5):
        addresses.bind(nonce(bytes([n]) * 16, 1000 + n), Binding(f"t{n}", given=True))
    await journal.append(draft("a"))
    await journal.append(draft("b"))
    assert [await journal.projection(Addresses).execute(Addresses.expire, made_before(1004), 3) for _ in range(3)] == [
        3,
        1,
        0,
    ]
    assert (await find(journal, nonce(b"\4" * 16, 1004), "x")).task_id == "t4"
