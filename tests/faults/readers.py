"""What consumers of the real sinks see, through programs that share no code with the relay."""

from __future__ import annotations

from tests.faults.oracle import Seen
from tests.services.kafka import kcat_read
from tests.services.redis import redis_cli_read


def read_kafka(bootstrap: str, topic: str) -> list[Seen]:
    """All committed events of a topic, by partition, in order."""
    return [
        Seen(record.headers["ce_id"] or "", record.headers["ce_subject"] or "", record.value or b"")
        for record in kcat_read(bootstrap, topic, timeout=60)
    ]


def read_redis(url: str, key: str) -> list[Seen]:
    """All entries of a stream, in order."""
    return [
        Seen(fields["id"].decode(), fields["subject"].decode(), fields["data"])
        for _, fields in redis_cli_read(url, key)
    ]
