"""What a consumer gets instead of events that were pruned before it read them."""

from __future__ import annotations

from typing import Final, NamedTuple

import orjson

from relay.core.clock import rfc3339
from relay.core.event import Event

PRUNED: Final = "relay.events.pruned"
"""The type of that notice in a live stream. It is a CloudEvent, so that consumers can read it; no journal holds one."""

_SOURCE: Final = "/relay/events"


class Span(NamedTuple):
    """Offsets from ``first`` up to and with ``last``."""

    first: int
    last: int


def pruned_event(span: Span, at: int) -> Event:
    """The notice; ``at``: epoch milliseconds."""
    place = f"{span.first}-{span.last}"
    return Event("", PRUNED, f"pruned:{place}", _SOURCE, place, rfc3339(at), orjson.dumps(span._asdict()))
