"""The way to the upstream, step by step: the egress proxy, the connection, TLS, and an answer."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from relay.cli.doctor.findings import Finding, judge_certificate, skew
from relay.core.certificates import Validity, validity_of
from relay.core.errors import RelayError

if TYPE_CHECKING:
    from relay.settings.model import UpstreamSettings

_READ: Final = 64 << 10


@dataclass(slots=True)
class Way:
    """How far a request to the upstream got. ``steps``: those that went well, after one another.

    With a ``status`` it got there, with a ``body`` as far as it was read; else ``failure`` says why not, as the end of
    a sentence, and ``hint`` what to do. ``ahead``: this clock's lead over the one there, in seconds, if it is known.
    """

    certificate: Validity | None = None
    """The upstream's, where there is one."""
    steps: list[str] = field(default_factory=list)
    status: int | None = None
    body: bytes = b""
    ahead: float | None = None
    failure: str = ""
    hint: str = ""
    code: str = "unreachable"

    def findings(self) -> list[Finding]:
        """The steps that went well."""
        return [Finding("upstream", "ok", step) for step in self.steps]

    def due(self, now: float) -> Finding | None:
        """The upstream's certificate, if it should have been renewed. ``now``: epoch seconds."""
        if self.certificate is None:
            return None
        found = judge_certificate("upstream", self.certificate, now, "Ask the upstream's operator to renew it.")
        return found if found.status == "warning" else None


async def ask(
    settings: UpstreamSettings,
    method: str,
    target: str,
    headers: Sequence[tuple[bytes, bytes]] = (),
    *,
    within: float,
) -> Way:
    """One request to the upstream, as relay itself sends it. ``within``: seconds from the connection to the answer."""
    from relay.upstream import Upstream, UpstreamError

    way = Way()
    try:
        upstream = Upstream(settings)
    except RelayError as error:
        way.failure, way.hint, way.code = error.message, error.hint, error.code
        return way
    if upstream.egress is not None:
        way.steps.append(f"through the egress proxy {upstream.egress} ({upstream.egress.source})")
    try:
        sent = time.time()
        async with (
            asyncio.timeout(settings.connect_timeout + within),
            upstream.exchange(method, target, headers) as answer,
        ):
            way.ahead = skew(answer.headers.get("Date"), sent, time.time())
            if answer.tls is not None:
                way.certificate = validity_of(answer.tls.getpeercert(binary_form=True) or b"")
                way.steps.append(negotiated(answer.tls.version(), way.certificate))
            way.body = await answer.read(_READ)
            way.status = answer.status
    except TimeoutError:
        way.failure, way.hint, way.code = "no answer in time", "Check upstream.base_url and the network.", "timeout"
    except UpstreamError as error:
        way.failure, way.hint = error.why, f"{error.advice[:1].upper()}{error.advice[1:]}."
    finally:
        await upstream.close()
    return way


def negotiated(version: str | None, certificate: Validity) -> str:
    """The version of TLS, and the last day of the server's certificate."""
    return f"{version}, its certificate is valid until {time.strftime('%Y-%m-%d', time.gmtime(certificate.ends))}"
