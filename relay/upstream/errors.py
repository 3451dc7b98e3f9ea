"""What can go wrong with the upstream. ``sent`` says whether it may have got the request."""

from __future__ import annotations

from relay.core.errors import RelayError

CHECK_ADDRESS = "check upstream.base_url and the network"


class UpstreamError(RelayError):
    """The upstream gave no whole answer.

    ``sent``: whether it may have received the request. Only where it has not can the request be repeated without the
    danger of a second paid completion or task. ``why`` is the end of a sentence, ``advice`` the beginning of one: what
    the operator should do.
    """

    def __init__(
        self, code: str, message: str, *, why: str, sent: bool, hint: str = "", advice: str = CHECK_ADDRESS
    ) -> None:
        super().__init__(code, message, hint=hint, retriable=not sent)
        self.why, self.advice, self.sent = why, advice, sent


class UpstreamUnreachable(UpstreamError):
    """No connection; nothing was sent."""

    def __init__(self, why: str, advice: str = CHECK_ADDRESS) -> None:
        super().__init__(
            "upstream_unreachable",
            f"The upstream cannot be reached: {why}.",
            why=why,
            sent=False,
            hint=f"Try again; the operator should {advice}.",
            advice=advice,
        )


class EgressRefused(UpstreamUnreachable):
    """The egress proxy does not accept relay's credentials; nothing was sent."""


class UpstreamTimeout(UpstreamError):
    """The upstream took longer than a limit; ``limit`` is the setting's name."""

    def __init__(self, limit: str, seconds: float, *, sent: bool, who: str = "The upstream") -> None:
        within = f"within upstream.{limit}, {seconds:g} s"
        super().__init__(
            "upstream_timeout",
            f"{who} did not answer {within}.",
            why=f"no answer {within}",
            sent=sent,
            hint="Try again; the operator may raise the limit.",
        )
        self.limit = limit


class UpstreamReset(UpstreamError):
    """The connection broke before the answer's end, or what came is not HTTP."""

    def __init__(self, why: str) -> None:
        message = f"The upstream closed the connection: {why}."
        super().__init__("upstream_reset", message, why=why, sent=True, hint="Try again.")
