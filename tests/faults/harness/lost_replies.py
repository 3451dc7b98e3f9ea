"""A TCP proxy that delivers a request, lets the server act, and then drops the reply: the doubt that doubles events."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from collections.abc import Callable, Iterator
from typing import Literal, Protocol, Self

from tests.services.ports import free_port

How = Literal["reset", "blackhole"]
"""``reset``: the client gets an RST instead of the reply. ``blackhole``: nothing more goes through, either way."""

_KAFKA_KINDS = {0: "Produce", 24: "AddPartitionsToTxn", 26: "EndTxn"}
_REDIS_KINDS = ("publish", "XADD")
"""The sink's script with a batch (an EVALSHA; the claim is another one), and a plain XADD."""

_HEAD = struct.Struct(">ihhi")
_CORRELATION = struct.Struct(">i")


class Conversation(Protocol):
    """How one connection's bytes are cut into pieces, and which reply belongs to which request."""

    def requests(self, data: bytes) -> Iterator[tuple[bytes, str]]:
        """Pieces to hand on, each with the kind of request that it completes ('' for none)."""

    def replies(self, data: bytes) -> Iterator[tuple[bytes, str]]:
        """Pieces to hand on, each with the kind of the request that it answers ('' for unknown)."""


class KafkaConversation:
    """Frames of a length and a body; replies name their request's correlation id
    (https://kafka.apache.org/protocol#protocol_messages)."""

    def __init__(self) -> None:
        self._asking, self._answering = b"", b""
        self._pending: dict[int, str] = {}

    def requests(self, data: bytes) -> Iterator[tuple[bytes, str]]:
        self._asking += data
        while (frame := _frame(self._asking)) is not None:
            self._asking = self._asking[len(frame) :]
            _, api_key, _, correlation = _HEAD.unpack_from(frame)
            kind = self._pending[correlation] = _KAFKA_KINDS.get(api_key, "other")
            yield frame, kind

    def replies(self, data: bytes) -> Iterator[tuple[bytes, str]]:
        self._answering += data
        while (frame := _frame(self._answering)) is not None:
            self._answering = self._answering[len(frame) :]
            yield frame, self._pending.pop(_CORRELATION.unpack_from(frame, 4)[0], "")


class RedisConversation:
    """One command at a time: whatever comes back answers the last one. Known by a word in it."""

    def __init__(self) -> None:
        self._last = ""

    def requests(self, data: bytes) -> Iterator[tuple[bytes, str]]:
        found = next((kind for kind in _REDIS_KINDS if kind.encode() in data), "")
        self._last = found or self._last  # a long command comes in pieces, and only one has the word
        yield data, found

    def replies(self, data: bytes) -> Iterator[tuple[bytes, str]]:
        last, self._last = self._last, ""
        yield data, last


def _frame(buffered: bytes) -> bytes | None:
    if len(buffered) < 4:
        return None
    size = 4 + _CORRELATION.unpack_from(buffered)[0]
    return buffered[:size] if len(buffered) >= size else None


class LossyProxy:
    """Forwards between ``port`` and a server on loopback; ``drop`` arms the loss of one reply."""

    def __init__(self, conversation: Callable[[], Conversation]) -> None:
        self.port = free_port()
        self.slicing = False
        """Hand on every byte by itself, in a segment of its own."""
        self._conversation = conversation
        self._target = 0
        self._armed: tuple[str, How] | None = None
        self._done = asyncio.Event()
        self._open: set[asyncio.Task[None]] = set()

    def redirect(self, port: int) -> None:
        """New connections go there; the old ones are cut."""
        self._target = port
        for task in self._open:
            task.cancel()

    async def forward_to(self, port: int) -> Self:
        """Begins to listen."""
        self._target = port
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", self.port)
        return self

    async def close(self) -> None:
        """Cuts everything."""
        self._server.close()
        for task in self._open:
            task.cancel()
        await asyncio.gather(*self._open, return_exceptions=True)

    def drop(self, kind: str, how: How) -> None:
        """The next reply to a request of this kind will not arrive."""
        self._done.clear()
        self._armed = (kind, how)

    async def dropped(self, within: float = 30.0) -> None:
        """Returns once that has happened."""
        async with asyncio.timeout(within):
            await self._done.wait()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._open.add(task)
        task.add_done_callback(self._open.discard)
        server_writer = None
        try:
            server_reader, server_writer = await asyncio.open_connection("127.0.0.1", self._target)
            await self._pump(_Way(reader, server_writer), _Way(server_reader, writer))
        except (OSError, asyncio.CancelledError):
            pass  # cut by ``redirect`` or ``close``: what asyncio calls afterwards would log the cancellation
        finally:
            writer.transport.abort()
            if server_writer is not None:
                server_writer.transport.abort()

    async def _pump(self, there: _Way, back: _Way) -> None:
        conversation = self._conversation()
        asking = asyncio.create_task(self._carry(there, conversation.requests, _never))
        answering = asyncio.create_task(self._carry(back, conversation.replies, self._loses))
        try:
            done, _ = await asyncio.wait((asking, answering), return_when=asyncio.FIRST_COMPLETED)
            if answering in done and not answering.exception() and answering.result() == "blackhole":
                there.mute = True
                await asyncio.wait((asking,))  # until the client gives up
        finally:
            for task in (asking, answering):
                task.cancel()
            await asyncio.gather(asking, answering, return_exceptions=True)

    async def _carry(
        self, way: _Way, cut: Callable[[bytes], Iterator[tuple[bytes, str]]], loses: Callable[[str], How | None]
    ) -> How | None:
        """Hands on until the sender ends (``None``) or a reply is dropped (how)."""
        while data := await way.reader.read(65536):
            for piece, kind in cut(data):
                if (how := loses(kind)) is not None:
                    return how
                await way.send(piece, sliced=self.slicing)
        return None

    def _loses(self, kind: str) -> How | None:
        if self._armed is None or not kind or kind != self._armed[0]:
            return None
        how, self._armed = self._armed[1], None
        self._done.set()
        return how


class _Way:
    """One direction of a connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self._writer = reader, writer
        self.mute = False
        writer.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    async def send(self, piece: bytes, *, sliced: bool) -> None:
        if self.mute:
            return
        for start in range(len(piece)) if sliced else [0]:
            self._writer.write(piece[start : start + 1] if sliced else piece)
            if start % 64 == 0:
                await asyncio.sleep(0)
        with contextlib.suppress(ConnectionError):
            await self._writer.drain()


def _never(_: str) -> None:
    return None
