"""Records one chat: it gets the bytes that the proxy forwards, and gives events now and then, and at the end.

    tap = Tap(opening, capture, api)
    append(started_draft(opening))             # once the request is allowed
    tap.answered(status, content_type)         # the head of the answer that goes to the client
    tap.feed(piece, now)                       # each piece, after it was handed to the client: costs next to nothing
    append(*tap.due(now))                      # from time to time: relay.chat.chunk
    tap.client_left()                          # only if the relay reads on without the client (drain)
    closed = tap.end(ending, now)              # once
    append(*closed.chunks, closed.terminal)

All times are seconds of the clock of ``Opening.opened``. Nothing here waits, and nothing raises for what an upstream
sends. Parsing is put off to ``due`` and ``end``, where many pieces are read at once, which costs a fraction.

Memory: 64 KiB of bytes not yet parsed (or one piece, if that is larger), ``sse.MAX_EVENT`` of an event that is not
complete, ``MAX_TEXT`` of texts, ``MAX_HELD`` of chunks for which ``due`` was not called, ``MAX_BODY`` of an answer that
is no stream. What is beyond is left out and counted (``gaps``, ``truncated``); usage, finish reasons and errors are
still found, except in an event or a body that is too large to be read at all.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal, NamedTuple

from relay.core.chat.api import Api
from relay.core.chat.assembly import MAX_TEXT, Irregularity
from relay.core.chat.error import upstream_error
from relay.core.chat.events import ChatData, Opening, chunk_draft, chunk_key, terminal_draft
from relay.core.chat.outcome import Ending, Seen, Verdict, verdict
from relay.core.chat.reader import MAX_BODY, MAX_CHUNK, MAX_HELD, BodyReader, StreamReader
from relay.core.chat.size import fitted
from relay.core.chat.sse import is_border
from relay.core.clock import rfc3339
from relay.core.event import Draft

ChunkEvents = Literal["off", "coalesced", "each"]

_MAX_PENDING: Final = 64 * 1024
_BORDER_REACH: Final = 4
_STREAM_STARTS: Final = (b"data:", b"event:", b":", b"id:", b"retry:")
_LONGEST_START: Final = max(map(len, _STREAM_STARTS))


@dataclass(frozen=True, slots=True)
class Capture:
    """What of the chats is recorded. ``chunk_interval``: seconds between two chunk events of a stream."""

    chunks: ChunkEvents = "coalesced"
    chunk_interval: float = 0.25
    content: bool = True
    max_text: int = MAX_TEXT
    max_body: int = MAX_BODY


class Closed(NamedTuple):
    """The end of a stream: the last chunk events, then the one terminal event, whose data is ``data``.

    ``irregular``: what about the answer is not as its API has it.
    """

    chunks: list[Draft]
    terminal: Draft
    data: ChatData
    irregular: frozenset[Irregularity] = frozenset()


class Tap:
    """The recorder of one stream; see above for its use. ``capture`` is shared by all streams."""

    def __init__(self, opening: Opening, capture: Capture, api: Api) -> None:
        self._opening = opening
        self._capture = capture
        self._assembly = api.assembly(content=capture.content, max_text=capture.max_text)
        self._stream = StreamReader(self._assembly, hold=capture.chunks != "off", content=capture.content)
        self._body: BodyReader | None = None  # instead of the stream
        self._chosen = False
        self._status: int | None = None
        self._pieces: list[bytes] = []
        self._times: list[float] = []
        self._pending = 0
        self._bytes = 0  # those that were absorbed
        self._last = b""  # the last few of them
        self._first_byte: float | None = None
        self._first_token: float | None = None
        self._thinned = 0
        self._key = chunk_key(opening.chat_id)
        self._due_at = opening.opened + capture.chunk_interval
        self._left: Verdict | None = None

    def answered(self, status: int, content_type: str | None) -> None:
        """The head of the upstream's answer: before any ``feed``; never, if there is no answer."""
        self._status = status
        if (content_type or "").partition(";")[0].strip().lower() != "text/event-stream":
            self._body = BodyReader(self._assembly, max_body=self._capture.max_body)

    def feed(self, data: bytes, at: float) -> None:
        """Bytes of the answer's body as they were forwarded, and when."""
        self._pieces.append(data)
        self._times.append(at)
        self._pending += len(data)
        if self._pending > _MAX_PENDING:
            self._absorb()

    def at_border(self) -> bool:
        """Whether something may be put in after what was fed so far without becoming part of one of its events."""
        return is_border((self._last + b"".join(self._pieces))[-_BORDER_REACH:])

    def due(self, now: float, *, thin: bool = False) -> list[Draft]:
        """The chunk events that are due; mostly none. ``thin``: leave them out, and count their chunks as gaps.

        To be called at least as often as every ``chunk_interval`` seconds; rather more often, since fast streams are
        due earlier, before what is held of them reaches its bound.
        """
        if self._capture.chunks == "off":
            return []
        if now < self._due_at and self._stream.held_bytes + self._pending < MAX_HELD // 4:
            return []
        self._due_at = now + self._capture.chunk_interval
        self._absorb()
        return self._released(now, thin=thin)

    def client_left(self) -> None:
        """The client has gone and the relay reads on: what comes now adds to the content; the outcome is decided."""
        self._absorb(last=True)
        if self._left is None:
            self._left = verdict(self._seen(), "client_gone")

    def end(self, ending: Ending, now: float, *, thin: bool = False) -> Closed:
        """The stream has ended. Called once; nothing may be called after it."""
        self._absorb(last=True)
        if self._body is None:
            self._stream.close()
        else:
            self._body.close(self._status)
        chunks = self._released(now, thin=thin)
        data = self._data(self._left or verdict(self._seen(), ending), now)
        time = rfc3339(self._opening.epoch_ms(now))
        terminal = terminal_draft(data, fitted(data), time=time, traceparent=self._opening.traceparent)
        return Closed(chunks, terminal, data, frozenset(self._assembly.irregular))

    def _absorb(self, *, last: bool = False) -> None:
        """Reads what was put off, unless that is too little to tell what it is; ``last``: it is all there is."""
        if not self._pieces:
            return
        data = b"".join(self._pieces)
        if not self._chosen:
            beginning = data.lstrip()
            if len(beginning) < _LONGEST_START and not last and self._pending <= _MAX_PENDING:
                return
            self._choose_reader(beginning)
        if self._bytes == 0 and data:
            self._first_byte = next(at for piece, at in zip(self._pieces, self._times, strict=True) if piece)
        if self._body is None:
            self._stream.read(data)
            if self._first_token is None and self._stream.token_end is not None:
                self._first_token = self._arrival(self._stream.token_end)
        else:
            self._body.read(data)
        self._bytes += len(data)
        self._last = (self._last + data[-_BORDER_REACH:])[-_BORDER_REACH:]
        self._pieces.clear()
        self._times.clear()
        self._pending = 0

    def _choose_reader(self, beginning: bytes) -> None:
        """By what there is rather than by what its ``Content-Type`` says: servers that fail mix the two up."""
        self._chosen = bool(beginning)
        if self._body is None and beginning.startswith(b"{"):
            self._body = BodyReader(self._assembly, max_body=self._capture.max_body)
            self._assembly.irregular.add("mislabelled")
        elif self._body is not None and beginning.startswith(_STREAM_STARTS):
            self._body = None
            self._assembly.irregular.add("mislabelled")

    def _arrival(self, end: int) -> float:
        """When the piece came that holds the last byte before the place ``end`` of the stream."""
        reached = self._bytes
        for piece, at in zip(self._pieces, self._times, strict=True):
            reached += len(piece)
            if reached >= end:
                return at
        return self._times[-1]

    def _seen(self) -> Seen:
        assembly, body = self._assembly, self._body
        return Seen(
            status=self._status,
            error=assembly.error is not None,
            done=self._stream.done if body is None else body.done,
            finished=assembly.finished or (body is not None and body.oversized),
            empty=assembly.empty,
            unreadable=body is not None and body.unreadable,
        )

    def _released(self, now: float, *, thin: bool) -> list[Draft]:
        drafts: list[Draft] = []
        for first, chunks in self._stream.released():
            if thin:
                self._thinned += len(chunks)
            elif self._capture.chunks == "each":
                drafts += [self._chunk_draft(first + place, [chunk], now) for place, chunk in enumerate(chunks)]
            elif sum(map(len, chunks)) + len(chunks) <= MAX_CHUNK:
                drafts.append(self._chunk_draft(first, chunks, now))
            else:
                half = len(chunks) // 2  # each of the halves fits, since no more than twice as much is held
                drafts.append(self._chunk_draft(first, chunks[:half], now))
                drafts.append(self._chunk_draft(first + half, chunks[half:], now))
        return drafts

    def _chunk_draft(self, first: int, chunks: list[bytes], now: float) -> Draft:
        opening = self._opening
        time = rfc3339(opening.epoch_ms(now))
        return chunk_draft(opening.chat_id, self._key, first, chunks, time=time, traceparent=opening.traceparent)

    def _data(self, ended: Verdict, now: float) -> ChatData:
        opening, assembly, error = self._opening, self._assembly, self._assembly.error
        if error is not None and not self._capture.content:
            error = upstream_error(error["code"], error["type"], None)
        return {
            "chat_id": opening.chat_id,
            "api": opening.api,
            "completion_id": assembly.completion_id,
            "model": assembly.model or opening.model_asked,
            "outcome": ended.outcome,
            "reason": ended.reason,
            "http_status": self._status,
            "error": error,
            "choices": assembly.choices(),
            "usage": assembly.usage,
            "tokens": assembly.tokens(),
            "usage_source": "absent" if assembly.usage is None else "reported",
            "chunks": self._stream.chunks,
            "bytes": self._bytes,
            "gaps": self._stream.gaps + self._thinned,
            "truncated": assembly.truncated,
            "timings": {
                "started_at": rfc3339(opening.started_at),
                "first_byte_ms": self._elapsed(self._first_byte),
                "first_token_ms": self._elapsed(self._first_token),
                "duration_ms": opening.elapsed_ms(now),
            },
            "client": opening.client,
            "request": opening.request,
        }

    def _elapsed(self, at: float | None) -> int | None:
        return None if at is None else self._opening.elapsed_ms(at)
