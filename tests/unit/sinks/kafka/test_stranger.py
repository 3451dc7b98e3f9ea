"""What the first bytes of a port say about it."""

from __future__ import annotations

import asyncio

import pytest

from relay.sinks.kafka.stranger import judge, stranger


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (b"HTTP/1.1", "not_kafka"),
        (b"-ERR unk", "not_kafka"),
        (b"\x15\x03\x03\x00\x02\x02\x32", "tls_failed"),
        (b"\x00\x00\x01\x10rely", None),
        (b"", None),
    ],
)
def test_what_is_not_kafka_is_recognized(answer: bytes, code: str | None) -> None:
    """An operator who named another service's port would wait half a minute, and read that Kafka is slow."""
    found = judge(answer, "x:9092")
    assert (found and found.code) == code


async def test_a_server_of_a_text_protocol_answers_and_is_named() -> None:
    """HTTP servers and Redis wait for the end of a line: without one they would never show that they are not Kafka."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        found = await stranger([("127.0.0.1", port)])
    assert found is not None
    assert found.message == f"127.0.0.1:{port} answers, but not as Kafka does."


async def test_silence_and_refusal_are_no_verdict() -> None:
    """A broker that is slow, or restarts, would be taken for another service."""

    async def keep_silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    async with await asyncio.start_server(keep_silent, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await stranger([("127.0.0.1", port)])
    assert await stranger([("127.0.0.1", port)]) is None
