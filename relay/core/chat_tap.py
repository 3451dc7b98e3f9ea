"""The recorder of one chat stream: fed with what the proxy forwards, asked now and then for events, and at the end.

    tap = Tap(opening, capture)
    append(started_draft(opening))             # once the request is allowed
    tap.answered(status, content_type)         # the head of the answer that goes to the client
    tap.feed(piece, now)                       # each piece, after it was handed to the client: costs next to nothing
    append(*tap.due(now))                      # from time to time: relay.chat.chunk
    tap.client_left(now)                       # only if the relay reads on without the client (drain)
    closed = tap.end(ending, now)              # once
    append(*closed.chunks, closed.terminal)

All times are seconds of the clock of ``Opening.opened``. Nothing here waits, and nothing raises for what an upstream
sends. Parsing is put off to ``due`` and ``end``, where many pieces are read at once, which costs a fraction.

Memory: ``MAX_PENDING`` of bytes not yet parsed, ``sse.MAX_EVENT`` of an event not yet complete, ``MAX_TEXT`` of texts,
``MAX_HELD`` of chunks for which ``due`` was not called, and ``MAX_BODY`` for an answer that is no stream. Beyond these
content is left out and counted (``gaps``, ``truncated``); usage, finish reasons and errors are still found, except in a
body that is too large to be read at all.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, Literal, NamedTuple

from relay.core.chat import ChatData, Opening, chunk_draft, chunk_key, terminal_draft
from relay.core.chat_assembly import MAX_TEXT, Assembly
from relay.core.chat_error import error_of_status, upstream_error
from relay.core.chat_json import read_json, write_json
from relay.core.chat_outcome import Ending, Seen, Verdict, verdict
from relay.core.chat_size import MAX_DATA, fitted
from relay.core.clock import rfc3339
from relay.core.event import Draft
from relay.core.sse import SSEParser, is_border

ChunkEvents = Literal["off", "coalesced", "each"]

MAX_PENDING: Final = 64 * 1024
MAX_HELD: Final = 1 << 20
MAX_BODY: Final = 4 << 20
_DONE: Final = b"[DONE]"  # the SDKs' rule: the data begins with it
_CHUNK_ROOM: Final = MAX_DATA - 1024


@dataclass(frozen=True, slots=True)
class Capture:
    """What of the streams is recorded. ``coalesce``: seconds between two chunk events of a stream."""

    chunks: ChunkEvents = "coalesced"
    coalesce: float = 0.25
    content: bool = True
    max_text: int = MAX_TEXT
    max_body: int = MAX_BODY


class Closed(NamedTuple):
    """The end of a stream: the last chunk events, then the one terminal event, whose data is ``data``."""

    chunks: list[Draft]
    terminal: Draft
    data: ChatData


class Tap:
    """See the module."""

    def __init__(self, opening: Opening, capture: Capture) -> None:
        self._opening = opening
        self._capture = capture
        self._assembly = Assembly(content=capture.content, max_text=capture.max_text)
        self._parser = SSEParser()
        self._status: int | None = None
        self._is_stream = True
        self._pieces: list[bytes] = []
        self._times: list[float] = []
        self._pending = 0
        self._bytes = 0  # absorbed, so without the pending ones
        self._last = b""  # the last bytes of the absorbed ones
        self._body: list[bytes] = []
        self._first_byte: float | None = None
        self._first_token: float | None = None
        self._done = False
        self._unreadable = False
        self._chunks = 0
        self._gaps = 0
        self._held: list[bytes] = []
        self._held_bytes = 0
        self._key = chunk_key(opening.stream_id)
        self._due_at = opening.opened + capture.coalesce
        self._left: Verdict | None = None

    def answered(self, status: int, content_type: str | None) -> None:
        """The head of the upstream's answer: before any ``feed``; never, if there is no answer."""
        self._status = status
        self._is_stream = (content_type or "").partition(";")[0].strip().lower() == "text/event-stream"

    def feed(self, data: bytes, at: float) -> None:
        """Bytes of the answer's body as they were forwarded, and when."""
        self._pieces.append(data)
        self._times.append(at)
        self._pending += len(data)
        if self._pending > MAX_PENDING:
            self._absorb()

    def at_border(self) -> bool:
        """Whether something may be put in after what was fed so far without becoming part of one of its events."""
        return is_border((self._last + b"".join(self._pieces[-4:]))[-4:])

    def due(self, now: float, *, thin: bool = False) -> list[Draft]:
        """The chunk events that are due; mostly none. ``thin``: leave them out, and count their chunks as gaps."""
        if self._capture.chunks == "off" or not self._is_stream or now < self._due_at:
            return []
        self._due_at = now + self._capture.coalesce
        self._absorb()
        return self._released(now, thin=thin)

    def client_left(self, now: float) -> None:
        """The client has gone and the relay reads on: what comes now changes the content, not the outcome."""
        self._absorb()
        if self._left is None:
            self._left = verdict(self._seen(), "client_gone")

    def end(self, ending: Ending, now: float, *, thin: bool = False) -> Closed:
        """The stream has ended. Called once; nothing may be called after it."""
        self._absorb()
        if self._is_stream:
            for event in self._parser.close():
                self._read(event.data, event.end, event.name, event.oversized)
        else:
            self._read_body(b"".join(self._body))
        chunks = self._released(now, thin=thin)
        data = self._data(self._left or verdict(self._seen(), ending), now)
        serialized = fitted(data)
        time = rfc3339(self._opening.epoch_ms(now))
        return Closed(chunks, terminal_draft(data, serialized, time=time, traceparent=self._opening.traceparent), data)

    def _seen(self) -> Seen:
        assembly = self._assembly
        return Seen(
            self._status, assembly.error is not None, self._done, assembly.finished, assembly.empty, self._unreadable
        )

    def _absorb(self) -> None:
        """Reads what was put off."""
        if not self._pieces:
            return
        data = b"".join(self._pieces)
        if self._first_byte is None and data:
            self._first_byte = self._times[0]
        if not self._is_stream:
            self._absorb_body(data)
        elif not self._done:
            self._absorb_events(data)
        self._bytes += len(data)
        self._last = (self._last + data[-4:])[-4:]
        self._pieces.clear()
        self._times.clear()
        self._pending = 0

    def _absorb_body(self, data: bytes) -> None:
        if self._bytes + len(data) <= self._capture.max_body:
            self._body.append(data)
        else:
            self._body.clear()
            self._assembly.truncated = True

    def _absorb_events(self, data: bytes) -> None:
        start = self._parser.position
        frames = self._parser.take_plain(data)
        if frames is None:
            for event in self._parser.take(data):
                self._read(event.data, event.end, event.name, event.oversized)
            return
        for frame in frames:
            start += len(frame) + 8
            self._read(frame, start)

    def _read(self, data: bytes, end: int, name: str = "", oversized: bool = False) -> None:
        """One event. ``end`` is where it ends in the stream."""
        if self._done or not (data or oversized):
            return
        if data.startswith(_DONE):
            self._done = True
            return
        try:
            chunk, exact = read_json(data)
        except ValueError:
            chunk, exact = None, False
        if type(chunk) is dict:
            self._add(chunk, data if exact else write_json(chunk), end)
        else:
            self._gaps += 1
        if name == "error" and self._assembly.error is None:
            self._assembly.error = error_of_status(chunk, data[:2000].decode(errors="replace"))

    def _add(self, chunk: dict[str, Any], data: bytes, end: int) -> None:
        self._assembly.add(chunk)
        self._chunks += 1
        if self._first_token is None and self._assembly.begun:
            self._first_token = self._arrival(end)
        if self._capture.chunks == "off":
            return
        self._held.append(data if self._capture.content else write_json(_without_texts(chunk)))

    def _arrival(self, end: int) -> float:
        """When the piece came that holds the last byte before the place ``end`` of the stream."""
        reached = self._bytes
        for piece, at in zip(self._pieces, self._times, strict=True):
            reached += len(piece)
            if reached >= end:
                return at
        return self._times[-1] if self._times else self._opening.opened

    def _read_body(self, body: bytes) -> None:
        try:
            document, _exact = read_json(body)
        except ValueError:
            document = None
        if type(document) is dict:
            self._done = True
            self._assembly.add_body(document)
        elif not self._assembly.truncated:
            self._unreadable = True
        if self._status is not None and self._status >= 400:
            self._assembly.error = error_of_status(document, body[:2000].decode(errors="replace"))

    def _released(self, now: float, *, thin: bool) -> list[Draft]:
        held, self._held = self._held, []
        if not held:
            return []
        if thin:
            self._gaps += len(held)
            return []
        first = self._chunks - len(held)
        time = rfc3339(self._opening.epoch_ms(now))
        groups = [[chunk] for chunk in held] if self._capture.chunks == "each" else [held]
        drafts = []
        for group in groups:
            drafts.append(
                chunk_draft(
                    self._opening.stream_id,
                    self._key,
                    first,
                    group,
                    time=time,
                    traceparent=self._opening.traceparent,
                )
            )
            first += len(group)
        return drafts

    def _data(self, ended: Verdict, now: float) -> ChatData:
        opening, assembly = self._opening, self._assembly
        error = assembly.error
        if error is not None and not self._capture.content:
            error = upstream_error(error["code"], error["type"], None)
        return {
            "stream_id": opening.stream_id,
            "completion_id": assembly.completion_id,
            "model": assembly.model or opening.model,
            "outcome": ended.outcome,
            "reason": ended.reason,
            "http_status": self._status,
            "error": error,
            "choices": assembly.choices(),
            "usage": assembly.usage,
            "usage_source": "absent" if assembly.usage is None else "reported",
            "chunks": self._chunks,
            "bytes": self._bytes,
            "gaps": self._gaps,
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


def _without_texts(chunk: dict[str, Any]) -> dict[str, Any]:
    """What of a chunk may be told without content: only what is known to hold no text of the model."""
    return {key: chunk[key] for key in ("id", "object", "created", "model", "usage") if key in chunk}
