"""Requests that no client library sends. ``@`` stands for a route's path; ``/smuggled`` must never be served."""

from __future__ import annotations

from typing import Final

_SMUGGLED: Final = b"POST /openai/v1/smuggled HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 0\r\n\r\n"


def _post(*lines: bytes, body: bytes = b"", host: bytes = b"Host: 127.0.0.1") -> bytes:
    return b"\r\n".join([b"POST @ HTTP/1.1", host, *lines, b"", b""]) + body


_CHUNKED: Final = b"Transfer-Encoding: chunked"

REQUESTS: Final[dict[str, bytes]] = {
    # framing that two servers may read in two ways (RFC 9112, 6 and 7)
    "length and chunked": _post(b"Content-Length: 5", _CHUNKED, body=b"0\r\n\r\n" + _SMUGGLED),
    "chunked and length": _post(_CHUNKED, b"Content-Length: 5", body=b"0\r\n\r\n" + _SMUGGLED),
    "two lengths": _post(b"Content-Length: 0", b"Content-Length: 70", body=_SMUGGLED),
    "two lengths in one": _post(b"Content-Length: 0, 70", body=_SMUGGLED),
    "same length twice": _post(b"Content-Length: 2", b"Content-Length: 2", body=b"{}"),
    "negative length": _post(b"Content-Length: -1"),
    "length with sign": _post(b"Content-Length: +2", body=b"{}"),
    "length in hex": _post(b"Content-Length: 0x2", body=b"{}"),
    "length of 30 digits": _post(b"Content-Length: " + b"9" * 30),
    "length with space": _post(b"Content-Length: 1 0", body=b"{}"),
    "empty length": _post(b"Content-Length:", body=b"{}"),
    "gzip, chunked": _post(b"Transfer-Encoding: gzip, chunked", body=b"2\r\n{}\r\n0\r\n\r\n"),
    "chunked, identity": _post(b"Transfer-Encoding: chunked, identity", body=b"0\r\n\r\n" + _SMUGGLED),
    "chunked twice": _post(_CHUNKED, _CHUNKED, body=b"0\r\n\r\n" + _SMUGGLED),
    "xchunked": _post(b"Transfer-Encoding: xchunked", body=b"0\r\n\r\n" + _SMUGGLED),
    "chunked with tab": _post(b"Transfer-Encoding:\tchunked", body=b"0\r\n\r\n"),
    "chunked with space before": _post(b"Transfer-Encoding : chunked", body=b"0\r\n\r\n" + _SMUGGLED),
    "folded": _post(b"X-A: b\r\n c: d", b"Content-Length: 2", body=b"{}"),
    "line break in a value": _post(b"X-A: b\nContent-Length: 0", body=_SMUGGLED),
    "return in a value": _post(b"X-A: b\rContent-Length: 0", body=_SMUGGLED),
    "zero in a value": _post(b"X-A: b\0c", b"Content-Length: 2", body=b"{}"),
    "no colon": _post(b"nonsense", b"Content-Length: 2", body=b"{}"),
    "empty name": _post(b": b", b"Content-Length: 2", body=b"{}"),
    "chunk of -1": _post(_CHUNKED, body=b"-1\r\n\r\n0\r\n\r\n"),
    "chunk beyond 64 bits": _post(_CHUNKED, body=b"1" + b"0" * 20 + b"\r\n"),
    "chunk too long": _post(_CHUNKED, body=b"2\r\n{}x\r\n0\r\n\r\n"),
    "endless extension": _post(_CHUNKED, body=b"2;" + b"x" * 200_000),
    "endless trailer": _post(_CHUNKED, body=b"2\r\n{}\r\n0\r\n" + b"X-A: b\r\n" * 20_000),
    "bare line feeds": b"POST @ HTTP/1.1\nHost: 127.0.0.1\nContent-Length: 2\n\n{}",
    # the head
    "no host": b"POST @ HTTP/1.1\r\nContent-Length: 2\r\n\r\n{}",
    "two hosts": _post(b"Host: y", b"Content-Length: 2", body=b"{}"),
    "HTTP/2 preface": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "HTTP/9.9": b"POST @ HTTP/9.9\r\nHost: 127.0.0.1\r\nContent-Length: 2\r\n\r\n{}",
    "HTTP/0.9": b"POST @\r\n",
    "TLS hello": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    "zeros": b"\0" * 1000,
    "empty lines": b"\r\n" * 100_000,
    "a long target": b"POST @" + b"a" * 100_000 + b" HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
    "a long name": _post(b"x" * 100_000 + b": y"),
    "a long value": _post(b"X: " + b"y" * 100_000),
    "1000 fields": _post(*(b"X-%d: y" % n for n in range(1000)), b"Content-Length: 2", body=b"{}"),
    "no UTF-8": _post(b"X-A: \xff\xfe", b"Content-Length: 2", body=b"\xff\xfe"),
    "absolute target": b"POST http://x@ HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 2\r\n\r\n{}",
    "target of another host": b"POST http://elsewhere.test@ HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 2\r\n\r\n{}",
    "CONNECT": b"CONNECT elsewhere.test:443 HTTP/1.1\r\nHost: elsewhere.test\r\n\r\n",
    "TRACE": b"TRACE @ HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
    "an upgrade": _post(b"Connection: Upgrade", b"Upgrade: websocket", b"Content-Length: 2", body=b"{}"),
    "h2c": _post(b"Connection: Upgrade, HTTP2-Settings", b"Upgrade: h2c", b"HTTP2-Settings: AAMA", body=b""),
    "a range of ranges": _post(b"Range: bytes=" + b"0-," * 2000, b"Content-Length: 2", body=b"{}"),
    "connection names the length": _post(b"Connection: Content-Length", b"Content-Length: 2", body=b"{}"),
    "pipelined": _post(b"Content-Length: 2", body=b"{}") * 50,
}
