"""What the broker says of topics, one by one; with a broker: tests/integration."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from relay.core.sink import SinkUnavailable
from relay.sinks.kafka.config import Config
from relay.sinks.kafka.topics import _create, _new_topic

FINE, EXISTS, DENIED, REPLICAS = 0, 36, 29, 38


class Admin:
    """Answers what is asked of it with these errors: topic, code and, from newer brokers, what is wrong."""

    def __init__(self, *errors: tuple[Any, ...]) -> None:
        self._errors = errors

    async def create_topics(self, topics: object) -> Any:
        return SimpleNamespace(topic_errors=self._errors)


async def test_a_topic_that_another_replica_has_created_meanwhile_will_do() -> None:
    """If this fails, of replicas that start together all but one fail the first time."""
    await _create(Admin(("a", EXISTS, None), ("b", FINE, None)), [], "User:x")


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (("b", REPLICAS, "Replication factor: 3 larger than available brokers: 1."), "topics_missing", "3 larger"),
        (("b", REPLICAS, None), "topics_missing", "InvalidReplicationFactorError"),
        (("b", REPLICAS), "topics_missing", "InvalidReplicationFactorError"),
        (("b", DENIED, None), "authorization", "creating the topic b (User:x)"),
    ],
)
async def test_a_topic_that_cannot_be_created_is_named_wherever_it_is(
    error: tuple[Any, ...], code: str, said: str
) -> None:
    """If this fails, the relay goes on without a topic, or an operator does not learn which one and why."""
    with pytest.raises(SinkUnavailable) as refused:
        await _create(Admin(("a", FINE, None), error), [], "User:x")
    assert refused.value.code == code
    assert said in refused.value.message


@pytest.mark.parametrize(("replication_factor", "assignments"), [(-1, {}), (2, None), (3, None)])
def test_topics_are_created_as_configured(replication_factor: int, assignments: object) -> None:
    """If this fails, topics are made with other copies or partitions than the configuration says."""
    config = Config(type="kafka", partitions=5, replication_factor=replication_factor)
    events, checkpoint = (_new_topic(config, name, "checkpoint") for name in ("events", "checkpoint"))
    assert (events.num_partitions, checkpoint.num_partitions) == (5, 1)
    assert {events.replication_factor, checkpoint.replication_factor} == {replication_factor}
    assert events.replica_assignments == (assignments or {})
    assert (events.topic_configs, checkpoint.topic_configs["cleanup.policy"]) == ({}, "compact")
