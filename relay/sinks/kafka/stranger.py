"""Recognizes a port that is not Kafka's. aiokafka would wait for an answer of the right form until its time is over.

What is asked is Kafka's own first question (ApiVersions, https://kafka.apache.org/protocol#The_Messages_ApiVersions),
with a client id that ends a line, so that servers of text protocols answer, too.
"""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Sequence
from contextlib import suppress

from relay.core.sink import SinkUnavailable

_CORRELATION = b"rely"
_CLIENT_ID = b"\r\n\r\n"
_BODY = struct.pack(">hh", 18, 0) + _CORRELATION + struct.pack(">h", len(_CLIENT_ID)) + _CLIENT_ID
_QUESTION = struct.pack(">i", len(_BODY)) + _BODY
_TLS_ALERT = b"\x15\x03"


async def stranger(servers: Sequence[tuple[str, int]]) -> SinkUnavailable | None:
    """What the first server that answers otherwise than Kafka is; ``None``: none of them does.

    It waits for as long as a server says nothing, which may be a broker that is slow: the caller bounds it.
    """
    for host, port in servers:
        with suppress(OSError):
            if (found := await _look_at(host, port)) is not None:
                return found
    return None


async def _look_at(host: str, port: int) -> SinkUnavailable | None:
    reader, writer = await asyncio.open_connection(host, port)
    try:
        writer.write(_QUESTION)
        answer = await reader.read(8)
    finally:
        writer.transport.abort()
    return judge(answer, f"{host}:{port}")


def judge(answer: bytes, server: str) -> SinkUnavailable | None:
    """What the first bytes of an answer show; ``None``: nothing against Kafka."""
    if not answer or answer[4:8] == _CORRELATION:
        return None
    if answer.startswith(_TLS_ALERT):
        hint = "Set security_protocol to SSL or SASL_SSL, or name the plain port in bootstrap_servers."
        return SinkUnavailable("tls_failed", f"{server} wants TLS.", hint=hint)
    hint = "Which service listens there? Name Kafka's port in bootstrap_servers."
    return SinkUnavailable("not_kafka", f"{server} answers, but not as Kafka does.", hint=hint)
