"""Makes the events of one chat: reads its tap when there is time, and sends its events on their way.

Nothing here raises. A bug in the tap costs content in events, never a stream, and never its ending.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable

from relay.core.chat.api import Api
from relay.core.chat.events import ChatData, Opening, started_draft
from relay.core.chat.outcome import Ending
from relay.core.chat.tap import Capture, Closed, Tap
from relay.edge.chat.event_queue import ChatEventQueue, ChatEvents
from relay.telemetry.signals.chats import ChatSignals

_SOON = 0.001
"""Seconds: until what was written in this turn of the event loop is out, and a quick upstream has answered."""

_GRID = 0.01
"""Seconds: streams are read in step with each other, or each event would have a commit of its own."""

_MUCH = 256 << 10
"""Bytes after which a fast stream is read before its time: the tap holds a bounded number of chunks."""


class ChatCapture:
    """One stream's record: ``begin``, ``answered``, ``feed`` with each piece, ``end``. ``closed`` is called at last."""

    __slots__ = (
        "_api",
        "_capture",
        "_closed",
        "_events",
        "_loop",
        "_opening",
        "_queue",
        "_read_at",
        "_signals",
        "_starting",
        "_tap",
        "_timer",
        "_unread",
        "left",
    )

    def __init__(
        self,
        opening: Opening,
        capture: Capture,
        api: Api,
        queue: ChatEventQueue,
        signals: ChatSignals,
        closed: Callable[[ChatData], None],
    ) -> None:
        self._opening, self._capture, self._api = opening, capture, api
        self._queue, self._signals, self._closed = queue, signals, closed
        self._loop = asyncio.get_running_loop()
        self._events = ChatEvents(queue)
        self._tap: Tap | None = Tap(opening, capture, api)
        self._timer: asyncio.TimerHandle | None = None
        self._starting: asyncio.TimerHandle | None = None
        self._unread = 0
        self._read_at = time.perf_counter()
        self.left = False
        """Whether the client has gone, and the stream is read on without it."""

    @property
    def chat_id(self) -> str:
        return self._opening.chat_id

    def begin(self) -> None:
        """The request is allowed and about to be sent: ``relay.chat.started``, once it is out."""
        self._signals.chat_opened()
        self._starting = self._loop.call_later(_SOON, self._start)

    def sent(self) -> None:
        """The request is on its way to the upstream."""
        self._signals.chat_sent(time.perf_counter() - self._read_at)

    def answered(self, status: int, content_type: str) -> None:
        """The head of the upstream's answer."""
        if self._tap is not None:
            self._guarded(lambda tap: tap.answered(status, content_type))

    def feed(self, piece: bytes) -> None:
        """A piece of the answer's body, after it went to the client."""
        tap = self._tap
        if tap is None:
            return
        try:
            tap.feed(piece, self._loop.time())
        except Exception as error:
            self._give_up(error)
            return
        if self._capture.chunks == "off":
            return
        self._unread += len(piece)
        if self._timer is None:
            self._timer = self._loop.call_at(self._next_look(), self._look)
        elif self._unread > _MUCH:
            self._timer.cancel()
            self._timer = self._loop.call_later(_SOON, self._look)
            self._unread = 0

    def at_border(self) -> bool:
        """Whether a frame of the relay's own may follow what came so far."""
        return self._tap is not None and self._tap.at_border()

    def leave(self) -> None:
        """The client has gone, and the stream is read on without it."""
        self.left = True
        self._guarded(Tap.client_left)

    def end(self, ending: Ending) -> None:
        """It has ended: its terminal event follows, once what is written to the clients is out."""
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_later(_SOON, self._close, ending, self._loop.time())

    def _next_look(self) -> float:
        """When the pieces that come from now on are read: for all streams at the same few instants."""
        return math.ceil((self._loop.time() + self._capture.chunk_interval) / _GRID + 1) * _GRID

    def _start(self) -> None:
        if self._starting is not None:
            self._starting.cancel()
            self._starting = None
            self._events.put((started_draft(self._opening),))

    def _look(self) -> None:
        self._start()
        self._timer, self._unread = None, 0
        tap = self._tap
        if tap is None:
            return
        try:
            drafts = tap.due(self._loop.time(), thin=self._queue.pressed)
        except Exception as error:
            self._give_up(error)
        else:
            self._events.put(drafts)

    def _close(self, ending: Ending, at: float) -> None:
        self._start()
        closed = self._guarded(lambda tap: tap.end(ending, at, thin=self._queue.pressed))
        if closed is None:
            # A bug in the tap may cost what was said, and not that the chat ends (P6).
            closed = self._bare(ending, at)
        self._events.put((*closed.chunks, closed.terminal))
        self._tap = None
        self._signals.chat_ended(closed.data, self._opening.model_asked, closed.irregular)
        self._closed(closed.data)

    def _bare(self, ending: Ending, at: float) -> Closed:
        """The ending of a stream of which nothing could be read."""
        tap = Tap(self._opening, self._capture, self._api)
        if self.left:
            tap.client_left()
        return tap.end(ending, at)

    def _guarded(self, step: Callable[[Tap], Closed | None]) -> Closed | None:
        if self._tap is None:
            return None
        try:
            return step(self._tap)
        except Exception as error:
            self._give_up(error)
            return None

    def _give_up(self, error: Exception) -> None:
        self._tap = None
        self._signals.recording_failed(error)
