"""Settings that had another name before the first release: an unknown key with such a name gets its new name.

The old names are not taken any more. ``relay check`` and ``relay serve`` say where each has gone.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from relay.settings.errors import KeyPath

RENAMED: Final = {
    "server.max_body": "webhooks.max_body",
    "server.max_inflight": "webhooks.max_inflight_bytes",
    "server.body_timeout": "webhooks.body_timeout",
    "proxy.coalesce": "proxy.chunk_interval",
    "proxy.drain_time": "proxy.drain_timeout",
    "proxy.drain_size": "proxy.max_drain_size",
    "proxy.send_timeout": "proxy.idle_timeout",
    "proxy.retries": "proxy.max_retries",
    "proxy.max_inflight": "proxy.max_inflight_bytes",
    "proxy.clients.*.max_streams": "proxy.clients.*.max_concurrent",
    "reconcile.patience": "reconcile.unknown_timeout",
    "tracing.sample": "tracing.sample_ratio",
    "sinks.*.trim": "sinks.*.retention",
}
"""Old to new. ``*`` is any one part: the name of a client, the position of a sink."""

_OLD: Final = {tuple(old.split(".")): tuple(new.split(".")) for old, new in RENAMED.items()}


def new_name(path: KeyPath, known: Collection[str]) -> KeyPath | None:
    """What an unknown key is called now; ``None`` where no key ever had this name.

    ``known`` are the keys of the section that it was written in: one type of sink has had a key that others never had.
    """
    for old, new in _OLD.items():
        if len(old) == len(path) and all(part in ("*", str(here)) for part, here in zip(old, path, strict=True)):
            moved = old[:-1] != new[:-1]
            if moved or new[-1] in known:
                return tuple(path[place] if part == "*" else part for place, part in enumerate(new))
    return None
