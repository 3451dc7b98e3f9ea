"""What consumers of the real sinks see, through programs that share no code with the relay."""

from __future__ import annotations

import asyncio

from tests.faults.harness.oracle import Seen
from tests.services.kafka import kcat_read
from tests.services.redis import redis_cli_read


async def read_kafka(bootstrap: str, topic: str) -> list[Seen]:
    """All committed events of a topic, by partition, in order."""
    records = await asyncio.to_thread(kcat_read, bootstrap, topic, timeout=60)
    return [
        Seen(r.headers["ce_id"] or "", r.headers["ce_subject"] or "", r.value or b"", r.headers["ce_type"] or "")
        for r in records
    ]


async def read_redis(url: str, key: str) -> list[Seen]:
    """All entries of a stream, in order."""
    entries = await asyncio.to_thread(redis_cli_read, url, key)
    return [
        Seen(fields["id"].decode(), fields["subject"].decode(), fields["data"], fields["type"].decode())
        for _, fields in entries
    ]
