"""A client of the chat route as bytes on a socket: it reads, reads slowly, or leaves, and knows when it did."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlsplit

import orjson

from relay.apis import apis

PATH = "/openai/v1/chat/completions"
BODY: Mapping[str, Any] = {
    "model": "deepseek/deepseek-v3.1",
    "messages": [{"role": "user", "content": "fly a kite"}],
    "stream": True,
    "stream_options": {"include_usage": True},
}


def path_of(api: str) -> str:
    """Where an API of conversations is."""
    return f"{apis()[api].prefixes[0]}v1{apis()[api].route}"


def body_of(api: str) -> Mapping[str, Any]:
    """A request for a stream of this API."""
    if api == "chat_completions":
        return BODY
    asked = {"completions": "prompt", "responses": "input"}.get(api, "messages")
    said = BODY["messages"] if asked == "messages" else "fly a kite"
    limit = {"max_tokens": 4096} if api == "messages" else {}
    return {"model": BODY["model"], "stream": True, asked: said, **limit}


TIMEOUT = 30.0
"""Seconds that any step here waits at most."""


class Broken(Exception):
    """The connection ended before the body did."""


class ChatClient:
    """One request on a connection of its own. ``headers`` (names in lower case) and ``status`` come with ``head``."""

    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock
        self._buffer = bytearray()
        self.status = 0
        self.headers: dict[str, str] = {}
        self.body = bytearray()
        self.left_at: float | None = None
        """Epoch milliseconds."""

    @property
    def chat_id(self) -> str:
        """The relay's name for the stream."""
        return self.headers["x-relay-chat-id"]

    async def ask(self, headers: Mapping[str, str], body: Mapping[str, Any] = BODY, path: str = PATH) -> None:
        """Sends a request."""
        raw = orjson.dumps(body)
        fixed = {"Host": "127.0.0.1", "Content-Type": "application/json", "Content-Length": str(len(raw))}
        lines = [f"{name}: {value}" for name, value in {**fixed, **headers}.items()]
        head = "\r\n".join([f"POST {path} HTTP/1.1", *lines, "", ""]).encode()
        async with asyncio.timeout(TIMEOUT):
            await asyncio.get_running_loop().sock_sendall(self._socket, head + raw)

    async def head(self) -> None:
        """Reads the status line and the headers. Raises ``Broken``."""
        raw = await self._until(b"\r\n\r\n")
        first, *lines = raw.decode("latin-1").rstrip("\r\n").split("\r\n")
        self.status = int(first.split(" ")[1])
        self.headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}

    async def pieces(self) -> AsyncIterator[bytes]:
        """The chunks of the body as they come, to its end; ``body`` collects them. Raises ``Broken``."""
        if "content-length" in self.headers:
            yield self._noted(await self._take(int(self.headers["content-length"])))
            return
        while length := int(await self._until(b"\r\n"), 16):
            piece = await self._take(length + 2)
            yield self._noted(piece[:length])
        await self._take(2)

    async def rest(self) -> bytes:
        """The whole body. Raises ``Broken``; what came before that is in ``body``."""
        async for _ in self.pieces():
            pass
        return bytes(self.body)

    async def at_most(self, rate: int, until: asyncio.Event) -> None:
        """Reads ``rate`` bytes a second from the connection, whatever they are, until the event."""
        loop = asyncio.get_running_loop()
        while not until.is_set():
            self._buffer += await loop.sock_recv(self._socket, max(1, rate // 10))
            await asyncio.sleep(0.1)

    def leave(self) -> None:
        """Hangs up, at ``left_at``."""
        self.left_at = time.time() * 1000
        self._socket.close()

    def _noted(self, piece: bytes) -> bytes:
        self.body += piece
        return piece

    async def _until(self, end: bytes) -> bytes:
        while (place := self._buffer.find(end)) < 0:
            await self._more()
        return await self._take(place + len(end))

    async def _take(self, length: int) -> bytes:
        while len(self._buffer) < length:
            await self._more()
        taken = bytes(self._buffer[:length])
        del self._buffer[:length]
        return taken

    async def _more(self) -> None:
        try:
            async with asyncio.timeout(TIMEOUT):
                data = await asyncio.get_running_loop().sock_recv(self._socket, 65536)
        except ConnectionError as error:
            raise Broken(type(error).__name__) from error
        if not data:
            raise Broken("end of file")
        self._buffer += data


@asynccontextmanager
async def chat_client(url: str, *, receive_buffer: int | None = None) -> AsyncIterator[ChatClient]:
    """A client connected to the host and port of ``url``; ``receive_buffer`` bytes in the kernel, if given."""
    address = urlsplit(url)
    sock = socket.socket()
    sock.setblocking(False)
    if receive_buffer is not None:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    try:
        async with asyncio.timeout(TIMEOUT):
            await asyncio.get_running_loop().sock_connect(sock, (address.hostname, address.port))
        yield ChatClient(sock)
    finally:
        sock.close()
