"""The upstream of ``bench/chat.py``: as little as answers a chat, so that it is not what is measured.

``python -m bench._chat_upstream PORT CORE``. It answers each API of conversations in its own frames, by the end of the
path. ``POST ...?frames=200`` sends the frames at once, each in a ``send`` of
its own; ``?frames=200&pace=50`` one every 50 ms, each with the clock's reading (``time.monotonic_ns``) in its text;
``?frames=0`` the same answer as one document.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import socket
import sys
import time
from collections.abc import Callable
from typing import Any

HEAD = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-cache\r\n"
    b"Transfer-Encoding: chunked\r\n\r\n"
)
_LENGTH = re.compile(rb"\r\n[Cc]ontent-[Ll]ength: *(\d+)")
_QUERY = re.compile(rb"[?&]frames=(\d+)(?:&pace=(\d+))?")
_MARK = "_" * 16


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def _named(**event: Any) -> bytes:
    data = json.dumps(event, separators=(",", ":")).encode()
    return b"event: %b\ndata: %b\n\n" % (event["type"].encode(), data)


def _chat_completion(text: str, finish: str | None = None) -> bytes:
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


def _completion(text: str, finish: str | None = None) -> bytes:
    choice = {"index": 0, "text": text, "logprobs": None, "finish_reason": finish}
    chunk = {
        "id": "cmpl-0123456789abcdef0123456789abcdef",
        "object": "text_completion",
        "created": 1_700_000_000,
        "model": "deepseek/deepseek-v3",
        "choices": [choice],
    }
    return b"data: " + json.dumps(chunk, separators=(",", ":")).encode() + b"\n\n"


def _message(text: str, finish: str | None = None) -> bytes:
    if finish is not None:
        usage = {"output_tokens": 200}
        return _named(type="message_delta", delta={"stop_reason": "end_turn", "stop_sequence": None}, usage=usage)
    return _named(type="content_block_delta", index=0, delta={"type": "text_delta", "text": text})


def _response(text: str, finish: str | None = None) -> bytes:
    place = {"item_id": "msg_0123456789abcdef", "output_index": 0, "content_index": 0, "sequence_number": 7}
    if finish is not None:
        return _named(type="response.output_text.done", text=text, logprobs=[], **place)
    delta = {"delta": text, "logprobs": [], "obfuscation": "0123456789"}
    return _named(type="response.output_text.delta", **delta, **place)


_SAID = {"id": "msg_0123456789abcdef", "role": "assistant", "model": "deepseek/deepseek-v3", "content": []}
_RESPONSE = {"id": "resp_0123456789abcdef", "object": "response", "model": "deepseek/deepseek-v3", "output": []}
_ITEM = {"id": "msg_0123456789abcdef", "type": "message", "role": "assistant", "status": "in_progress", "content": []}


_TEXT = " token" * 200
_USED = {"prompt_tokens": 100, "completion_tokens": 200, "total_tokens": 300}
_SPENT = {"input_tokens": 100, "output_tokens": 200}


def _document(frame: bytes, **choice: Any) -> bytes:
    """A chunk's document, as an answer without a stream has it."""
    chunk = json.loads(frame.removeprefix(b"data: "))
    whole = {"index": 0, "finish_reason": "stop", **choice}
    return json.dumps(chunk | {"choices": [whole], "usage": _USED}, separators=(",", ":")).encode()


class Shape:
    """The frames of one API: what comes before the pieces, a piece, one with a mark, what comes after them.

    ``document``: the answer without a stream.
    """

    def __init__(self, frame: Callable[..., bytes], first: bytes, end: bytes, document: bytes) -> None:
        self.whole = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (
            len(document),
            document,
        )
        self.first = _chunk(first) if first else b""
        self.frame, self.marked = _chunk(frame(" token")), _chunk(frame(_MARK))
        self.at = self.marked.index(_MARK.encode())
        self.last, self.end = _chunk(frame("", "stop")), _chunk(end) + b"0\r\n\r\n"


SHAPES = {
    b"/chat/completions": Shape(
        _chat_completion,
        b"",
        b"data: [DONE]\n\n",
        _document(_chat_completion(""), message={"role": "assistant", "content": _TEXT}),
    ),
    b"/completions": Shape(_completion, b"", b"data: [DONE]\n\n", _document(_completion(""), text=_TEXT)),
    b"/messages": Shape(
        _message,
        _named(type="message_start", message=_SAID | {"type": "message", "usage": {"input_tokens": 9}})
        + _named(type="content_block_start", index=0, content_block={"type": "text", "text": ""}),
        _named(type="content_block_stop", index=0) + _named(type="message_stop"),
        json.dumps(
            _SAID
            | {
                "type": "message",
                "content": [{"type": "text", "text": _TEXT}],
                "stop_reason": "end_turn",
                "usage": _SPENT,
            }
        ).encode(),
    ),
    b"/responses": Shape(
        _response,
        _named(type="response.created", response=_RESPONSE | {"status": "in_progress"}, sequence_number=0)
        + _named(type="response.output_item.added", output_index=0, item=_ITEM, sequence_number=1),
        _named(type="response.completed", response=_RESPONSE | {"status": "completed"}, sequence_number=999),
        json.dumps(
            _RESPONSE
            | {
                "status": "completed",
                "output": [_ITEM | {"content": [{"type": "output_text", "text": _TEXT}]}],
                "usage": _SPENT,
            }
        ).encode(),
    ),
}
"""By how the path ends."""


def _shape(head: bytes) -> Shape:
    path = head.partition(b"?")[0]
    return next((shape for route, shape in SHAPES.items() if path.endswith(route)), SHAPES[b"/chat/completions"])


class Connection(asyncio.Protocol):
    """One connection: requests with a length, one after the other."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._held = b""
        self._left = 0
        self._shape = SHAPES[b"/chat/completions"]

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
        self._shape = _shape(self._held[:end])
        self._held = self._held[end + 4 + length :]
        if frames == b"0":
            self._socket.send(self._shape.whole)
            return
        self._socket.send(HEAD + self._shape.first)
        if pace is None:
            self._at_once(int(frames))
        else:
            self._left = int(frames)
            self._paced(int(pace) / 1000, self._loop.time())

    def _at_once(self, frames: int) -> None:
        send, shape = self._socket.send, self._shape
        try:
            for _ in range(frames - 2):
                send(shape.frame)
            send(shape.last)
            send(shape.end)
        except BlockingIOError:
            raise SystemExit("the socket's buffer is full: fewer or smaller frames") from None

    def _paced(self, pace: float, due: float) -> None:
        if not self._left:
            return
        self._left -= 1
        if self._left == 0:
            self._socket.send(self._shape.last + self._shape.end)
            return
        marked, at = self._shape.marked, self._shape.at
        self._socket.send(marked[:at] + b"%016d" % time.monotonic_ns() + marked[at + 16 :])
        self._loop.call_at(due + pace, self._paced, pace, due + pace)


async def serve(port: int) -> None:
    """Until it is killed."""
    server = await asyncio.get_running_loop().create_server(Connection, "127.0.0.1", port, backlog=2048)
    await server.serve_forever()


if __name__ == "__main__":
    import uvloop

    os.sched_setaffinity(0, {int(sys.argv[2])})
    uvloop.run(serve(int(sys.argv[1])))
