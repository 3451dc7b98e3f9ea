"""Redis: ``sink.py`` is the plug-in, ``shared_index.py`` the index of replicas; nothing else uses redis-py.

Who only reads a configuration does not wait until redis-py is loaded.
"""

from __future__ import annotations

from collections.abc import Sequence

from relay.core.event import TOPICS
from relay.core.sink import Identity, Sink
from relay.sinks.redis.config import Config

__all__ = ["Config", "connect"]


def connect(config: Config, identity: Identity, topics: Sequence[str] = TOPICS) -> Sink:
    """The sink that ``config`` describes, for events of these topics; nothing is contacted before ``open``."""
    from relay.sinks.redis.sink import RedisSink

    return RedisSink(config, identity, topics)
