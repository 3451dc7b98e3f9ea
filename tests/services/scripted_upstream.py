"""An upstream that does with each request exactly what a test says, down to the bytes."""

from __future__ import annotations

import asyncio
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

TIMEOUT = 30.0


@dataclass
class Call:
    """One request as it arrived, and the way to answer it."""

    head: bytes
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    body: bytes = b""
    gone: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when the relay has closed the connection."""

    @property
    def line(self) -> str:
        return self.head.split(b"\r\n", 1)[0].decode("latin-1")

    @property
    def fields(self) -> list[tuple[bytes, bytes]]:
        lines = self.head.split(b"\r\n")[1:-2]
        return [(name, value) for name, _, value in (line.partition(b": ") for line in lines)]

    def header(self, name: str) -> str | None:
        """The value of a header, whatever its case."""
        wanted = name.lower().encode()
        return next((value.decode("latin-1") for key, value in self.fields if key.lower() == wanted), None)

    async def send(self, *pieces: bytes) -> None:
        """Sends these bytes, each piece in a write of its own."""
        for piece in pieces:
            self.writer.write(piece)
            await self.writer.drain()

    async def until_gone(self) -> None:
        """Returns once the relay has closed the connection."""
        async with asyncio.timeout(TIMEOUT):
            with suppress(OSError):
                while await self.reader.read(65536):
                    pass
        self.gone.set()

    def reset(self) -> None:
        """Ends the connection as a crash does: by a reset, not by an end of the stream."""
        self.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()


Script = Callable[[Call], Awaitable[None]]


class ScriptedUpstream:
    """A server that runs a script for each request of a connection; ``calls`` has the requests.

    ``early``: as soon as there is a head, the body not yet read.
    """

    def __init__(self, script: Script, *, early: bool = False) -> None:
        self.script, self.early = script, early
        self.calls: list[Call] = []
        self.connections = 0
        self.url = ""
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def connected(self) -> int:
        """Connections that are open."""
        return len(self._tasks)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        try:
            # asyncio complains about a connection whose task was cancelled.
            with suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
                while not writer.is_closing():
                    head = await reader.readuntil(b"\r\n\r\n")
                    call = Call(head, reader, writer)
                    self.calls.append(call)
                    call.body = b"" if self.early else await _body(call)
                    await self.script(call)
        finally:
            writer.close()

    async def end(self) -> None:
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


async def _body(call: Call) -> bytes:
    if call.header("transfer-encoding") == "chunked":
        body = b""
        while size := int(await call.reader.readline(), 16):
            body += await call.reader.readexactly(size)
            await call.reader.readline()
        await call.reader.readline()
        return body
    return await call.reader.readexactly(int(call.header("content-length") or 0))


@asynccontextmanager
async def scripted(
    script: Script, *, early: bool = False, tls: ssl.SSLContext | None = None
) -> AsyncIterator[ScriptedUpstream]:
    """An upstream on a free loopback port."""
    upstream = ScriptedUpstream(script, early=early)
    server = await asyncio.start_server(upstream.serve, "127.0.0.1", 0, ssl=tls)
    upstream.url = f"{'https' if tls else 'http'}://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield upstream
    finally:
        server.close()
        await upstream.end()


def answering(answer: bytes) -> Script:
    """A script that sends these bytes to every request."""

    async def script(call: Call) -> None:
        await call.send(answer)

    return script


def ok(body: bytes = b"{}", *headers: str, status: str = "200 OK") -> bytes:
    """An answer with a length."""
    lines = [f"HTTP/1.1 {status}", *headers, f"Content-Length: {len(body)}", "", ""]
    return "\r\n".join(lines).encode("latin-1") + body


def chunks(*pieces: bytes, end: bool = True) -> bytes:
    """These pieces in chunked coding."""
    return b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces) + (b"0\r\n\r\n" if end else b"")
