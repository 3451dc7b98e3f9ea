"""The webhook edge: authenticate, normalize, append, and only then a 2xx.

The order of the checks is that of their price: nothing of an unauthenticated body is read, let alone parsed.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import unquote

import orjson
from aiohttp import hdrs, web

from relay.core.dead import unreadable_draft
from relay.core.event import Receipt
from relay.core.source import Delivery, Ignored, NotJSON, Source, Unreadable
from relay.edge import problems
from relay.edge.auth import (
    AddressFilter,
    Networks,
    SignatureRefused,
    SignatureVerifier,
    TokenSet,
    client_address,
    is_loopback,
)
from relay.edge.server import respond
from relay.journal.errors import JournalBroken, JournalUnavailable
from relay.journal.journal import Journal
from relay.telemetry import DeliverySignals

PREFIX = "/webhooks/"

_JSON = {hdrs.CONTENT_TYPE: "application/json"}
_FORWARDED = ("X-Forwarded-For", "Forwarded", "X-Real-IP")


@dataclass(frozen=True, slots=True)
class Gate:
    """Who may deliver to one source. Without tokens only loopback peers may."""

    tokens: TokenSet
    addresses: AddressFilter
    signatures: SignatureVerifier
    trusted_proxies: Networks = ()


@dataclass(frozen=True, slots=True)
class Inbox:
    """One source behind its gate, with its signals."""

    source: Source
    gate: Gate
    signals: DeliverySignals


@dataclass(frozen=True, slots=True)
class BodyLimits:
    """``max_body`` and ``max_inflight`` (all bodies being received together) in bytes, ``timeout`` in seconds."""

    max_body: int
    max_inflight: int
    timeout: float


class Refusal(Exception):
    """Ends a request with this answer."""

    def __init__(self, code: str, detail: str = "", allow: Sequence[str] = ()) -> None:
        super().__init__(code)
        self.code = code
        self.answer = problems.answer(code, detail, allow=allow)


class Webhooks:
    """Serves everything under ``/webhooks/``."""

    def __init__(self, inboxes: Mapping[str, Inbox], journal: Journal, limits: BodyLimits) -> None:
        self._inboxes = inboxes
        self._journal = journal
        self._limits = limits
        self._inflight = 0
        self.draining = False
        """While set, each answer asks the sender to close its connection; deliveries are still taken."""

    async def __call__(self, request: web.BaseRequest) -> web.StreamResponse:
        """One delivery: 200 once it is on disk, a problem otherwise."""
        started = time.perf_counter()
        name, _, token = request.raw_path[len(PREFIX) :].partition("?")[0].partition("/")
        inbox = self._inboxes.get(name)
        if inbox is None:
            return respond(problems.answer("not_found", "No source has this name."))
        try:
            response = await self._deliver(request, inbox, token, started)
        except Refusal as refusal:
            inbox.signals.delivery_rejected(refusal.code, refusal.answer.status, request.remote or "")
            response = respond(refusal.answer)
        if self.draining:
            response.force_close()
        return response

    async def _deliver(self, request: web.BaseRequest, inbox: Inbox, token: str, started: float) -> web.Response:
        _admit(request, inbox.gate, token)
        body = await self._body(request)
        if inbox.gate.signatures:
            _check_signature(request, inbox.gate.signatures, body)
        result, event_id = await self._accept(inbox, body)
        inbox.signals.delivery_answered(result, time.perf_counter() - started)
        answer = {"status": result, "event_id": event_id} if event_id else {"status": result}
        return web.Response(body=orjson.dumps(answer), headers=_JSON)

    async def _accept(self, inbox: Inbox, body: bytes) -> tuple[str, str | None]:
        """Normalizes and appends; answers the result and the id of the event that stands for the delivery."""
        delivery = Delivery(body, time.time_ns() // 1_000_000)
        normalized = inbox.source.normalize(delivery)
        if isinstance(normalized, NotJSON):
            raise Refusal("not_json", normalized.detail)
        if isinstance(normalized, Ignored):
            return "ignored", None
        if isinstance(normalized, Unreadable):
            normalized = unreadable_draft(delivery, normalized, origin=inbox.source.name)
        try:
            receipt: Receipt = await self._journal.append(normalized)
        except JournalUnavailable as error:
            raise Refusal("backlog_full" if error.code == "backlog_full" else "journal_unavailable") from error
        except JournalBroken as error:
            raise Refusal("journal_unavailable") from error
        if receipt.result == "dead" and normalized.dead is not None:
            inbox.signals.delivery_buried(normalized.dead.reason, normalized.dead.id)
        return receipt.result, receipt.event_id

    # -- the body ----------------------------------------------------------------------------------------------

    async def _body(self, request: web.BaseRequest) -> bytes:
        if request.headers.get(hdrs.CONTENT_ENCODING, "identity").lower() != "identity":
            raise Refusal("unsupported_encoding")
        expected = request.content_length
        if expected is not None and expected > self._limits.max_body:
            raise Refusal("payload_too_large", f"At most {self._limits.max_body} bytes are taken.")
        if request.content.is_eof() and expected is not None:
            return request.content.read_nowait(-1)  # all of it came with the head: nothing to wait for
        return await self._slow_body(request, expected or self._limits.max_body)

    async def _slow_body(self, request: web.BaseRequest, reserved: int) -> bytes:
        if self._inflight + reserved > self._limits.max_inflight:
            raise Refusal("overloaded", "Too many bodies are being received at once.")
        self._inflight += reserved
        try:
            async with asyncio.timeout(self._limits.timeout):
                return await self._read(request)
        except TimeoutError:
            raise Refusal("body_timeout") from None
        finally:
            self._inflight -= reserved

    async def _read(self, request: web.BaseRequest) -> bytes:
        body = bytearray()
        while chunk := await request.content.readany():
            body += chunk
            if len(body) > self._limits.max_body:
                raise Refusal("payload_too_large", f"At most {self._limits.max_body} bytes are taken.")
        return bytes(body)


def _admit(request: web.BaseRequest, gate: Gate, token: str) -> None:
    if gate.tokens:
        if not token or not gate.tokens.matches(unquote(token)):
            raise Refusal("unauthorized", "The path ends with a token: /webhooks/<source>/<token>.")
    elif not _is_local(request):
        raise Refusal("forbidden_address", "Without a configured token only loopback peers may deliver.")
    if gate.addresses:
        peer = client_address(request.remote or "", request.headers.getall("X-Forwarded-For", []), gate.trusted_proxies)
        if not gate.addresses.allows(peer):
            raise Refusal("forbidden_address")
    if request.method != hdrs.METH_POST:
        raise Refusal("method_not_allowed", allow=(hdrs.METH_POST,))


def _is_local(request: web.BaseRequest) -> bool:
    """A proxy on this machine makes the whole world look like loopback; the header it adds gives it away."""
    return is_loopback(request.remote or "") and not any(name in request.headers for name in _FORWARDED)


def _check_signature(request: web.BaseRequest, signatures: SignatureVerifier, body: bytes) -> None:
    headers = {name.lower(): value for name, value in request.headers.items()}
    try:
        signatures.verify(headers, body, time.time())
    except SignatureRefused as refused:
        raise Refusal(refused.code, refused.message) from None
