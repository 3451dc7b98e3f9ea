"""The upstream of ``bench/chat.py``: as little as answers a chat, so that it is not what is measured.

``python -m bench._chat_upstream PORT CORE``. ``POST ...?frames=200`` sends the frames at once, each in a ``send`` of
its own; ``?frames=200&pace=50`` one every 50 ms, each with the clock's reading (``time.monotonic_ns``) in its text.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import socket
import sys
import time

HEAD = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-cache\r\n"
    b"Transfer-Encoding: chunked\r\n\r\n"
)
_LENGTH = re.compile(rb"\r\n[Cc]ontent-[Ll]ength: *(\d+)")
_QUERY = re.compile(rb"[?&]frames=(\d+)(?:&pace=(\d+))?")
_MARK = "_" * 16


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def frame(text: str, finish: str | None = None) -> bytes:
    """A frame of the size and shape that Novita's have."""
    chunk = {
        "id": "chatcmpl-0123456789abcdef0123456789abcdef",
        "object": "chat.completion.chunk",
        "created": 1_700_000_000,
        "model": "deepseek/deepseek-v3",
        "choices": [{"index": 0, "delta": {"content": text}, "finish_reason": finish, "content_filter_results": {}}],
        "system_fingerprint": "",
    }
    return b"data: " + json.dumps(chunk, separators=(",", ":")).encode() + b"\n\n"


FRAME = _chunk(frame(" token"))
MARKED = _chunk(frame(_MARK))
_AT = MARKED.index(_MARK.encode())
LAST = _chunk(frame("", "stop"))
END = _chunk(b"data: [DONE]\n\n") + b"0\r\n\r\n"


class Connection(asyncio.Protocol):
    """One connection: requests with a length, one after the other."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._held = b""
        self._left = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self._socket = socket.socket(fileno=os.dup(transport.get_extra_info("socket").fileno()))
        self._socket.setblocking(False)

    def connection_lost(self, exc: BaseException | None) -> None:
        self._left = 0
        self._socket.close()

    def data_received(self, data: bytes) -> None:
        self._held += data
        end = self._held.find(b"\r\n\r\n")
        if end < 0:
            return
        length = int((_LENGTH.search(self._held, 0, end + 2) or [b"", b"0"])[1])
        if len(self._held) < end + 4 + length:
            return
        query = _QUERY.search(self._held, 0, end)
        frames, pace = query.groups() if query else (b"200", None)
        self._held = self._held[end + 4 + length :]
        self._socket.send(HEAD)
        if pace is None:
            self._at_once(int(frames))
        else:
            self._left = int(frames)
            self._paced(int(pace) / 1000, self._loop.time())

    def _at_once(self, frames: int) -> None:
        send = self._socket.send
        try:
            for _ in range(frames - 2):
                send(FRAME)
            send(LAST)
            send(END)
        except BlockingIOError:
            raise SystemExit("the socket's buffer is full: fewer or smaller frames") from None

    def _paced(self, pace: float, due: float) -> None:
        if not self._left:
            return
        self._left -= 1
        if self._left == 0:
            self._socket.send(LAST + END)
            return
        self._socket.send(MARKED[:_AT] + b"%016d" % time.monotonic_ns() + MARKED[_AT + 16 :])
        self._loop.call_at(due + pace, self._paced, pace, due + pace)


async def serve(port: int) -> None:
    """Until it is killed."""
    server = await asyncio.get_running_loop().create_server(Connection, "127.0.0.1", port, backlog=2048)
    await server.serve_forever()


if __name__ == "__main__":
    import uvloop

    os.sched_setaffinity(0, {int(sys.argv[2])})
    uvloop.run(serve(int(sys.argv[1])))
