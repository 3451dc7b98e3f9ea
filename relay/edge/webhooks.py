"""Accepts webhooks: authenticate, normalize, append, and only then answer 2xx.

The order of the checks is that of their price: nothing of an unauthenticated body is read, let alone parsed.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import NamedTuple
from urllib.parse import unquote

import orjson
from aiohttp import hdrs, web
from multidict import CIMultiDictProxy

from relay.core.dead import unreadable_draft
from relay.core.event import Draft, Receipt
from relay.core.source import Delivery, Ignored, Normalized, NotJSON, Source, Unreadable
from relay.core.trace import continued
from relay.edge.http import problems
from relay.edge.http.auth import (
    AddressFilter,
    Networks,
    SignatureRefused,
    SignatureVerifier,
    TokenSet,
    client_address,
)
from relay.edge.http.bodies import Bodies, BodyLimits, require_known_coding
from relay.edge.http.fast_path import Message, Respond
from relay.edge.http.local_access import why_not_local
from relay.edge.http.problems import ProblemError
from relay.edge.http.server import path_of, respond
from relay.edge.http.trace import HEADER as TRACEPARENT
from relay.edge.http.trace import trace_of
from relay.edge.intake import Intake
from relay.edge.task_addresses import TaskAddresses
from relay.journal.errors import JournalBroken, JournalUnavailable
from relay.journal.journal import Journal
from relay.telemetry.signals.deliveries import DeliverySignals

PREFIX = "/webhooks/"

_JSON = {hdrs.CONTENT_TYPE: "application/json"}


@dataclass(frozen=True, slots=True)
class DeliveryAuth:
    """Who may deliver to one source. Without tokens only loopback peers may, and no web page in a browser there.

    ``public``: a proxy makes others look like loopback peers, so that without tokens nobody may but by the address of
    a task.
    """

    tokens: TokenSet
    addresses: AddressFilter
    signatures: SignatureVerifier
    trusted_proxies: Networks = ()
    public: bool = False


@dataclass(frozen=True, slots=True)
class Inbox:
    """One source, who may deliver to it, and its signals. ``addresses``: those that were given to single tasks."""

    source: Source
    auth: DeliveryAuth
    signals: DeliverySignals
    addresses: TaskAddresses | None = None


class Head(NamedTuple):
    """What is looked at to admit a delivery. ``path`` is as sent, not decoded; ``remote`` is the socket's other end."""

    method: str
    path: str
    headers: CIMultiDictProxy[str]
    remote: str


class Webhooks:
    def __init__(
        self, inboxes: Mapping[str, Inbox], journal: Journal, limits: BodyLimits, intake: Intake | None = None
    ) -> None:
        self._inboxes = inboxes
        self._intake = intake or Intake()
        self._journal = journal
        self.bodies = Bodies(limits)
        self._max_body = limits.max_body

    def reconfigure(self, auth: DeliveryAuth) -> None:
        """Asks this of every source's deliveries, from the next one on."""
        self._inboxes = {name: replace(inbox, auth=auth) for name, inbox in self._inboxes.items()}

    async def __call__(self, request: web.BaseRequest) -> web.StreamResponse:
        """One delivery: 200 once it is on disk, a problem otherwise."""
        started = time.perf_counter()
        head = Head(request.method, path_of(request), request.headers, request.remote or "")
        inbox, token = self._addressed(head)
        if inbox is None:
            return respond(problems.answer("not_found", "No source has this name."))
        try:
            response: web.StreamResponse = await self._deliver(request, head, inbox, token, started)
        except ProblemError as problem:
            inbox.signals.delivery_rejected(problem.code, problem.answer.status, head.remote)
            response = respond(problem.answer)
            if problem.answer.status == 408:
                response.force_close()  # RFC 9110, 15.5.9: the rest of the body is not waited for
        return response

    async def _deliver(
        self, request: web.BaseRequest, head: Head, inbox: Inbox, token: str, started: float
    ) -> web.Response:
        nonce = _admit(head, inbox, token)
        with self._intake.entered():
            return await self._received(request, head, inbox, nonce, started)

    async def _received(
        self, request: web.BaseRequest, head: Head, inbox: Inbox, nonce: bytes | None, started: float
    ) -> web.Response:
        body = await self._body(request)
        received_at = time.time_ns()
        draft = _read(head, inbox, body, received_at)
        if draft is None:
            answer = _ignored(inbox, started)
        else:
            try:
                if nonce is not None:
                    await _require_task(inbox, nonce, draft)
                receipt = await self._append(head, inbox, draft, received_at)
            except (JournalUnavailable, JournalBroken) as error:
                raise _unavailable(error) from error
            answer = _accepted(inbox, draft, receipt, started)
        return web.Response(body=answer, headers=_JSON)

    def take(self, message: Message, body: bytes, remote: str, respond: Respond) -> bool:
        """The same for a request that is already whole (see ``relay.edge.http.fast_path``).

        What would be refused is not taken: the ordinary way refuses and counts it.
        """
        if not message.path.startswith(PREFIX):
            return False
        started = time.perf_counter()
        head = Head(message.method, message.path, message.headers, remote)
        inbox, token = self._addressed(head)
        if inbox is None or hdrs.CONTENT_ENCODING in message.headers or len(body) > self._max_body:
            return False
        received_at = time.time_ns()
        try:
            nonce = _admit(head, inbox, token)
            self._intake.require()
            draft = _read(head, inbox, body, received_at)
            if draft is None or not (nonce is None or _is_known(inbox, nonce, draft)):
                return False
            receipt = self._append(head, inbox, draft, received_at)
        except (ProblemError, JournalUnavailable, JournalBroken):
            return False
        receipt.add_done_callback(partial(_tell, respond, inbox, draft, started))
        return True

    def _addressed(self, head: Head) -> tuple[Inbox | None, str]:
        name, _, token = head.path[len(PREFIX) :].partition("?")[0].partition("/")
        return self._inboxes.get(name), token

    def _append(self, head: Head, inbox: Inbox, draft: Draft, received_at: int) -> asyncio.Future[Receipt]:
        """``received_at`` in nanoseconds. Raises ``JournalUnavailable`` or ``JournalBroken``."""
        if inbox.signals.traced or TRACEPARENT in head.headers:
            return self._append_traced(head, inbox, draft, received_at)
        return self._journal.append(draft)

    def _append_traced(self, head: Head, inbox: Inbox, draft: Draft, received_at: int) -> asyncio.Future[Receipt]:
        """The event gets the sender's trace, or its place in the relay's part of it. ``received_at`` in nanoseconds."""
        span = inbox.signals.delivery_begun(trace_of(head.headers), received_at)
        try:
            receipt = self._journal.append(continued(draft, span.traceparent))
        except (JournalUnavailable, JournalBroken) as error:
            span.end(error=error.code)
            raise
        receipt.add_done_callback(partial(inbox.signals.delivery_written, span, draft.event))
        return receipt

    # -- the body ----------------------------------------------------------------------------------------------

    async def _body(self, request: web.BaseRequest) -> bytes:
        if request.headers.get(hdrs.CONTENT_ENCODING, "identity").lower() != "identity":
            raise ProblemError("unsupported_encoding")
        require_known_coding(request)
        async with self.bodies.received(request) as received:
            return bytes(received.body)


def _tell(respond: Respond, inbox: Inbox, draft: Draft, started: float, receipt: asyncio.Future[Receipt]) -> None:
    error = receipt.exception()
    if error is None:
        respond(_accepted(inbox, draft, receipt.result(), started))
        return
    problem = _unavailable(error)
    inbox.signals.delivery_rejected(problem.code, problem.answer.status, "")
    respond(problem.answer)


def _accepted(inbox: Inbox, draft: Draft, receipt: Receipt, started: float) -> bytes:
    if receipt.result == "dead" and draft.dead is not None:
        inbox.signals.delivery_buried(draft.dead.reason, draft.dead.id)
    inbox.signals.delivery_answered(receipt.result, time.perf_counter() - started)
    return orjson.dumps({"status": receipt.result, "event_id": receipt.event_id})


def _ignored(inbox: Inbox, started: float) -> bytes:
    inbox.signals.delivery_answered("ignored", time.perf_counter() - started)
    return orjson.dumps({"status": "ignored"})


def _unavailable(error: BaseException) -> ProblemError:
    return ProblemError(problems.journal_code(error))


def _admit(head: Head, inbox: Inbox, token: str) -> bytes | None:
    """Lets in who may deliver. The nonce of the address, where it is one that was given to a single task."""
    auth, presented, nonce = inbox.auth, unquote(token), None
    if not (auth.tokens and presented and auth.tokens.matches(presented)):
        nonce = inbox.addresses.nonce_of(presented) if inbox.addresses is not None else None
        if nonce is None:
            _require_local(head, auth)
    if auth.addresses:
        peer = client_address(head.remote, head.headers.getall("X-Forwarded-For", []), auth.trusted_proxies)
        if not auth.addresses.allows(peer):
            raise ProblemError("forbidden_address")
    if head.method != hdrs.METH_POST:
        raise ProblemError("method_not_allowed", allow=(hdrs.METH_POST,))
    return nonce


def _require_local(head: Head, auth: DeliveryAuth) -> None:
    """Without any token, and only then, anybody on this machine may deliver."""
    if auth.tokens or auth.public:
        raise ProblemError("unauthorized", "The path ends with a token: /webhooks/<source>/<token>.")
    if verdict := why_not_local(head.remote, head.headers):
        raise ProblemError(*verdict)


async def _require_task(inbox: Inbox, nonce: bytes, draft: Draft) -> None:
    """Refuses a delivery by the address of another task. Raises ``JournalUnavailable`` or ``JournalBroken``."""
    task_id = _task_in(draft)
    if inbox.addresses is not None and task_id is not None and not await inbox.addresses.admits(nonce, task_id):
        raise ProblemError("wrong_task")


def _is_known(inbox: Inbox, nonce: bytes, draft: Draft) -> bool:
    """Whether the address is known at once to be this task's."""
    task_id = _task_in(draft)
    return inbox.addresses is not None and task_id is not None and inbox.addresses.is_known(nonce, task_id)


def _task_in(draft: Draft) -> str | None:
    """The task that a delivery is about; ``None`` for a dead letter that names none."""
    return None if draft.dead is not None and draft.event.subject == draft.dead.id else draft.event.subject


def _read(head: Head, inbox: Inbox, body: bytes, received_at: int) -> Draft | None:
    """Verifies and normalizes; ``None``: understood, but no event under the current settings."""
    if inbox.auth.signatures:
        _check_signature(head, inbox.auth.signatures, body)
    delivery = Delivery(body, received_at // 1_000_000)
    normalized = _normalize(inbox, delivery)
    if isinstance(normalized, NotJSON):
        raise ProblemError("not_json", normalized.detail)
    if isinstance(normalized, Unreadable):
        return unreadable_draft(delivery, normalized, origin=inbox.source.name)
    return None if isinstance(normalized, Ignored) else normalized


def _normalize(inbox: Inbox, delivery: Delivery) -> Normalized:
    try:
        return inbox.source.normalize(delivery)
    except Exception as error:
        # A bug in a source must not cost the delivery: kept as a dead letter, it can be replayed once that is fixed.
        inbox.signals.normalizing_failed(error)
        return Unreadable("source_failed", f"The source failed with {type(error).__name__}; see the relay's log.")


def _check_signature(head: Head, signatures: SignatureVerifier, body: bytes) -> None:
    headers = {name.lower(): value for name, value in head.headers.items()}
    try:
        signatures.verify(headers, body, time.time())
    except SignatureRefused as refused:
        raise ProblemError(refused.code, refused.message) from None
