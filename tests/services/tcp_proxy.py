"""A TCP proxy that misbehaves on demand, between a client under test and a real server on loopback."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Literal, Self

Mode = Literal["forward", "drop_replies", "blackhole"]


class TcpProxy:
    """``async with TcpProxy(port) as proxy: ...``; clients connect to ``proxy.port``.

    - ``forward``: bytes go both ways.
    - ``drop_replies``: requests reach the server, its replies are thrown away and the connection is reset once one
      has come; so the server has acted and the client does not know it.
    - ``blackhole``: connections are accepted and nothing goes anywhere, in either direction.

    ``reset()`` cuts all connections with an RST. ``replies_dropped`` counts what ``drop_replies`` threw away.
    """

    def __init__(self, target_port: int, *, target_host: str = "127.0.0.1") -> None:
        self._target = (target_host, target_port)
        self._server: asyncio.Server | None = None
        self._sockets: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self.mode: Mode = "forward"
        self.port = 0
        self.replies_dropped = 0

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        for task in self._tasks:
            task.cancel()
        self.reset()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def reset(self) -> None:
        """Cut every connection at once, unsent bytes included."""
        for writer in self._sockets:
            writer.transport.abort()
        self._sockets.clear()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        self._sockets.add(writer)
        with contextlib.suppress(OSError, asyncio.CancelledError):
            server_reader, server_writer = await asyncio.open_connection(*self._target)
            self._sockets.add(server_writer)
            async with asyncio.TaskGroup() as pumps:
                pumps.create_task(self._requests(reader, server_writer))
                pumps.create_task(self._replies(server_reader, writer, server_writer))

    async def _requests(self, reader: asyncio.StreamReader, server: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(65536):
                if self.mode != "blackhole":
                    server.write(data)
                    await server.drain()
        server.transport.abort()

    async def _replies(
        self, reader: asyncio.StreamReader, client: asyncio.StreamWriter, server: asyncio.StreamWriter
    ) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(65536):
                if self.mode == "drop_replies":
                    self.replies_dropped += 1
                    break
                if self.mode == "forward":
                    client.write(data)
                    await client.drain()
        client.transport.abort()
        server.transport.abort()
