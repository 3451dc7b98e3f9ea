"""Answers that no upstream should give."""

from __future__ import annotations

from typing import Final

_OK: Final = b"HTTP/1.1 200 OK\r\n"
_JSON: Final = _OK + b"Content-Type: application/json\r\n"
_SSE: Final = _OK + b"Content-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"


def _chunk(content: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(content), content)


def _sized(body: bytes) -> bytes:
    return _JSON + b"Content-Length: %d\r\n\r\n" % len(body) + body


ANSWERS: Final[dict[str, bytes]] = {
    # no HTTP, or half of it
    "nothing": b"",
    "rubbish": b"hello\r\n\r\n",
    "zeros": b"\0" * 1000,
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    "half a status line": b"HTTP/1.1 20",
    "half a head": _OK + b"X-A: b\r\n",
    "HTTP/2.0": b"HTTP/2.0 200 OK\r\n\r\n",
    "status of two digits": b"HTTP/1.1 20 OK\r\n\r\n",
    "status 000": b"HTTP/1.1 000 OK\r\nContent-Length: 0\r\n\r\n",
    "status 999": b"HTTP/1.1 999 OK\r\nContent-Length: 2\r\n\r\n{}",
    "101 unasked": b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n",
    "100 without end": b"HTTP/1.1 100 Continue\r\n\r\n" * 5000,
    "102 then 200": b"HTTP/1.1 102 Processing\r\n\r\n" + _sized(b"{}"),
    "a head of 1 MiB": _OK + b"X-A: b\r\n" * 130_000 + b"\r\n",
    "a field of 1 MiB": _OK + b"X-A: " + b"b" * (1 << 20) + b"\r\n\r\n",
    "a space before the colon": _OK + b"Content-Length : 2\r\n\r\n{}",
    "folded": _OK + b"X-A: b\r\n c\r\nContent-Length: 2\r\n\r\n{}",
    "zero in a field": _OK + b"X-A: b\0c\r\nContent-Length: 2\r\n\r\n{}",
    "no UTF-8": _OK + b"X-A: \xff\xfe\r\nContent-Length: 2\r\n\r\n\xff\xfe",
    # framing
    "two lengths": _OK + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}",
    "same length twice": _OK + b"Content-Length: 2\r\nContent-Length: 2\r\n\r\n{}",
    "length and chunked": _OK
    + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n"
    + _chunk(b"{}")
    + b"0\r\n\r\n",
    "negative length": _OK + b"Content-Length: -2\r\n\r\n{}",
    "length of 30 digits": _OK + b"Content-Length: " + b"9" * 30 + b"\r\n\r\n{}",
    "gzip, chunked": _OK + b"Transfer-Encoding: gzip, chunked\r\n\r\n" + _chunk(b"{}") + b"0\r\n\r\n",
    "less than its length": _JSON + b'Content-Length: 100\r\n\r\n{"a":',
    "more than its length": _sized(b"{}") + b"{}" * 1000,
    "a second answer": _sized(b"{}") * 2,
    "chunk of -1": _OK + b"Transfer-Encoding: chunked\r\n\r\n-1\r\n",
    "chunk longer than it says": _OK + b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}xxxx\r\n0\r\n\r\n",
    "chunk beyond 64 bits": _OK + b"Transfer-Encoding: chunked\r\n\r\n" + b"f" * 20 + b"\r\n",
    "endless chunk extension": _OK + b"Transfer-Encoding: chunked\r\n\r\n2;" + b"x" * 100_000,
    "endless trailer": _OK + b"Transfer-Encoding: chunked\r\n\r\n0\r\n" + b"X-A: b\r\n" * 20_000,
    "204 with a body": b"HTTP/1.1 204 No Content\r\nContent-Length: 2\r\n\r\n{}",
    "304 with a body": b"HTTP/1.1 304 Not Modified\r\nContent-Length: 2\r\n\r\n{}",
    # content
    "4 MiB of brackets": _sized(b"[" + b"[]," * (1 << 20) + b"[]]"),
    "objects without end": _sized(b'{"a":' * 500_000),
    "4 MiB of spaces": _sized(b" " * (4 << 20)),
    "a task id of 1 MiB": _sized(b'{"task_id":"' + b"x" * (1 << 20) + b'"}'),
    "gzip that is none": _JSON + b"Content-Encoding: gzip\r\nContent-Length: 2\r\n\r\n{}",
    "a redirection": b"HTTP/1.1 302 Found\r\nLocation: http://elsewhere.test/\r\nContent-Length: 0\r\n\r\n",
    "events without an end": _SSE + _chunk(b"data: " + b"x" * (3 << 20)) + b"0\r\n\r\n",
    "an event of brackets": _SSE + _chunk(b"data: [" + b"[]," * 300_000 + b"[]]\n\n") + b"0\r\n\r\n",
    "20,000 empty events": _SSE + _chunk(b"data:\n\n" * 20_000) + b"0\r\n\r\n",
    "20,000 lines of one event": _SSE + _chunk(b"data: x\n" * 20_000 + b"\n") + b"0\r\n\r\n",
    "20,000 choices": _SSE
    + _chunk(b'data: {"choices":[' + b",".join(b'{"index":%d,"delta":{}}' % n for n in range(20_000)) + b"]}\n\n")
    + b"0\r\n\r\n",
    "an index of 30 digits": _SSE
    + _chunk(b'data: {"choices":[{"index":' + b"9" * 30 + b',"delta":{"content":"x"}}]}\n\n')
    + b"0\r\n\r\n",
}
