"""Chats: who may start one, and what all of them share.

``ChatStream`` moves the bytes, ``ChatCapture`` and ``ChatEventQueue`` get the events into the journal. A stream waits
for none of its events.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from uuid import uuid4

from aiohttp import web

from relay.clocks import until, wall_ms
from relay.core.chat.events import ChatData, Opening
from relay.core.chat.quota import tokens_of
from relay.core.chat.request import ChatRequest, read_request
from relay.core.chat.tap import Capture
from relay.core.errors import RelayError
from relay.edge.chat.capture import ChatCapture
from relay.edge.chat.event_queue import ChatEventQueue
from relay.edge.chat.stream import ChatStream
from relay.edge.http.bodies import scanned
from relay.edge.http.problems import ProblemError
from relay.edge.http.trace import onward, trace_of
from relay.edge.intake import Intake
from relay.edge.proxy.apis import Called
from relay.edge.proxy.clients import Client
from relay.edge.proxy.proxy import Proxy
from relay.settings.model import ProxySettings
from relay.telemetry.signals.chats import ChatSignals
from relay.upstream.headers import replaced


class Chat:
    def __init__(
        self,
        proxy: Proxy,
        queue: ChatEventQueue,
        settings: ProxySettings,
        signals: ChatSignals,
        intake: Intake | None = None,
    ) -> None:
        self.intake = intake or Intake()
        self._proxy, self._queue, self._signals = proxy, queue, signals
        self._capture = Capture(settings.chunks, settings.chunk_interval, settings.capture.content)
        self._settings = settings
        self._streams: dict[ChatCapture, ChatStream] = {}
        self._held: Counter[str | None] = Counter()

    async def __call__(self, request: web.BaseRequest, called: Called) -> web.StreamResponse:
        """One chat of the API that is called, streaming or not."""
        client: Client | None = None
        try:
            client = self._proxy.admit(request)
            self._require_room(client)
            self._proxy.clients.count(client, chat=True)
            with self.intake.entered(chat=True):
                async with self._proxy.bodies.received(request, client.name) as received:
                    read = await scanned(read_request, received.body, self._settings.capture.request, called.api.said)
                    stream = self._open(request, client, read, called)
                    await stream.begin(received)
                return await stream.finished()
        except ProblemError as problem:
            self._signals.chat_refused(problem.code, client.name if client else None)
            return self._proxy.refused(request, problem)
        except RelayError as error:
            return self._proxy.refused(request, error)

    @property
    def busy(self) -> bool:
        """Whether a stream is open, or the journal has not got all events of one."""
        return bool(self._streams) or not self._queue.idle

    def shut_down(self) -> None:
        """Ends the streams that are still under way."""
        for stream in list(self._streams.values()):
            stream.shut_down()

    async def finish(self, timeout: float) -> None:
        """Ends what is left and waits for the journal to have all events."""
        self.shut_down()
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout
        await until(lambda: not self._streams, timeout)
        if left := await self._queue.flushed(deadline - loop.time()):
            self._signals.chats_unrecorded(left)

    def _require_room(self, client: Client) -> None:
        if self._queue.full:
            raise ProblemError("overloaded", "The journal does not take the events of chats.")
        self._require_place(client)

    def _require_place(self, client: Client) -> None:
        if client.max_concurrent is not None and self._held[client.name] >= client.max_concurrent:
            self._proxy.clients.limited(client, "max_concurrent")
            raise ProblemError("too_many_chats", f"At most {client.max_concurrent} at once.")

    def _open(self, request: web.BaseRequest, client: Client, read: ChatRequest, called: Called) -> ChatStream:
        client.require_model(read.model)
        self._require_place(client)  # again: others may have come while the body did
        received = Opening(
            chat_id=uuid4().hex,
            started_at=wall_ms(),
            opened=asyncio.get_running_loop().time(),
            api=called.name,
            model=read.model,
            stream=read.stream,
            client=client.name,
            request=read.data,
            traceparent=trace_of(request.headers),
        )
        opening = self._signals.chat_begun(received)
        record = ChatCapture(
            opening,
            self._capture,
            called.api,
            self._queue,
            self._signals,
            lambda data: self._closed(record, client, data),
        )
        # What is compressed cannot be read on its way.
        headers = replaced(self._proxy.outbound(request), b"accept-encoding", b"identity")
        headers = onward(headers, received.traceparent, opening.traceparent)
        stream = ChatStream(
            request,
            headers,
            self._proxy.upstream,
            called.api,
            record,
            self._settings,
            client.on_disconnect,
            self._proxy.concealed,
        )
        self._streams[record] = stream
        self._held[client.name] += 1
        return stream

    def _closed(self, record: ChatCapture, client: Client, data: ChatData) -> None:
        self._proxy.clients.spend(client, tokens_of(data))
        del self._streams[record]
        self._held[client.name] -= 1
