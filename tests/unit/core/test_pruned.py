"""The notice instead of events that are gone."""

from __future__ import annotations

import json

from relay.core.cloudevents import structured_json
from relay.core.pruned import Span, pruned_event


def test_a_notice_is_a_cloudevent_that_says_which_offsets_are_gone() -> None:
    """A consumer that reads every frame as a CloudEvent would fail at it, or not learn what it missed."""
    notice = json.loads(structured_json(pruned_event(Span(6, 1000), 1_700_000_000_000)))
    assert notice == {
        "specversion": "1.0",
        "id": "pruned:6-1000",
        "source": "/relay/events",
        "type": "relay.events.pruned",
        "subject": "6-1000",
        "time": "2023-11-14T22:13:20.000Z",
        "datacontenttype": "application/json",
        "data": {"first": 6, "last": 1000},
    }
