"""One chat between its client and the upstream: its bytes, and how it ends.

What the upstream sends is written to the client in the same turn of the event loop, without a task. What the upstream
does, the client sees: an answer that breaks off there breaks off here. What the relay itself does (a time-out, its own
end) it says, in a frame of its own where the stream has a border, and it closes without the end that it was not given.
"""

from __future__ import annotations

import asyncio
import random
from contextlib import suppress
from typing import cast

from aiohttp import web

from relay.core.chat.api import Api
from relay.core.chat.outcome import Ending
from relay.core.conceal import Concealed, Cover
from relay.core.errors import RelayError
from relay.edge.chat.capture import ChatCapture
from relay.edge.http import problems
from relay.edge.http.bodies import Received
from relay.edge.http.problems import ProblemError
from relay.edge.http.raw_response import RawResponse, Sent
from relay.edge.http.server import Connection as ClientConnection
from relay.edge.http.server import path_of
from relay.settings.model import OnDisconnect, ProxySettings
from relay.upstream import RawHeaders, Upstream, UpstreamError, UpstreamReset, UpstreamTimeout, response_headers
from relay.upstream.coding import Decoder, is_coded, is_plain
from relay.upstream.connection import Connection
from relay.upstream.headers import first
from relay.upstream.wire import Head

_EVENT_STREAM = "text/event-stream"
_RETRIED = frozenset((502, 503))
_BACKOFF = 0.1
_ENDINGS: dict[str, Ending] = {
    "upstream_unreachable": "upstream_unreachable",
    "upstream_timeout": "upstream_timeout",
    "upstream_reset": "upstream_reset",
}


class ChatStream:
    """Takes the upstream's answer (``relay.upstream.connection.Receiver``) and slows it down for a slow client.

    ``headers`` are the request's as they go to the upstream; of the settings it reads the limits of one chat.
    """

    def __init__(
        self,
        request: web.BaseRequest,
        headers: RawHeaders,
        upstream: Upstream,
        api: Api,
        record: ChatCapture,
        settings: ProxySettings,
        on_disconnect: OnDisconnect,
        concealed: Concealed,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._request, self._headers, self._upstream, self._api = request, headers, upstream, api
        self._record, self._settings, self._on_disconnect = record, settings, on_disconnect
        self._client: RawResponse | None = RawResponse(request, settings.idle_timeout)
        self._concealed = concealed
        self._cover: Cover | None = None
        self._decoder: Decoder | None = None
        self._connection: Connection | None = None
        self._head: asyncio.Future[bool] = self._loop.create_future()
        self._done: asyncio.Future[Sent] = self._loop.create_future()
        self._may_retry = False
        self._is_stream = False
        self._ended = False
        self._drained = 0
        self._stuck_at = 0
        self._timer: asyncio.TimerHandle | None = None

    # -- the client's task -------------------------------------------------------------------------------------

    async def begin(self, request: Received) -> None:
        """Sends the request; returns when its answer has begun. Raises ``RelayError`` where it does not.

        The request's body is released as soon as the upstream has it and it cannot be sent again.
        """
        self._record.begin()
        try:
            for left in range(self._settings.max_retries, -1, -1):
                if await self._attempt(request, left):
                    return
                await asyncio.sleep(_BACKOFF * 2 ** (self._settings.max_retries - left) * random.uniform(0.5, 1.5))  # noqa: S311 - no secret
        except asyncio.CancelledError:
            self._leave()  # also before the first byte, when nobody writes and only this shows it
            raise
        except Exception:
            self._stop("upstream_reset")  # whatever it was, the stream has its ending
            raise

    async def finished(self) -> web.StreamResponse:
        """Returns when the client has its answer."""
        try:
            sent = await self._done
            if self._client is not None:
                await self._client.drained()
            return sent
        except asyncio.CancelledError:
            self._leave()
            raise

    async def _attempt(self, request: Received, left: int) -> bool:
        self._may_retry = left > 0
        self._head = self._loop.create_future()
        try:
            self._connection = self._upstream.idle() or await self._upstream.connect()
            self._upstream.send(
                self._connection,
                self._request.method,
                path_of(self._request),
                self._headers,
                request.body,
                self,
                flushed=None if left else request.release,
            )
            self._record.sent()
            return await self._head
        except RelayError as error:
            self._forget_error()
            if self._may_retry and _is_passing(error):
                return False
            self._end(_ENDINGS.get(error.code, "upstream_reset"))
            raise

    def _forget_error(self) -> None:
        """The future that raised it would hold the error, and its frames this."""
        self._head = self._loop.create_future()
        self._head.cancel()

    # -- the upstream's answer ---------------------------------------------------------------------------------

    def answered(self, head: Head) -> None:
        if self._may_retry and head.status in _RETRIED and self._connection is not None:
            self._connection.cancel()
            self._set_head(False)
            return
        content_type = (first(head.headers, b"content-type") or b"").decode("latin-1")
        if is_coded(head.headers):
            self._decoder = Decoder()
        self._is_stream = content_type.partition(";")[0].strip().lower() == _EVENT_STREAM and is_plain(head.headers)
        if head.status >= 400:  # an error may quote the key that it refuses; a stream's bytes stay the upstream's
            self._cover = Cover(self._concealed)
        self._record.answered(head.status, content_type)
        if self._client is not None:
            cast("ClientConnection", self._request.protocol).flow = self
            with suppress(ConnectionError):  # the client has gone, and its task is about to hear of it
                self._client.begin(head.status, head.reason, _marked(head.headers, head.status, self._record.chat_id))
        self._set_head(True)

    def received(self, piece: bytes) -> None:
        client = self._client
        if client is not None:
            with suppress(ConnectionError):
                client.put(piece if self._cover is None else self._cover.take(piece))
        else:
            self._drained += len(piece)
        self._record.feed(piece if self._decoder is None else self._decoder.take(piece))
        if self._drained > self._settings.max_drain_size:
            self._stop("client_gone")

    def ended(self) -> None:
        self._connection = None
        if self._client is not None:
            try:
                if self._cover is not None:
                    self._client.put(self._cover.rest())
                sent = self._client.end()
            except ConnectionError:
                self._leave()
                return
            self._done.set_result(sent)
        self._end("end")

    def failed(self, error: UpstreamError) -> None:
        self._connection = None
        if not self._head.done():
            self._head.set_exception(error)
            return
        if isinstance(error, UpstreamTimeout):
            self._say(error.code, error.message)
        self._break_off(_ENDINGS[error.code])

    # -- a slow client -----------------------------------------------------------------------------------------

    def pause(self) -> None:
        """The client is slow: so is the upstream from now on, until it has caught up or its time is over."""
        if self._connection is None or self._client is None:
            return
        self._connection.pause()
        self._stuck_at = self._client.untaken
        self._forget_timer()
        self._timer = self._loop.call_later(self._settings.idle_timeout, self._check_client)

    def resume(self) -> None:
        """The client has caught up."""
        if self._client is not None:
            self._forget_timer()
        if self._connection is not None:
            self._connection.resume()

    def _check_client(self) -> None:
        client = self._client
        if client is None:
            return
        if client.untaken < self._stuck_at:
            self._stuck_at = client.untaken
            self._timer = self._loop.call_later(self._settings.idle_timeout, self._check_client)
            return
        self._stop("slow_client")
        client.cut()

    # -- other ends --------------------------------------------------------------------------------------------

    def shut_down(self) -> None:
        """The relay stops, and its time for draining is over."""
        if self._ended:
            return
        if not self._head.done():
            self._stop("relay_shutdown")
            self._head.set_exception(ProblemError("draining"))
            return
        self._say("draining", "The relay is shutting down.")
        self._cancel()
        self._break_off("relay_shutdown")

    def _leave(self) -> None:
        """The client has gone."""
        if self._ended:
            return
        self._detach()
        if self._on_disconnect == "cancel" or self._connection is None:
            self._stop("client_gone")
            return
        self._may_retry = False
        self._record.leave()
        self._connection.resume()
        self._forget_timer()
        self._timer = self._loop.call_later(self._settings.drain_timeout, self._stop, "client_gone")

    def _stop(self, ending: Ending) -> None:
        self._cancel()
        self._end(ending)

    def _cancel(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.cancel()

    def _say(self, code: str, message: str) -> None:
        """An error of the relay's own, where the stream has a border, in the API's shape: SDKs raise it."""
        client = self._client
        if client is not None and self._is_stream and not client.framed and self._record.at_border():
            with suppress(ConnectionError):
                client.put(self._api.error_frame(problems.KINDS[code].status, code, message))

    def _break_off(self, ending: Ending) -> None:
        """Closes without an end, so that the client can tell."""
        if self._client is not None and not self._done.done():
            self._done.set_result(self._client.abort())
        self._end(ending)

    def _end(self, ending: Ending) -> None:
        if self._ended:
            return
        self._ended = True
        self._forget_timer()
        self._detach(keep_client=True)
        self._record.end(ending)

    def _detach(self, *, keep_client: bool = False) -> None:
        protocol = self._request.protocol
        if isinstance(protocol, ClientConnection) and protocol.flow is self:
            protocol.flow = None
        if not keep_client:
            self._client = None

    def _set_head(self, begun: bool) -> None:
        if not self._head.done():
            self._head.set_result(begun)

    def _forget_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def _is_passing(error: RelayError) -> bool:
    """Whether it may go better at once: no connection, or one that broke before an answer. Not a time that is over."""
    return isinstance(error, UpstreamReset) or (isinstance(error, UpstreamError) and not error.sent)


def _marked(headers: RawHeaders, status: int, chat_id: str) -> RawHeaders:
    """The answer's headers, and the relay's: its id of the stream, and what keeps proxies from holding it back."""
    marked = [*response_headers(headers, status), (b"X-Relay-Chat-Id", chat_id.encode())]
    if first(headers, b"x-accel-buffering") is None:
        marked.append((b"X-Accel-Buffering", b"no"))
    if b"no-transform" not in (first(headers, b"cache-control") or b"").lower():
        marked.append((b"Cache-Control", b"no-transform"))
    return marked
