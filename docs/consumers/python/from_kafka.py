"""Reads tasks and chats from Kafka into the ledger."""

import asyncio
import os

from aiokafka import AIOKafkaConsumer

from ledger import record

PREFIX = os.environ.get("KAFKA_PREFIX", "relay.")


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
        async for message in consumer:
            event = {name.removeprefix("ce_"): value.decode() for name, value in message.headers}
            record(event, message.value.decode())
            await consumer.commit()  # after the effect: a crash before this line repeats the event


asyncio.run(main())
