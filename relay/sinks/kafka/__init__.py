"""Kafka: ``sink.py`` is the plug-in, the other files are its parts; nothing else uses aiokafka.

Who only reads a configuration does not wait until aiokafka is loaded.
"""

from __future__ import annotations

from collections.abc import Sequence

from relay.core.event import TOPICS
from relay.core.sink import Identity, Sink
from relay.sinks.kafka.config import Config

__all__ = ["Config", "connect"]


def connect(config: Config, identity: Identity, topics: Sequence[str] = TOPICS) -> Sink:
    """The sink that ``config`` describes, for events of these topics; nothing is contacted before ``open``."""
    from relay.sinks.kafka.sink import KafkaSink

    return KafkaSink(config, identity, topics)
