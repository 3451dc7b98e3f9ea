"""The port of spans: parts of traces, sent to a collector. ``relay.telemetry.otel`` is what stands behind it while
tracing is on; while it is off, a span only hands on what senders said.

A trace goes from part to part as text, the ``traceparent`` of an event or a header: nothing else has to know it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from types import TracebackType
from typing import Final, Literal, Self

from relay.core.errors import RelayError
from relay.core.event import Event
from relay.core.trace import is_sampled

Attributes = Mapping[str, str | int | float | bool | Sequence[str] | None]
"""Names from OpenTelemetry's semantic conventions, or under ``relay.``; what is ``None`` is left out.

No prompt, no answer, no key, no token, no address that could hold one.
"""

Kind = Literal["internal", "server", "client", "producer"]


class Span:
    """One span under way, that nobody records: a subclass does. Used in a ``with``, it ends there, with the code of the
    error that left it.
    """

    __slots__ = ("traceparent",)

    def __init__(self, traceparent: str | None) -> None:
        self.traceparent = traceparent
        """What belongs under this span says that it is its parent; of one that nobody records, the sender's own."""

    def note(self, attributes: Attributes) -> None:
        """Adds attributes."""

    def end(self, *, error: str | None = None) -> None:
        """It is over. ``error``: a code from a bounded set."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.end(error=None if error is None else code_of(error))


NOWHERE: Final = Span(None)
"""The span of what belongs to no trace."""


class Spans:
    """Where spans come from. Tracing is off: a subclass records them."""

    on = False
    """Whether anybody records them; what is expensive to find out is left out otherwise."""

    def begin(
        self,
        name: str,
        kind: Kind,
        attributes: Attributes,
        *,
        parent: str | None = None,
        links: Sequence[str] = (),
        at: int | None = None,
    ) -> Span:
        """A span that begins now, or began ``at`` (epoch nanoseconds). ``parent``, ``links``: valid traceparents."""
        return NOWHERE if parent is None else Span(parent)

    async def close(self, timeout: float) -> None:
        """Sends what is left, for at most ``timeout`` seconds."""


OFF: Final = Spans()


def batch_span(spans: Spans, name: str, kind: Kind, attributes: Attributes, events: Iterable[Event], at: int) -> Span:
    """The span of something that was done for many events at once: in the trace of the first, linked to those of all.

    So it is recorded if one of them is.
    """
    traces = dict.fromkeys(event.traceparent for event in events)
    links = [trace for trace in traces if trace is not None and is_sampled(trace)]
    if not links:
        return NOWHERE
    return spans.begin(name, kind, attributes, parent=links[0], links=links, at=at)


def code_of(error: BaseException) -> str:
    """What a span says of an error: never its message, which may quote anything."""
    return error.code if isinstance(error, RelayError) else type(error).__name__
