"""Routes beside the conversations: forwarded as they are, and not recorded. A whole relay."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.faults.harness.streams import TERMINAL, events_of
from tests.integration.test_odd_answers import between
from tests.services.in_process import running
from tests.services.raw_http import ask, post
from tests.services.scripted_upstream import Call, answering, ok, scripted

BODY = b'{ "model":"m",  "odd": "\\u00fc" }'
ROUTES = [
    "POST /anthropic/v1/messages/count_tokens",
    "POST /anthropic/v1/messages/batches",
    "GET /anthropic/v1/messages/batches/b1/results",
    "POST /anthropic/v1/messages/batches/b1/cancel",
    "GET /openai/v1/responses/r1?stream=true&starting_after=7",
    "GET /openai/v1/responses/r1/input_items?limit=2",
    "POST /openai/v1/responses/r1/cancel",
    "DELETE /openai/v1/responses/r1",
    "GET /openai/v1/chat/completions",
    "DELETE /openai/v1/chat/completions/c1",
    "POST /openai/v1/batches",
    "POST /openai/v1/embeddings",
    "POST /openai/v1/audio/speech",
]


@pytest.mark.parametrize("route", ROUTES)
async def test_a_route_beside_the_conversations_passes_untouched_and_unrecorded(tmp_path: Path, route: str) -> None:
    """A client that counts tokens, sends a batch or reads a stored response would get another answer, or be billed."""
    method, target = route.split(" ")
    body = BODY if method == "POST" else b""
    answered = b'event: x\r\ndata: {"type":"response.completed"}\r\n\r\n\x00\xff'
    sent = ok(answered, "Content-Type: application/x-odd", "X-Own: yes", status="207 Odd")
    async with between(tmp_path, sent) as (relay, upstream):
        answer = await ask(relay.url, post(target, body, "x-api-key: k", "Accept-Encoding: br", method=method), method)
        assert (answer.status, answer.headers["x-own"], answer.body) == (207, "yes", answered)
        assert "x-relay-chat-id" not in answer.headers
        [call] = upstream.calls
        assert (call.line, call.body) == (f"{method} {target} HTTP/1.1", body)
        assert (call.header("x-api-key"), call.header("accept-encoding")) == ("k", "br")
        await assert_one_chat_is_all_that_is_recorded(relay.url)


async def assert_one_chat_is_all_that_is_recorded(url: str) -> None:
    """What comes after it is recorded, so it would have been, too."""
    await ask(url, post("/openai/v1/chat/completions", BODY))
    async with asyncio.timeout(10):
        while not (ends := [each for each in await events_of(url) if each["type"] in TERMINAL]):
            await asyncio.sleep(0.02)
    assert len(ends) == 1


async def test_a_web_socket_is_not_opened(tmp_path: Path) -> None:
    """A conversation over a web socket would pass unseen, and its connection be held for as long as a client likes."""

    async def script(call: Call) -> None:
        upgraded = call.header("upgrade") or "websocket" in (call.header("connection") or "")
        await answering(b"HTTP/1.1 101 Switching\r\n\r\n" if upgraded else ok(b"{}", status="426 Upgrade Required"))(
            call
        )

    opening = ("Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: eHg=")
    async with scripted(script) as upstream, running(tmp_path, upstream={"base_url": upstream.url}) as relay:
        request = post("/openai/v1/realtime?model=m", b"", *opening, method="GET")
        assert (await ask(relay.url, request, "GET")).status == 426
