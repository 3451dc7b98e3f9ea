"""Reads tasks and chats from Kafka into the ledger."""

import asyncio
import os

from aiokafka import AIOKafkaConsumer, ConsumerRecord

from ledger import record

PREFIX = os.environ.get("KAFKA_PREFIX", "relay.")


def record_all(messages: list[ConsumerRecord]) -> None:
    for message in messages:
        event = {name.removeprefix("ce_"): value.decode() for name, value in message.headers}
        record(event, message.value.decode())


async def main() -> None:
    consumer = AIOKafkaConsumer(
        PREFIX + "tasks",
        PREFIX + "chat",
        bootstrap_servers=os.environ.get("KAFKA", "localhost:9092"),
        group_id="ledger-python",
        session_timeout_ms=6_000,  # after a crash the next one waits as long
        isolation_level="read_committed",
        auto_offset_reset="earliest",
        enable_auto_commit=False,
    )
    async with consumer:
        while True:
            batch = await consumer.getmany(timeout_ms=1_000, max_records=100)
            for messages in batch.values():  # in a thread: heartbeats need the event loop
                await asyncio.to_thread(record_all, messages)
            if batch:
                await consumer.commit()  # after the effects: a crash before this line repeats the batch


asyncio.run(main())
