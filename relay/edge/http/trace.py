"""Trace contexts of HTTP requests: the sender's, as it arrives, and relay's, as it goes on to the upstream. Pure."""

from __future__ import annotations

from typing import Final

from multidict import CIMultiDictProxy, istr

from relay.core.trace import TRACEPARENT, traceparent_of
from relay.upstream.headers import replaced

HEADER: Final = istr(TRACEPARENT)
"""Ready to be looked up in headers: the webhooks' path does so for each delivery."""


def trace_of(headers: CIMultiDictProxy[str]) -> str | None:
    """The trace that a request belongs to, if it names a valid one."""
    return traceparent_of(headers.getall(HEADER, ()))


def onward(headers: list[tuple[bytes, bytes]], received: str | None, ours: str | None) -> list[tuple[bytes, bytes]]:
    """A request's headers as the upstream gets them: in our span, where there is one, else as they came.

    ``tracestate`` belongs to the trace that was ``received``; without one it would belong to another's (W3C Trace
    Context, 3.3.1.3).
    """
    if ours is None or ours == received:
        return headers
    if received is None:
        headers = [field for field in headers if field[0].lower() != b"tracestate"]
    return replaced(headers, b"traceparent", ours.encode("ascii"))
