"""The port of spans while tracing is off, and the spans of many events at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from relay.core.errors import RelayError
from relay.core.event import TASKS, Event
from relay.telemetry.spans import NOWHERE, OFF, Span, Spans, batch_span, code_of

TRACE = f"00-{'a' * 32}-{'b' * 16}-01"


class Begun(Spans):
    """Spans that only notes what began."""

    on = True

    def __init__(self) -> None:
        self.begun: list[tuple[str | None, list[str]]] = []

    def begin(
        self, name: str, kind: Any, attributes: Any, *, parent: Any = None, links: Sequence[str] = (), at: Any = None
    ) -> Span:
        self.begun.append((parent, list(links)))
        return Span(parent)


def event(traceparent: str | None) -> Event:
    return Event(TASKS, "t", "i", "s", "u", "now", b"{}", None, traceparent)


async def test_without_tracing_the_senders_trace_goes_on() -> None:
    """What belongs to a sender's trace could be found only with tracing of our own."""
    with OFF.begin("n", "client", {}, parent=TRACE) as span:
        span.note({"a": 1})
    span.end(error="x")
    assert span.traceparent == TRACE
    assert OFF.begin("n", "client", {}) is NOWHERE
    assert NOWHERE.traceparent is None
    await OFF.close(1.0)


def test_a_batch_belongs_to_its_first_recorded_event_and_is_linked_to_each_once() -> None:
    """The publishing of an event could not be found from its trace."""
    other, unrecorded = TRACE.replace("a", "c"), TRACE[:-1] + "0"
    spans = Begun()
    events = [event(each) for each in (None, unrecorded, other, TRACE, other)]
    assert batch_span(spans, "n", "producer", {}, events, 1).traceparent == other
    assert spans.begun == [(other, [other, TRACE])]


@pytest.mark.parametrize("traces", [[], [None], [TRACE[:-1] + "0", None]])
def test_a_batch_of_which_nobody_records_an_event_has_no_span(traces: list[str | None]) -> None:
    """Sampling a hundredth of the deliveries would still record every batch."""
    spans = Begun()
    assert batch_span(spans, "n", "producer", {}, map(event, traces), 1) is NOWHERE
    assert spans.begun == []


@pytest.mark.parametrize(
    ("error", "code"), [(RelayError("sink_down", "m"), "sink_down"), (ValueError("k"), "ValueError")]
)
def test_an_error_is_reported_by_its_code_alone(error: BaseException, code: str) -> None:
    """Messages quote addresses, keys and bodies."""
    assert code_of(error) == code
