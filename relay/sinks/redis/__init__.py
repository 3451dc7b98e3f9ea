"""Redis: ``sink.py`` is the plug-in, ``shared_index.py`` the index of replicas; nothing else uses redis-py."""

from relay.sinks.redis.sink import Config, connect

__all__ = ["Config", "connect"]
