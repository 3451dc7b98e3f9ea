"""What a Kafka sink says of topics whose acknowledged events a lost broker may take along."""

from __future__ import annotations

import pytest

from relay.sinks._kafka_advice import Durability, advice_on


@pytest.mark.parametrize(
    ("found", "codes"),
    [
        ([Durability("a", 3, 2, False)], []),
        ([Durability("a", 3)], []),
        ([Durability("a", 1, 1, True)], ["not_replicated"]),
        ([Durability("a", 3, 1, False)], ["acknowledged_by_one"]),
        ([Durability("a", 3, 2, True)], ["unclean_election"]),
        (
            [Durability("a", 2, 1, True), Durability("b", 1)],
            ["not_replicated", "acknowledged_by_one", "unclean_election"],
        ),
        ([], []),
    ],
)
def test_each_shortcoming_is_told_once_and_none_where_there_is_none(found: list[Durability], codes: list[str]) -> None:
    """Broken: an operator would learn of it when the events are gone, or be told of what is no fault."""
    assert [advice.code for advice in advice_on(found)] == codes


def test_the_topics_are_named() -> None:
    """Broken: somebody would mend the wrong topic."""
    (advice,) = advice_on([Durability("b", 1), Durability("a", 1), Durability("c", 3, 2)])
    assert advice.message.startswith("The topics a, b are on one broker only")
