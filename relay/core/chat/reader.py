"""Reads the body of an answer, piece by piece or in bulk: a stream of chunks, or one JSON document."""

from __future__ import annotations

from typing import Any, Final

from relay.core.chat.assembly import Assembly
from relay.core.chat.error import error_of_status
from relay.core.chat.json import read_json, write_json
from relay.core.chat.size import MAX_DATA
from relay.core.chat.sse import PlainEvents, SSEParser
from relay.core.chat.template import Template, learn, runs
from relay.core.event import one_line

MAX_HELD: Final = 1 << 20
"""Bytes of chunks that wait for their event; what comes on top is a gap."""

MAX_CHUNK: Final = MAX_DATA - 1024
"""Bytes of chunks in one event: room for its other fields."""

MAX_BODY: Final = 4 << 20
"""Bytes of an answer that is no stream; a larger one is not read."""

_SHOWN: Final = 2000
_MAX_LESSONS: Final = 16
_WORTHWHILE: Final = 4
"""Frames for which it pays to learn a template."""

HeldRun = tuple[int, list[bytes]]
"""Chunks that follow each other: the place in the stream of the first, and each as JSON."""


class StreamReader:
    """Reads a stream of chunks into an assembly. ``hold``: keep them for chunk events; ``content``: with their texts.

    ``done``: the API's own end came. What follows a sentinel is ignored, as clients do. ``chunks``: chunk objects so
    far. ``gaps``: those that could not be read or held. ``held_bytes``: of the chunks that are held. ``token_end``: the
    byte of the stream after the first frame that has content, reasoning or a tool call.
    """

    def __init__(self, assembly: Assembly, *, hold: bool = True, content: bool = True) -> None:
        self.chunks = 0
        self.gaps = 0
        self.token_end: int | None = None
        self._assembly = assembly
        self._sentinel = assembly.sentinel  # the SDKs' rule: the data begins with it
        self._closed = False
        self._hold_chunks = hold
        self._content = content
        self._parser = SSEParser(named=assembly.named)
        self._template: Template | None = None
        self._lessons = 0
        self._held: list[HeldRun] = []
        self.held_bytes = 0
        self._held_next = 0  # the place of a chunk that goes on with the last run

    @property
    def done(self) -> bool:
        return self._closed or self._assembly.done

    def read(self, data: bytes) -> None:
        if self._closed and "after_end" in self._assembly.irregular:
            return  # what follows an end says nothing; that something does is known
        start = self._parser.position
        plain = self._parser.take_plain(data)
        if plain is not None:
            self._read_plain(plain, start)
        else:
            for event in self._parser.take(data):
                self._read_event(event.data, event.end, event.name, event.oversized)

    def close(self) -> None:
        for event in self._parser.close():
            self._read_event(event.data, event.end, event.name, event.oversized)

    def released(self) -> list[HeldRun]:
        """The chunks that were held, which are then no longer."""
        held, self._held = self._held, []
        self.held_bytes = 0
        return held

    def _read_plain(self, plain: PlainEvents, start: int) -> None:
        """``start``: where the first event begins in the stream."""
        frames, position = plain.data, 0
        while self._assembly.begun is False and position < len(frames):
            start += plain.size(position)
            self._read_event(frames[position], start)
            position += 1
        self._read_frames(frames[position:] if position else frames)

    def _read_frames(self, frames: list[bytes]) -> None:
        template = self._template
        if template is None or len(frames) < _WORTHWHILE or self.done:
            self._read_each(frames)
            return
        place = 0
        for run in runs(template, self._assembly.alike(frames)):
            received = frames[place : place + len(run.frames)]
            place += len(received)
            if run.said is None or self.done:
                self._read_each(received)  # which may learn another template, for the next frames that come
            else:
                self._assembly.keep(template.texts, run.said)
                self._hold_all(received)

    def _read_each(self, frames: list[bytes]) -> None:
        for place, frame in enumerate(frames):
            chunk = self._read_event(frame, 0)
            if chunk is not None and self._lessons < _MAX_LESSONS and place + _WORTHWHILE < len(frames):
                added = self._assembly.only_text(chunk)
                if added is None:
                    continue
                frame, following = self._assembly.alike(frames[place : place + 2])
                template = learn(frame, added[0], self._assembly.only_text)
                self._lessons += 1
                if template is not None and template.fits(following):
                    self._template = template
                    self._read_frames(frames[place + 1 :])
                    return

    def _read_event(self, data: bytes, end: int, name: str = "", oversized: bool = False) -> dict[str, Any] | None:
        """One event, which ends at ``end`` in the stream. Its chunk, if it is one."""
        if not (data or oversized):
            return None
        if (self._closed or self._assembly.done) and self._comes_after_the_end():
            return None
        if oversized:
            self._assembly.passed_over(name)
        if self._sentinel and data.startswith(self._sentinel):
            self._closed = True
            return None
        try:
            chunk, exact = read_json(data)
        except ValueError:
            chunk, exact = None, False
        if type(chunk) is dict:
            self._assembly.add(chunk)
            if self.token_end is None and self._assembly.begun:
                self.token_end = end
            self._hold(chunk, one_line(data) if exact else None)
        else:
            self.gaps += 1
            if not oversized:
                self._assembly.irregular.add("not_json")
        if name == "error" and self._assembly.error is None:
            self._assembly.error = error_of_status(chunk, data[:_SHOWN].decode(errors="replace"))
        return chunk if type(chunk) is dict else None

    def _comes_after_the_end(self) -> bool:
        """Notes that something did, and says whether it is ignored: after a sentinel."""
        self._assembly.irregular.add("after_end")
        return self._closed

    def _hold(self, chunk: dict[str, Any], data: bytes | None) -> None:
        if self._hold_chunks:
            if not self._content:
                data = write_json(self._assembly.without_texts(chunk))
            self._put([write_json(chunk) if data is None else data], self.chunks)
        self.chunks += 1

    def _hold_all(self, frames: list[bytes]) -> None:
        """Chunks that were not parsed one by one, all made by the template."""
        if self._hold_chunks:
            if not self._content:
                frames = [write_json(self._assembly.without_texts(read_json(frames[0])[0]))] * len(frames)
            self._put(frames, self.chunks)
        self.chunks += len(frames)

    def _put(self, chunks: list[bytes], place: int) -> None:
        size = sum(map(len, chunks)) + len(chunks)
        if self.held_bytes + size <= MAX_HELD and size <= MAX_CHUNK:
            if not self._held or self._held_next != place:
                self._held.append((place, []))
            self._held[-1][1].extend(chunks)
            self.held_bytes += size
            self._held_next = place + len(chunks)
        elif len(chunks) == 1:
            self.gaps += 1
        else:
            for offset, chunk in enumerate(chunks):
                self._put([chunk], place + offset)


class BodyReader:
    """Reads an answer that is one JSON document of at most ``max_body`` bytes.

    After ``close``: ``done``, it has one; ``oversized``, it is larger than that; ``unreadable``, it is something else.
    """

    def __init__(self, assembly: Assembly, *, max_body: int = MAX_BODY) -> None:
        self.done = False
        self.oversized = False
        self.unreadable = False
        self._assembly = assembly
        self._room = max_body
        self._pieces: list[bytes] = []

    def read(self, data: bytes) -> None:
        """More of the body."""
        self._room -= len(data)
        if self._room >= 0:
            self._pieces.append(data)
        else:
            self._pieces.clear()

    def close(self, status: int | None) -> None:
        """The body has ended. It may have blank lines before the document: some upstreams send them while they work."""
        if self._room < 0:
            self.oversized = self._assembly.truncated = True
            return
        body = b"".join(self._pieces)
        try:
            document, _exact = read_json(body)
        except ValueError:
            document = None
        if type(document) is dict:
            self.done = True
            self._assembly.add_body(document)
        else:
            self.unreadable = True
        if status is not None and status >= 400:
            self._assembly.error = error_of_status(document, body[:_SHOWN].decode(errors="replace"))
