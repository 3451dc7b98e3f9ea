"""An upstream that quotes what it was asked with, and a key that changes its address. Seen from outside."""

from __future__ import annotations

import asyncio
import json
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from tests.services.raw_http import Answer, ask, get
from tests.services.relay import TOKEN, RelayProcess
from tests.services.scripted_upstream import Call, Script, ScriptedUpstream, answering, chunks, ok, scripted

KEY, CLIENT = "the-key-of-the-upstream-0123456789", "the-key-of-the-client-0123456789abc"
API = "an-api-token-of-enough-length-012345"


def quoting(status: str = "401 Unauthorized", kind: str = "application/json", *, cut: bool = False) -> Script:
    """Answers with what it was asked with; ``cut``: in chunks that break in the middle of it."""

    async def script(call: Call) -> None:
        said = json.dumps({"code": 401, "message": f"bad key: {call.header('authorization')}, {TOKEN}"}).encode()
        if not cut:
            await call.send(ok(said, f"Content-Type: {kind}", status=status))
            return
        at = said.index(KEY.encode()) + 9
        head = f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
        await call.send(head, chunks(said[:at], end=False))
        await call.send(chunks(said[at:]))

    return script


class Quoted:
    """A relay in front of such an upstream."""

    def __init__(self, directory: Path, upstream: ScriptedUpstream) -> None:
        self.upstream = upstream
        self.relay = RelayProcess(
            directory,
            server={"api_tokens": [API]},
            upstream={"base_url": upstream.url, "api_key": KEY},
            proxy={"clients": {"web": {"key": CLIENT}}},
            log={"level": "debug"},
            reconcile={"enabled": False},
        )

    async def ask(self, method: str, path: str) -> Answer:
        """The answer without its framing."""
        auth = {"Authorization": f"Bearer {CLIENT}"}
        url = self.relay.url + path
        data = b'{"model":"m","messages":[]}' if method == "POST" else None
        async with aiohttp.ClientSession(headers=auth) as session, session.request(method, url, data=data) as response:
            return Answer(response.status, dict(response.headers), await response.read())

    async def everything(self, ended: str = "") -> str:
        """All that a reader of events, metrics and logs sees, once there is an event of the type ``ended``."""
        headers = f"Authorization: Bearer {API}"
        async with asyncio.timeout(10):
            events = await ask(self.relay.url, get("/v1/events?limit=1000", headers), "GET")
            while ended and ended not in events.body.decode():
                events = await ask(self.relay.url, get("/v1/events?limit=1000", headers), "GET")
        return events.body.decode() + await self.relay.exposition() + self.relay.log.read_text()


@pytest.fixture
async def quoted(tmp_path: Path) -> AsyncIterator[Quoted]:
    async with scripted(quoting()) as upstream:
        stage = Quoted(tmp_path / "relay", upstream)
        await stage.relay.start()
        yield stage
        stage.relay.kill()


ROUTES = [
    ("POST", "/openai/v1/chat/completions"),
    ("POST", "/openai/v1/embeddings"),
    ("GET", "/openai/v1/models"),
    ("POST", "/v3/async/txt2img"),
    ("GET", "/v3/async/task-result?task_id=x"),
    ("GET", "/v3/files/x"),
]


@pytest.mark.parametrize("cut", [False, True])
@pytest.mark.parametrize(("method", "path"), ROUTES)
async def test_a_key_that_the_upstream_quotes_is_shown_to_nobody(
    quoted: Quoted, method: str, path: str, cut: bool
) -> None:
    """Every client would learn the account's key from the first error, and every consumer of chat events (P8)."""
    quoted.upstream.script = quoting(cut=cut)
    answer = await quoted.ask(method, path)
    assert answer.status == 401
    assert answer.json["message"] == f"bad key: Bearer {'*' * len(KEY)}, {'*' * len(TOKEN)}"
    assert quoted.upstream.calls[0].header("authorization") == f"Bearer {KEY}"
    seen = await quoted.everything("relay.chat.failed" if "chat" in path else "")
    assert [secret for secret in (KEY, TOKEN, CLIENT, API) if secret in seen] == []


async def test_the_bytes_of_a_stream_stay_the_upstreams(quoted: Quoted) -> None:
    """What is a stream would be looked through, byte by byte, and no longer be what the upstream sent (P6)."""
    frame = b'data: {"choices":[{"delta":{"content":"%b"}}]}\n\ndata: [DONE]\n\n' % TOKEN.encode()
    quoted.upstream.script = answering(ok(frame, "Content-Type: text/event-stream"))
    assert (await quoted.ask("POST", "/openai/v1/chat/completions")).body == frame
    assert TOKEN not in await quoted.everything("relay.chat.completed")


async def test_a_new_key_waits_for_its_address(tmp_path: Path) -> None:
    """The key of the new provider would be sent to the old one, with the next request after the reload."""
    async with scripted(answering(ok())) as old, scripted(answering(ok())) as new:
        stage = Quoted(tmp_path / "relay", old)
        await stage.relay.start()
        try:
            config = json.loads(stage.relay.config.read_text())
            config["upstream"] |= {"base_url": new.url, "api_key": "the-key-of-the-other-provider"}
            stage.relay.config.write_text(json.dumps(config))
            assert stage.relay.process is not None
            stage.relay.process.send_signal(signal.SIGHUP)
            await stage.relay.until_logged("changes need a restart")
            assert '"keys":["upstream.base_url","upstream.api_key"]' in stage.relay.log.read_text()
            await stage.ask("POST", "/v3/async/txt2img")
            assert [call.header("authorization") for call in old.calls] == [f"Bearer {KEY}"]
            await stage.relay.stop()
            await stage.relay.start()
            await stage.ask("POST", "/v3/async/txt2img")
            assert [call.header("authorization") for call in new.calls] == ["Bearer the-key-of-the-other-provider"]
        finally:
            stage.relay.kill()
