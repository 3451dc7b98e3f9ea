"""relay: an event bridge for Novita AI, to Kafka and Redis Streams."""

__version__ = "0.1.0"
