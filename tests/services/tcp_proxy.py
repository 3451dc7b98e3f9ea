"""A TCP proxy that misbehaves on demand, between a client under test and a real server on loopback."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from typing import Literal, Self

_LINK_BUFFER = 16 * 1024

Mode = Literal["forward", "drop_replies", "blackhole"]


class _Lane:
    """One direction of the link: what is read goes through it one after the other."""

    def __init__(self, rate: float | None) -> None:
        self.rate = rate
        self._free_at = 0.0

    async def read(self, reader: asyncio.StreamReader) -> bytes:
        if self.rate is None:
            return await reader.read(65536)
        data = await reader.read(max(1, int(self.rate / 50)))
        now = asyncio.get_running_loop().time()
        self._free_at = max(now, self._free_at) + len(data) / self.rate
        await asyncio.sleep(self._free_at - now)
        return data


class TcpProxy:
    """``async with TcpProxy(port) as proxy: ...``; clients connect to ``proxy.port``.

    - ``forward``: bytes go both ways.
    - ``drop_replies``: requests reach the server, its replies are thrown away and the connection is reset once one
      has come; so the server has acted and the client does not know it.
    - ``blackhole``: connections are accepted and nothing goes anywhere, in either direction.

    ``rate``: bytes a second in each direction, for all connections together, as a slow link has them.

    ``reset()`` cuts all connections with an RST. ``replies_dropped`` counts what ``drop_replies`` threw away.
    """

    def __init__(
        self, target_port: int, *, target_host: str = "127.0.0.1", port: int = 0, rate: float | None = None
    ) -> None:
        self._target = (target_host, target_port)
        self._there, self._back = _Lane(rate), _Lane(rate)
        self._server: asyncio.Server | None = None
        self._sockets: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self.mode: Mode = "forward"
        self.port = port
        self.replies_dropped = 0

    async def __aenter__(self) -> Self:
        listening = socket.create_server(("127.0.0.1", self.port))
        if self._there.rate is not None:  # what waits for the link waits at the sender, who can take it back
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _LINK_BUFFER)
        self._server = await asyncio.start_server(self._accept, sock=listening, limit=_LINK_BUFFER)
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
            while data := await self._there.read(reader):
                if self.mode != "blackhole":
                    server.write(data)
                    await server.drain()
        server.transport.abort()

    async def _replies(
        self, reader: asyncio.StreamReader, client: asyncio.StreamWriter, server: asyncio.StreamWriter
    ) -> None:
        with contextlib.suppress(OSError):
            while data := await self._back.read(reader):
                if self.mode == "drop_replies":
                    self.replies_dropped += 1
                    break
                if self.mode == "forward":
                    client.write(data)
                    await client.drain()
        client.transport.abort()
        server.transport.abort()
