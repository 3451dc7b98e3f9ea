"""A TCP proxy that keeps one request of a Kafka client back, and delivers it long after the client gave it up."""

from __future__ import annotations

import asyncio
import contextlib
import struct
from typing import Self

from tests.faults.harness.lost_replies import KafkaConversation
from tests.services.kafka import free_port

_SIZE = struct.Struct(">i")
_END_TXN_REPLY = struct.Struct(">iih")  # correlation, throttle time, error
_PRODUCE_REPLY = struct.Struct(">iih")  # correlation, number of topics, length of the first one's name
_PARTITION_REPLY = struct.Struct(">iih")  # number of partitions, the first one's number, its error


class LateProxy:
    """``async with``: forwards between ``port`` and ``target_port``.

    ``hold(kind)`` keeps the next request of a kind back, and whatever follows it on its connection. ``deliver(kind)``
    hands it to the broker just before another connection's next request of that kind, and answers the broker's error
    code (https://kafka.apache.org/protocol#protocol_error_codes).
    """

    def __init__(self) -> None:
        self.port = free_port()
        self.target_port = 0
        self._open: set[asyncio.Task[None]] = set()
        self._wanted = ""
        self._held: asyncio.Future[bytes]
        self._due: tuple[str, asyncio.Future[int]] | None = None

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", self.port)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for task in self._open:
            task.cancel()
        await asyncio.gather(*self._open, return_exceptions=True)

    async def hold(self, kind: str, within: float = 30.0) -> None:
        """Returns once a request of this kind is held."""
        self._held, self._wanted = asyncio.get_running_loop().create_future(), kind
        async with asyncio.timeout(within):
            await asyncio.shield(self._held)

    async def deliver(self, before: str, within: float = 30.0) -> int:
        """The error with which the broker answers the request that was held; 0: none."""
        self._due = before, asyncio.get_running_loop().create_future()
        async with asyncio.timeout(within):
            return await self._due[1]

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._open.add(task)
        task.add_done_callback(self._open.discard)
        server = None
        try:
            answers, server = await asyncio.open_connection("127.0.0.1", self.target_port)
            replies = asyncio.create_task(_copy(answers, writer))
            await self._requests(reader, server)
            replies.cancel()
        except (OSError, asyncio.CancelledError):
            pass  # cut: what asyncio calls afterwards would log the cancellation
        finally:
            writer.transport.abort()
            if server is not None:
                server.transport.abort()

    async def _requests(self, reader: asyncio.StreamReader, server: asyncio.StreamWriter) -> None:
        conversation, muted = KafkaConversation(), False
        while data := await reader.read(65536):
            for frame, kind in conversation.requests(data):
                muted = muted or self._holds(frame, kind)
                if muted:
                    continue
                if self._due is not None and kind == self._due[0]:
                    due, self._due = self._due[1], None
                    due.set_result(await self._late())
                server.write(frame)
            await server.drain()

    def _holds(self, frame: bytes, kind: str) -> bool:
        if not self._wanted or kind != self._wanted:
            return False
        self._wanted = ""
        self._held.set_result(frame)
        return True

    async def _late(self) -> int:
        """To a broker a request is the same on any connection of the same client."""
        frame = self._held.result()
        reader, writer = await asyncio.open_connection("127.0.0.1", self.target_port)
        try:
            writer.write(frame)
            (size,) = _SIZE.unpack(await reader.readexactly(_SIZE.size))
            return _error_in(frame, await reader.readexactly(size))
        finally:
            writer.transport.abort()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    writer.transport.abort()


def _error_in(request: bytes, reply: bytes) -> int:
    """Of an EndTxn, or of a Produce for its first partition (before the flexible versions)."""
    if struct.unpack_from(">h", request, 4)[0]:
        return int(_END_TXN_REPLY.unpack_from(reply)[2])
    *_, name = _PRODUCE_REPLY.unpack_from(reply)
    return int(_PARTITION_REPLY.unpack_from(reply, _PRODUCE_REPLY.size + name)[2])
