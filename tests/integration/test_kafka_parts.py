"""Transactions of the Kafka sink that go in several requests, against a real broker, read back by kcat."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from typing import Any

import pytest

from relay.core.event import Entry, Event
from relay.core.sink import Batch, Checkpoint, Identity, Published, SinkUnavailable
from relay.sinks.kafka import Config
from relay.sinks.kafka.sink import KafkaSink
from tests.services.kafka import Kafka, kcat_read


def entry(offset: int) -> Entry:
    data = b'"' + b"x" * 6_000 + b'"'
    event = Event("tasks", "t", f"id-{offset}", "s", f"task-{offset % 7}", "2026-01-01T00:00:00Z", data)
    return Entry(offset, 1_767_225_600_000, event)


async def test_a_relay_that_dies_between_the_parts_of_a_transaction_loses_and_repeats_nothing(kafka: Kafka) -> None:
    """P2 broken: of a batch that goes in several requests, those that the broker has would be read twice or alone."""
    config = Config(type="kafka", bootstrap_servers=kafka.bootstrap, prefix=kafka.topic_prefix(), partitions=3)
    dying, successor = (KafkaSink(config, Identity("relay-0", instance)) for instance in ("first", "second"))
    batch = Batch([entry(n) for n in range(1, 601)], Checkpoint("journal", 600))
    async with AsyncExitStack() as stack:
        for sink in (dying, successor):
            stack.push_async_callback(sink.close)
        await dying.open()
        assert dying._session is not None
        producer = dying._session.producer
        send, sent = producer.send_batch, list[Any]()

        async def the_first_part_only(*what: Any, **where: Any) -> Any:
            if len(sent) == 3:  # one for each partition
                await asyncio.wait(sent)
                raise RuntimeError("dies here")
            sent.append(await send(*what, **where))
            return sent[-1]

        producer.send_batch = the_first_part_only
        with pytest.raises(SinkUnavailable):
            await dying.publish(batch)
        assert await successor.open() is None
        assert await successor.publish(batch) == [Published()] * 600
    records = await asyncio.to_thread(kcat_read, kafka.bootstrap, config.name_of("tasks"))
    found = [(str(record.headers["ce_subject"]), record.headers["ce_id"]) for record in records]
    accepted = [(each.event.subject, each.event.id) for each in batch.entries]
    assert sorted(found, key=lambda each: each[0]) == sorted(accepted, key=lambda each: each[0])
