"""What can go wrong with the upstream. ``sent`` says whether it may have got the request."""

from __future__ import annotations

from relay.core.errors import RelayError


class UpstreamError(RelayError):
    """The upstream gave no whole answer.

    ``sent``: whether it may have received the request. Only where it has not can the request be repeated without the
    danger of a second paid completion or task.
    """

    def __init__(self, code: str, message: str, *, sent: bool, hint: str = "") -> None:
        super().__init__(code, message, hint=hint, retriable=not sent)
        self.sent = sent


class UpstreamUnreachable(UpstreamError):
    """No connection; nothing was sent."""

    def __init__(self, why: str) -> None:
        super().__init__(
            "upstream_unreachable",
            f"The upstream cannot be reached: {why}.",
            sent=False,
            hint="Try again; the operator should check upstream.base_url and the network.",
        )


class UpstreamTimeout(UpstreamError):
    """The upstream took longer than a limit; ``limit`` is the setting's name."""

    def __init__(self, limit: str, seconds: float, *, sent: bool) -> None:
        super().__init__(
            "upstream_timeout",
            f"The upstream did not answer within upstream.{limit}, {seconds:g} s.",
            sent=sent,
            hint="Try again; the operator may raise the limit.",
        )
        self.limit = limit


class UpstreamReset(UpstreamError):
    """The connection broke before the answer's end, or what came is not HTTP."""

    def __init__(self, why: str) -> None:
        super().__init__("upstream_reset", f"The upstream closed the connection: {why}.", sent=True, hint="Try again.")
