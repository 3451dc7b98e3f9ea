"""HTTP by hand: requests that no client library would send, and answers read as bytes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import orjson

TIMEOUT = 30.0
"""Seconds that anything here waits at most."""


@dataclass(frozen=True, slots=True)
class Answer:
    """One response. Header names are in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body as JSON."""
        return orjson.loads(self.body)

    @property
    def code(self) -> str:
        """The code of a problem document; fails unless the answer is a whole one."""
        assert self.headers["content-type"] == "application/problem+json", self
        problem = self.json
        assert problem["status"] == self.status
        assert problem["hint"]
        assert problem["title"]
        code: str = problem["code"]
        assert problem["type"] == f"urn:relay:problem:{code}"
        return code


class Wire:
    """One connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def send(self, data: bytes) -> None:
        """Sends these bytes."""
        self.writer.write(data)
        async with asyncio.timeout(TIMEOUT):
            await self.writer.drain()

    async def answer(self, method: str = "POST") -> Answer:
        """Reads one response; ``method`` is that of the request, since an answer to HEAD has no body."""
        async with asyncio.timeout(TIMEOUT):
            head = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            first, *lines = head.rstrip("\r\n").split("\r\n")
            headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
            length = 0 if method == "HEAD" else int(headers.get("content-length", "0"))
            return Answer(int(first.split(" ")[1]), headers, await self.reader.readexactly(length))

    async def line(self) -> bytes:
        """Reads one line."""
        async with asyncio.timeout(TIMEOUT):
            return await self.reader.readline()

    async def rest(self) -> bytes:
        """Reads until the peer closes; a reset fails."""
        async with asyncio.timeout(TIMEOUT):
            return await self.reader.read()


@asynccontextmanager
async def wire(url: str) -> AsyncIterator[Wire]:
    """A connection to the host and port of ``url``."""
    address = urlsplit(url)
    async with asyncio.timeout(TIMEOUT):
        reader, writer = await asyncio.open_connection(address.hostname, address.port)
    try:
        yield Wire(reader, writer)
    finally:
        writer.close()


async def ask(url: str, data: bytes, method: str = "POST") -> Answer:
    """One request on a connection of its own; answers the response."""
    async with wire(url) as connection:
        await connection.send(data)
        return await connection.answer(method)


def post(path: str, body: bytes = b"", *headers: str, host: str = "127.0.0.1", method: str = "POST") -> bytes:
    """A well-formed request with a ``Content-Length``."""
    lines = [f"{method} {path} HTTP/1.1", f"Host: {host}", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body


def get(path: str, *headers: str, host: str = "127.0.0.1", method: str = "GET") -> bytes:
    """A request without a body."""
    return "\r\n".join([f"{method} {path} HTTP/1.1", f"Host: {host}", *headers, "", ""]).encode("latin-1")


def chunked(path: str, *chunks: bytes, host: str = "127.0.0.1") -> bytes:
    """A POST whose body comes in chunks."""
    head = f"POST {path} HTTP/1.1\r\nHost: {host}\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
    return head + b"".join(b"%x\r\n%s\r\n" % (len(chunk), chunk) for chunk in chunks) + b"0\r\n\r\n"
