"""What a Kafka sink says of topics whose acknowledged events a lost broker may take along."""

from __future__ import annotations

import pytest

from relay.sinks.kafka.advice import Durability, advice_on

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
