"""Giving addresses, and knowing whose they are. What a whole relay does with them: tests/integration."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from relay.edge import task_addresses as addresses_module
from relay.edge.task_addresses import Given, TaskAddresses
from relay.journal.journal import Journal
from relay.journal.projections.task_addresses import Addresses
from tests.services.raw_http import ask, post
from tests.unit.edge.serving import TOKEN, gate, opened, receiving, task

BASE = "https://relay.example/webhooks/novita"


@pytest.fixture
async def journal(tmp_path: Path) -> AsyncIterator[Journal]:
    async with opened(tmp_path) as journal:
        yield journal


def given(addresses: TaskAddresses) -> Given:
    found = addresses.new()
    assert found is not None
    return found


def path(address: Given) -> str:
    return address.url.removeprefix("https://relay.example")


async def test_no_address_is_given_where_none_is_known(journal: Journal) -> None:
    """The upstream would deliver to nowhere."""
    assert TaskAddresses(journal.projection(Addresses), 60.0).new() is None


async def test_each_submission_gets_another_address(journal: Journal) -> None:
    """The address of one task would be that of another."""
    addresses = TaskAddresses(journal.projection(Addresses), 60.0, BASE, [TOKEN])
    first, second = given(addresses), given(addresses)
    assert first.url != second.url
    assert first.url.startswith(BASE + "/")
    assert addresses.nonce_of(first.url.rpartition("/")[2]) == first.nonce


async def test_what_is_no_longer_remembered_is_asked_for(journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory would grow with the tasks; or, with many of them, the first would take the results of any."""
    monkeypatch.setattr(addresses_module, "REMEMBERED", 2)
    addresses = TaskAddresses(journal.projection(Addresses), 60.0, BASE)
    all_of_them = [given(addresses) for _ in range(5)]
    for n, each in enumerate(all_of_them):
        assert addresses.assign(each.nonce, f"t{n}")
    assert [addresses.is_known(each.nonce, f"t{n}") for n, each in enumerate(all_of_them)] == [False] * 3 + [True] * 2
    assert [await addresses.admits(all_of_them[0].nonce, f"t{n}") for n in range(2)] == [True, False]


async def test_a_delivery_by_an_address_waits_for_no_reader(journal: Journal) -> None:
    """Consumers who page would hold up the deliveries of every task that was submitted before a restart."""
    addresses = TaskAddresses(journal.projection(Addresses), 60.0, BASE)
    mine = given(addresses)
    async with asyncio.timeout(20), journal._readers.paused():
        assert await addresses.admits(mine.nonce, "a")


@pytest.mark.parametrize("shortcut", [True, False])
async def test_both_ways_of_a_delivery_look_at_the_address(journal: Journal, shortcut: bool) -> None:
    """On one of the two ways an address would be good for every task."""
    addresses = TaskAddresses(journal.projection(Addresses), 60.0, BASE, [TOKEN])
    mine = given(addresses)
    addresses.assign(mine.nonce, "a")
    async with receiving(journal, gate(TOKEN), addresses=addresses, shortcut=shortcut) as receiver:
        assert (await ask(receiver.url, post(path(mine), task("a")))).json["status"] == "accepted"
        assert (await ask(receiver.url, post(path(mine), task("b")))).code == "wrong_task"
        unknown = b'{"task":{"task_id":"b","status":"TASK_STATUS_NEW"}}'
        assert (await ask(receiver.url, post(path(mine), unknown))).code == "wrong_task"
        assert (await ask(receiver.url, post(path(mine), unknown.replace(b"b", b"a", 1)))).json["status"] == "dead"
        assert (await ask(receiver.url, post(path(mine), b'{"odd":1}'))).json["status"] == "dead"
        assert receiver.count("accepted") == 1


async def test_a_delivery_by_the_address_of_its_task_takes_the_short_way(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each result of a task that was submitted through relay would cost twice what a delivery costs."""
    addresses = TaskAddresses(journal.projection(Addresses), 60.0, BASE, [TOKEN])
    mine = given(addresses)
    addresses.assign(mine.nonce, "a")
    async with receiving(journal, gate(TOKEN), addresses=addresses) as receiver:
        short, taken = receiver.webhooks.take, []
        monkeypatch.setattr(receiver.webhooks, "take", lambda *parts: taken.append(short(*parts)) or taken[-1])
        assert (await ask(receiver.url, post(path(mine), task("b")))).code == "wrong_task"
        assert (await ask(receiver.url, post(path(mine), task("a")))).json["status"] == "accepted"
    assert taken == [False, True]


async def test_an_address_does_not_lift_the_other_checks(journal: Journal) -> None:
    """A leaked address would be good from anywhere, although deliveries are limited to some networks."""
    addresses = TaskAddresses(journal.projection(Addresses), 60.0, BASE, [TOKEN])
    mine = given(addresses)
    async with receiving(journal, gate(TOKEN, allow_from=["203.0.113.0/24"]), addresses=addresses) as receiver:
        assert (await ask(receiver.url, post(path(mine), task("a")))).code == "forbidden_address"
    signed = gate(TOKEN, signing_secrets=["whsec_" + "A" * 44])
    async with receiving(journal, signed, addresses=addresses) as receiver:
        assert (await ask(receiver.url, post(path(mine), task("a")))).code == "missing_signature"
