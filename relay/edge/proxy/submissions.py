"""Submits tasks through relay: passed through, and recorded before the client gets the answer.

A submission costs money, and the upstream knows no idempotency key: it is sent once, whatever happens. Once it is on
its way its answer is read and recorded even if the client has gone meanwhile.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from dataclasses import dataclass

from aiohttp import hdrs, web

from relay.clocks import wall_ms
from relay.core.chat.request import model_of
from relay.core.conceal import Cover
from relay.core.event import Draft
from relay.core.json_scan import Body
from relay.core.source import Delivery, Submittable, Unreadable
from relay.core.tasks.submission import UNIFIED, Insertion, endpoint_of, webhook_insertion
from relay.core.trace import continued
from relay.edge.http import problems
from relay.edge.http.bodies import Received, scanned
from relay.edge.http.budget import Place
from relay.edge.http.problems import ProblemError
from relay.edge.http.raw_response import RawResponse
from relay.edge.http.server import path_of, respond
from relay.edge.http.trace import onward, trace_of
from relay.edge.intake import Intake
from relay.edge.proxy.proxy import Proxy
from relay.edge.proxy.task_writer import TaskWriter
from relay.edge.task_addresses import Given, TaskAddresses
from relay.telemetry.signals.submissions import SubmissionSignals
from relay.telemetry.spans import Span
from relay.upstream import Answer, RawHeaders, UpstreamError, response_headers
from relay.upstream.coding import decoded, is_coded
from relay.upstream.headers import replaced

MAX_ANSWER = 64 << 20
"""Bytes of an answer that are held until it is known which task it is about. Files come in base64, of some MB."""

MAX_RESULT = 1 << 20
"""Bytes of a task's result that are parsed: it has links to files, not the files."""

MAX_DECODED = 4 << 20
"""Bytes that a compressed answer may have when it is read. It was not asked for."""

RECORDED = b"x-relay-recorded"
"""Header of an answer whose task could not be recorded in time: ``false``."""

_PIECE = 256 << 10


@dataclass(slots=True)
class Held:
    """The beginning of an answer, or the ``whole`` of it, and its place in the budget."""

    body: bytearray
    place: Place
    whole: bool = False


class Submissions:
    """Serves ``POST`` below ``/v3/`` and ``/v3beta/``, and ``GET /v3/async/task-result``.

    ``addresses`` gives one of the relay's own to each submission that names none.
    """

    def __init__(
        self,
        proxy: Proxy,
        source: Submittable,
        writer: TaskWriter,
        signals: SubmissionSignals,
        addresses: TaskAddresses,
        intake: Intake | None = None,
    ) -> None:
        self._intake = intake or Intake()
        self._proxy = proxy
        self._source = source
        self._writer = writer
        self._signals = signals
        self._addresses = addresses
        self._under_way: set[asyncio.Task[web.StreamResponse]] = set()

    async def __call__(self, request: web.BaseRequest) -> web.StreamResponse:
        """One submission, or one question for a result."""
        if request.method != hdrs.METH_POST:
            return await self._ask(request)
        serving = asyncio.create_task(self._submit(request), name="submission")
        self._under_way.add(serving)
        serving.add_done_callback(self._under_way.discard)
        return await asyncio.shield(serving)  # the client may go: what was sent is paid for all the same

    @property
    def busy(self) -> bool:
        """Whether a task is not on disk yet."""
        return self._writer.busy

    async def finish(self, timeout: float) -> None:
        """Waits for submissions whose clients have gone, and for tasks that are not on disk yet."""
        deadline = asyncio.get_running_loop().time() + timeout
        if self._under_way:
            _, unanswered = await asyncio.wait(self._under_way, timeout=timeout)
            for serving in unanswered:
                serving.cancel()
                self._signals.outcome_unknown("the relay stopped before the answer came")
        await self._writer.finish(max(0.0, deadline - asyncio.get_running_loop().time()))

    # -- submissions -------------------------------------------------------------------------------------------

    async def _submit(self, request: web.BaseRequest) -> web.StreamResponse:
        outgoing = self._proxy.outgoing(request)
        try:
            client = self._proxy.admit(request)
            self._writer.require_journal()
            self._proxy.clients.count(client)
            with self._intake.entered():
                async with self._proxy.bodies.received(request, client.name) as received:
                    client.require_model(await _model(request, received.body) if client.models else None)
                    return await self._exchange(request, outgoing, received)
        except ProblemError as problem:
            self._signals.submission_rejected(problem.code)
            return self._proxy.refused(request, problem)
        except ConnectionError:
            return outgoing.abort()  # the client has gone

    async def _exchange(
        self, request: web.BaseRequest, outgoing: RawResponse, received: Received
    ) -> web.StreamResponse:
        given = self._addresses.new()
        insertion = await _insertion(request, received.body, given)
        length = len(received.body) + (len(insertion.text) if insertion else 0)
        headers = [*_asking_plain(self._proxy.outbound(request)), (b"Content-Length", str(length).encode())]
        traceparent = trace_of(request.headers)
        try:
            with self._signals.submission_begun(traceparent) as span:
                headers = onward(headers, traceparent, span.traceparent)
                async with self._proxy.upstream.exchange(
                    request.method, path_of(request), headers, _pieces(received, insertion)
                ) as answer:
                    return await self._answer_with(request, outgoing, answer, span, given if insertion else None)
        except UpstreamError as error:
            return outgoing.abort() if outgoing.begun else self._tell(error)

    async def _answer_with(
        self, request: web.BaseRequest, outgoing: RawResponse, answer: Answer, span: Span, given: Given | None
    ) -> web.StreamResponse:
        """Records what the answer says, then hands it on. What can hold no task streams through."""
        span.note({"http.response.status_code": answer.status})
        headers: RawHeaders = response_headers(answer.raw_headers, answer.status)
        pieces = answer.pieces()
        if not 200 <= answer.status < 300:
            self._signals.submission_refused(answer.status)
            return await self._hand_on(outgoing, answer, headers, None, pieces)
        with self._proxy.answers.place("") as place:
            held = await _hold(answer, pieces, MAX_ANSWER, place)
            text = await _text_of(answer, held)
            if text is None:
                self._signals.answer_unreadable("not_json", "the answer is not a JSON object, or exceeds the limits")
            elif not await self._is_recorded(path_of(request), text, span, given):
                headers = replaced(headers, RECORDED, b"false")
            headers = self._uncompressed(held, text, headers)
            return await self._hand_on(outgoing, answer, headers, held, pieces)

    async def _is_recorded(self, target: str, body: Body, span: Span, given: Given | None) -> bool:
        """Whether all that the answer says is on disk."""
        drafts = await scanned(self._read, body, target.partition("?")[0])
        if isinstance(drafts, Unreadable):
            self._signals.answer_unreadable(drafts.reason, drafts.detail)
            return True
        if not drafts:
            self._signals.submission_untracked()
            return True
        task_id = drafts[0].event.subject
        span.note({"relay.task.id": task_id})
        if given is not None and not self._addresses.assign(given.nonce, task_id):
            self._signals.address_was_used(task_id)
        recorded = await self._writer.record([continued(draft, span.traceparent) for draft in drafts])
        if recorded:
            self._signals.task_recorded()
        else:
            self._signals.task_unrecorded(task_id)
        return recorded

    def _read(self, body: Body, path: str) -> tuple[Draft, ...] | Unreadable:
        try:
            return self._source.read_answer(path, body, wall_ms())
        except Exception as error:  # a bug must not cost the client an answer that is paid for
            return Unreadable("source_failed", f"The source failed with {type(error).__name__}.")

    def _tell(self, error: UpstreamError) -> web.StreamResponse:
        """What a client hears instead of an answer; some repeat a 502 by themselves unless asked not to."""
        if not error.sent:
            self._signals.upstream_unreachable(error.message)
            return respond(problems.answer_to(error))
        self._signals.outcome_unknown(error.message)
        response = respond(problems.answer("submission_outcome_unknown", error.message))
        response.headers["X-Should-Retry"] = "false"
        return response

    # -- results -----------------------------------------------------------------------------------------------

    async def _ask(self, request: web.BaseRequest) -> web.StreamResponse:
        outgoing = self._proxy.outgoing(request)
        headers = _asking_plain(self._proxy.outbound(request))
        try:
            self._proxy.admit(request)
            async with self._proxy.upstream.exchange(request.method, path_of(request), headers) as answer:
                return await self._show(outgoing, answer, trace_of(request.headers))
        except ConnectionError:
            return outgoing.abort()  # the client has gone
        except (UpstreamError, ProblemError) as error:
            return outgoing.abort() if outgoing.begun else self._proxy.refused(request, error)

    async def _show(self, outgoing: RawResponse, answer: Answer, traceparent: str | None) -> web.StreamResponse:
        """Hands a result on. Where it is the end of a task, that is observed like a webhook."""
        pieces = answer.pieces()
        with self._proxy.answers.place("") as place:
            headers: RawHeaders = response_headers(answer.raw_headers, answer.status)
            held = await _hold(answer, pieces, MAX_RESULT, place) if answer.status == 200 else None
            if held is not None and (text := await _text_of(answer, held)) is not None:
                await self._observe(bytes(text), traceparent)
                headers = self._uncompressed(held, text, headers)
            return await self._hand_on(outgoing, answer, headers, held, pieces)

    def _uncompressed(self, held: Held, text: Body | None, headers: RawHeaders) -> RawHeaders:
        """The headers of an answer that goes on as it came; of one that hides a secret by its coding, without that."""
        if text is None or text is held.body or (covered := self._proxy.concealed.covered(text)) == text:
            return headers
        held.body = bytearray(covered)
        kept = [field for field in headers if field[0].lower() != b"content-encoding"]
        return replaced(kept, b"content-length", b"%d" % len(covered))

    async def _hand_on(
        self,
        outgoing: RawResponse,
        answer: Answer,
        headers: RawHeaders,
        held: Held | None,
        rest: AsyncIterator[bytes],
    ) -> web.StreamResponse:
        """The answer as it came, but for secrets: what is held of it, which gives its room back, then the rest."""
        outgoing.begin(answer.status, answer.reason, headers)
        concealed = self._proxy.concealed
        cover = Cover(concealed)
        if held is not None:
            covered, held.body = concealed.covered(held.body), bytearray()
            covered = covered if isinstance(covered, bytearray) else bytearray(covered)
            while covered:
                piece = bytes(covered[:_PIECE])
                del covered[:_PIECE]
                await outgoing.write(cover.take(piece))
                held.place.shrink(len(piece))
        return await self._proxy.hand_on(outgoing, rest, cover)

    async def _observe(self, body: bytes, traceparent: str | None) -> None:
        with suppress(Exception):  # whatever is wrong with it, the client gets it, and somebody will ask again
            normalized = self._source.normalize(Delivery(body, wall_ms(), "poll"))
            if isinstance(normalized, Draft):
                self._intake.require()
                await self._writer.observe(continued(normalized, traceparent))


async def _model(request: web.BaseRequest, body: Body) -> str | None:
    """What a client that may use some models only asks for: the endpoint, or the model where that makes any."""
    endpoint = endpoint_of(path_of(request).partition("?")[0])
    return await scanned(model_of, body) if endpoint == UNIFIED else endpoint


async def _insertion(request: web.BaseRequest, body: Body, given: Given | None) -> Insertion | None:
    """Where the address goes in a submission, if it goes there."""
    if given is None or request.headers.get(hdrs.CONTENT_ENCODING, "identity").lower() != "identity":
        return None
    return await scanned(webhook_insertion, body, given.url)


def _asking_plain(headers: RawHeaders) -> RawHeaders:
    """The headers of a request whose answer is to be read here."""
    return replaced(headers, b"accept-encoding", b"identity")


async def _pieces(received: Received, insertion: Insertion | None) -> AsyncIterator[bytes]:
    """The body with what is inserted, never joined: a large one is in memory once, and not when it is sent."""
    body, at = received.body, insertion.at if insertion else 0
    for piece in _slices(body, 0, at):
        yield piece
    if insertion:
        yield insertion.text
    for piece in _slices(body, at, len(body)):
        yield piece
    received.release()  # it is sent once, whatever happens


def _slices(body: Body, start: int, end: int) -> Iterator[bytes]:
    with memoryview(body) as view:
        for at in range(start, end, _PIECE):
            yield bytes(view[at : min(at + _PIECE, end)])


async def _text_of(answer: Answer, held: Held) -> Body | None:
    """What an answer says, also where it is compressed in spite of what was asked for; ``None``: not to be read."""
    if not held.whole:
        return None
    if not is_coded(answer.raw_headers):
        return held.body
    await held.place.grown(MAX_DECODED)
    return await asyncio.to_thread(decoded, held.body, MAX_DECODED)


async def _hold(answer: Answer, pieces: AsyncIterator[bytes], limit: int, place: Place) -> Held:
    """All of what may be a JSON object, or the beginning of what is not, or is too large (a page, a file).

    Where the budget is used up it reads no further, and so slows the upstream down: what is paid for is not refused.
    """
    held = Held(bytearray(), place)
    begun = is_coded(answer.raw_headers)  # what it begins with shows later
    async for piece in pieces:
        await place.grown(len(piece))
        held.body += piece
        if not begun and (text := piece.lstrip(b" \t\r\n")):
            if not text.startswith(b"{"):
                return held
            begun = True
        if len(held.body) > limit:
            return held
    held.whole = True
    return held
