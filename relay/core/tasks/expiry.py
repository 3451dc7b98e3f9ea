"""When the outputs that an event speaks of are gone: the upstream's links die, often within the hour."""

from __future__ import annotations

import orjson

from relay.core.clock import parse_rfc3339
from relay.core.event import TASKS, Event


def first_expiry(event: Event) -> int | None:
    """When the first of an event's outputs expires (epoch milliseconds); ``None``: it has none, or nobody knows."""
    if event.topic != TASKS or b'"expires_at":"' not in event.data:
        return None
    outputs = orjson.loads(event.data).get("outputs") or ()
    expiries = [parse_rfc3339(output["expires_at"]) for output in outputs if output.get("expires_at")]
    return min(expiries, default=None)
