"""What a Kafka sink says of topics whose acknowledged events a lost broker may take along."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any

import pytest

from relay.sinks.kafka import advice as module
from relay.sinks.kafka.advice import Durability, advice_on, durability

PARTITIONS = 6


def topic(name: str, replicas: int, min_insync: int | None = None, unclean: bool | None = None) -> Durability:
    return Durability(name, replicas, PARTITIONS, min_insync, unclean)


@pytest.mark.parametrize(
    ("found", "codes"),
    [
        ([topic("a", 3, 2, False)], []),
        ([topic("a", 3)], []),
        ([topic("a", 1, 1, True)], ["not_replicated"]),
        ([topic("a", 3, 1, False)], ["acknowledged_by_one"]),
        ([topic("a", 3, 2, True)], ["unclean_election"]),
        (
            [topic("a", 2, 1, True), topic("b", 1)],
            ["not_replicated", "acknowledged_by_one", "unclean_election"],
        ),
        ([], []),
    ],
)
def test_each_shortcoming_is_reported_once_and_none_where_there_is_none(
    found: list[Durability], codes: list[str]
) -> None:
    """Broken: an operator would notice when the events are gone, or be warned of what is no fault."""
    assert [advice.code for advice in advice_on(found, PARTITIONS)] == codes


def test_the_topics_are_named() -> None:
    """Broken: somebody would fix the wrong topic."""
    (advice,) = advice_on([topic("b", 1), topic("a", 1), topic("c", 3, 2)], PARTITIONS)
    assert advice.message.startswith("The topics a, b are on one broker only")


def test_a_topic_with_more_partitions_than_configured_is_reported() -> None:
    """Broken: who added partitions would not learn that the subjects' order ends there."""
    found = [Durability("a", 3, 6, 2), Durability("b", 3, 12, 2), Durability("checkpoint", 3, 1, 2)]
    (advice,) = advice_on(found, 6)
    assert (advice.code, "12 partitions" in advice.message) == ("partitions_added", True)
    assert "Set partitions to 12" in advice.hint


def test_one_topic_is_named_as_one() -> None:
    """Broken: an operator would look for others that are meant as well."""
    (advice,) = advice_on([topic("a", 1)], PARTITIONS)
    assert advice.message.startswith("The topic a is on one broker only")


class Admin:
    """A cluster with these topics: code, name, whether it is internal, and partitions (replicas fourth, those in sync
    fifth); and with what the relay may see of their settings."""

    topics = (
        (0, "a", False, [(0, 0, 1, [1, 2, 3], [1]), (0, 1, 1, [1, 2], [1])]),
        (0, "hidden", False, [(0, 0, 1, [1, 2, 3], [1])]),
        (0, "without settings", False, [(0, 0, 1, [1, 2, 3], [1])]),
        (0, "without partitions", False, []),
        (3, "gone", False, [(0, 0, 1, [1], [1])]),
    )

    async def describe_configs(self, resources: Any) -> Any:
        names = [resource.name for resource in resources]
        assert names == ["a", "hidden", "without settings"]
        settings = [("min.insync.replicas", "2", False), ("unclean.leader.election.enable", "true", False)]
        found = [(0, "", 2, "a", settings), (29, "", 2, "hidden", settings), (0, "", 2, "without settings", [])]
        return [SimpleNamespace(resources=found)]


async def test_what_topics_promise_is_read_from_the_cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    """Broken: the warning would depend on which replicas happen to be in sync, or on settings that nobody may see."""

    @asynccontextmanager
    async def administering(options: object) -> AsyncIterator[Admin]:
        yield Admin()

    async def described(admin: Admin, names: object) -> Any:
        return admin.topics

    monkeypatch.setattr(module, "administering", administering)
    monkeypatch.setattr(module, "described", described)
    assert await durability({}, ["a"]) == [
        Durability("a", 2, 2, 2, True),
        Durability("hidden", 3, 1),
        Durability("without settings", 3, 1),
    ]
