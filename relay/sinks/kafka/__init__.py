"""Kafka: ``sink.py`` is the plug-in, the other files are its parts; nothing else uses aiokafka."""

from relay.sinks.kafka.config import Config
from relay.sinks.kafka.sink import connect

__all__ = ["Config", "connect"]
