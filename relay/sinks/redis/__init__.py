"""Redis, the one home of redis-py: ``sink.py`` is the plug-in, ``shared_index.py`` the index of replicas."""

from relay.sinks.redis.sink import Config, connect

__all__ = ["Config", "connect"]
