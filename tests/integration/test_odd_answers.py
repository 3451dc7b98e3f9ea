"""Answers and requests whose framing or coding is odd, between a client and an upstream. A whole relay."""

from __future__ import annotations

import asyncio
import gzip
import json
import zlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from relay.app.relay import Relay
from tests.services.in_process import running
from tests.services.raw_http import ask, get, post, wire
from tests.services.relay import TOKEN
from tests.services.scripted_upstream import Call, ScriptedUpstream, answering, chunks, ok, scripted

TAKEN = b'{"task_id":"t1"}'
CHAT = b'{"id":"c","model":"m","choices":[{"index":0,"message":{"content":"hi"},"finish_reason":"stop"}]}'
FRAMES = b'data: {"choices":[{"index":0,"delta":{"content":"hi"},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n'
DONE = b'{"task":{"task_id":"t1","status":"TASK_STATUS_SUCCEED"}}'


@asynccontextmanager
async def between(tmp_path: Path, answer: bytes, **sections: Any) -> AsyncIterator[tuple[Relay, ScriptedUpstream]]:
    """A relay in front of an upstream that sends these bytes to every request."""
    async with (
        scripted(answering(answer)) as upstream,
        running(tmp_path, upstream={"base_url": upstream.url}, **sections) as relay,
    ):
        yield relay, upstream


async def until(relay: Relay, kind: str) -> dict[str, Any]:
    """The data of the first event of a type."""
    async with asyncio.timeout(10):
        while True:
            for entry in await relay.journal.events.read(0, 100):
                if entry.event.type == kind:
                    data: dict[str, Any] = json.loads(entry.event.data)
                    return data
            await asyncio.sleep(0.02)


@pytest.mark.parametrize(("pack", "name"), [(gzip.compress, "gzip"), (zlib.compress, "deflate")])
async def test_a_compressed_answer_is_tracked_and_goes_on_as_it_came(tmp_path: Path, pack: Any, name: str) -> None:
    """The task of a submission would be forgotten where the upstream compresses in spite of what is asked (P7)."""
    coding, packed = f"Content-Encoding: {name}", pack(TAKEN)
    async with between(tmp_path, ok(packed, coding)) as (relay, upstream):
        answer = await ask(relay.url, post("/v3/async/txt2img", b"{}"))
        assert (answer.body, answer.headers["content-encoding"]) == (packed, name)
        assert upstream.calls[0].header("accept-encoding") == "identity"
        assert (await until(relay, "relay.task.submitted"))["task_id"] == "t1"
        upstream.script = answering(ok(pack(DONE), coding))
        await ask(relay.url, get("/v3/async/task-result?task_id=t1"), "GET")
        assert (await until(relay, "relay.task.succeeded"))["observed_via"] == "poll"


async def test_a_poll_reads_a_compressed_answer(tmp_path: Path) -> None:
    """A task whose webhook is lost would never end, and be given up (P7)."""
    polling = {"enabled": True, "first_after": 0.05, "every": 0.05}
    async with between(tmp_path, ok(TAKEN), reconcile=polling) as (relay, upstream):
        await ask(relay.url, post("/v3/async/txt2img", b"{}"))
        upstream.script = answering(ok(gzip.compress(DONE), "Content-Encoding: gzip"))
        assert (await until(relay, "relay.task.succeeded"))["observed_via"] == "poll"


@pytest.mark.parametrize(("body", "kind"), [(CHAT, "application/json"), (FRAMES, "text/event-stream")])
async def test_a_compressed_chat_is_read_and_goes_on_as_it_came(tmp_path: Path, body: bytes, kind: str) -> None:
    """What was said would be missing in the chat's event, and its outcome be guessed (P6)."""
    packed = gzip.compress(body)
    sent = ok(packed, f"Content-Type: {kind}", "Content-Encoding: gzip")

    async def in_pieces(call: Call) -> None:
        await call.send(*(sent[at : at + 7] for at in range(0, len(sent), 7)))

    async with between(tmp_path, b"") as (relay, upstream):
        upstream.script = in_pieces
        answer = await ask(relay.url, post("/openai/v1/chat/completions", b'{"model":"m"}'))
        assert (answer.body, answer.headers["content-encoding"]) == (packed, "gzip")
        said = await until(relay, "relay.chat.completed")
        assert said["choices"][0]["content"] == "hi"


async def test_a_compressed_bomb_costs_no_memory(tmp_path: Path) -> None:
    """A hostile or broken upstream could fill the memory with one small answer."""
    bomb = gzip.compress(b'{"task_id":"t1","x":"' + b"a" * (32 << 20) + b'"}')
    async with between(tmp_path, ok(bomb, "Content-Encoding: gzip")) as (relay, _):
        assert (await ask(relay.url, post("/v3/async/txt2img", b"{}"))).body == bomb
        assert await relay.journal.events.read(0, 10) == []
        await ask(relay.url, post("/openai/v1/chat/completions", b'{"model":"m"}'))
        async with asyncio.timeout(10):
            while len(await relay.journal.events.read(0, 10)) < 2:
                await asyncio.sleep(0.02)
        assert sum(len(entry.event.data) for entry in await relay.journal.events.read(0, 10)) < 100_000


async def test_a_secret_does_not_hide_behind_a_coding(tmp_path: Path) -> None:
    """The webhook's token would be in the answer to everyone who polls."""
    shown = json.dumps({"task": {"task_id": "t1"}, "extra": {"webhook": {"url": f"https://x/{TOKEN}"}}}).encode()
    async with between(tmp_path, ok(gzip.compress(shown), "Content-Encoding: gzip")) as (relay, _):
        answer = await ask(relay.url, get("/v3/async/task-result?task_id=t1"), "GET")
        assert "content-encoding" not in answer.headers
        assert answer.body == shown.replace(TOKEN.encode(), b"*" * len(TOKEN))


ROUTES = [("/openai/v1/chat/completions", b'{"model":"m"}'), ("/v3/async/txt2img", b"{}"), ("/openai/v1/x", b"{}")]


@pytest.mark.parametrize(("path", "body"), ROUTES)
@pytest.mark.parametrize("status", ["000 Odd", "099 Odd", "01 Odd"])
async def test_an_invalid_status_is_not_an_interim_answer(tmp_path: Path, path: str, body: bytes, status: str) -> None:
    """What follows it would be taken for the answer."""
    sent = f"HTTP/1.1 {status}\r\n\r\n".encode() + ok(TAKEN)
    async with between(tmp_path, sent) as (relay, _):
        assert (await ask(relay.url, post(path, body))).status == 502


@pytest.mark.parametrize(("path", "body"), ROUTES)
async def test_an_answer_has_one_length_or_none(tmp_path: Path, path: str, body: bytes) -> None:
    """A proxy in front could read two lengths as two answers, or wait for the body of a 204."""
    twice = ok(TAKEN, f"Content-Length: {len(TAKEN)}")
    async with between(tmp_path, twice) as (relay, upstream), wire(relay.url) as client:
        await client.send(post(path, body))
        head = await client.reader.readuntil(b"\r\n\r\n")
        assert head.lower().count(b"content-length:") == 1
        assert await client.reader.readexactly(len(TAKEN)) == TAKEN
        upstream.script = answering(b"HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n")
        await client.send(post(path, body))
        assert b"content-length" not in (await client.reader.readuntil(b"\r\n\r\n")).lower()


@pytest.mark.parametrize("path", [*(path for path, _ in ROUTES), f"/webhooks/novita/{TOKEN}"])
@pytest.mark.parametrize("coding", ["gzip, chunked", "identity, chunked"])
async def test_a_transfer_coding_that_is_not_known_is_refused(tmp_path: Path, path: str, coding: str) -> None:
    """Compressed bytes would go on as content, under a coding that says nothing of it."""
    packed = gzip.compress(b"{}")
    head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: {coding}\r\n\r\n".encode()
    async with between(tmp_path, ok(TAKEN)) as (relay, upstream):
        answer = await ask(relay.url, head + chunks(packed))
        assert answer.status == 501
        assert upstream.calls == []
