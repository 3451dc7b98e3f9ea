"""How a chat ended: an outcome and a reason, from what was seen of it. Every rule is in ``verdict``."""

from __future__ import annotations

from typing import Literal, NamedTuple

from relay.core.chat.events import Outcome, Reason

Ending = Literal[
    "end",
    "client_gone",
    "slow_client",
    "upstream_unreachable",
    "upstream_timeout",
    "upstream_reset",
    "relay_shutdown",
    "relay_restarted",
]
"""What ended the stream, as the transport saw it.

``end``: the upstream's body ended as HTTP says it ends. ``client_gone``: the client closed first. ``slow_client``: the
relay closed, since the client did not read. ``upstream_unreachable``: no connection. ``upstream_timeout``: no first
byte, or none for too long. ``upstream_reset``: the connection broke, or the body ended before its end.
``relay_shutdown``: the relay was stopped and its time for draining was over. ``relay_restarted``: it was killed.
"""


class Seen(NamedTuple):
    """What of a stream matters for how it ended.

    ``status``: the upstream's, ``None`` without an answer. ``error``: it reported an error, in the body or in a frame.
    ``done``: ``[DONE]`` came, or the whole body of an answer that is not a stream. ``finished``: a choice has a
    ``finish_reason``, or the body is too large to look. ``empty``: no choice came. ``unreadable``: the body should be
    one JSON document, but is not.
    """

    status: int | None = None
    error: bool = False
    done: bool = False
    finished: bool = False
    empty: bool = True
    unreadable: bool = False


class Verdict(NamedTuple):
    """The outcome, and why; no reason for an ordinary completion."""

    outcome: Outcome
    reason: Reason | None


def verdict(seen: Seen, ending: Ending) -> Verdict:
    """The rules of the contract's table, the first that applies.

    An error that the upstream reported comes before the client's leaving: the client left because of it. The end that
    the upstream sent (``[DONE]``) comes before whatever happened to the connection afterwards: clients close it there.
    """
    if ending == "relay_restarted":
        return Verdict("failed", "relay_restarted")
    if seen.status is not None and not 200 <= seen.status < 300:
        return Verdict("failed", "error_status")
    if seen.error:
        return Verdict("failed", "upstream_error")
    if seen.done:
        return Verdict("completed", "empty" if seen.empty else None)
    if ending == "client_gone":
        return Verdict("cancelled", "client_gone")
    if ending != "end":
        return Verdict("failed", ending)
    if seen.finished:
        return Verdict("completed", None)
    return Verdict("failed", "not_json" if seen.unreadable else "truncated")
