"""relay behind nginx, which is configured as ``docs/how-to/hardening.md`` says."""

from __future__ import annotations

import asyncio
import io
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp

from relay.settings import Settings
from tests.docs.pages import pages
from tests.services.certificates import self_signed
from tests.services.in_process import PATH, running, task
from tests.services.nginx import Nginx
from tests.services.ports import free_port
from tests.services.relay import TOKEN
from tests.services.scripted_upstream import Call, scripted

KNOWN, STRANGER = "127.0.0.2", "127.0.0.3"
"""Addresses of this machine from which senders come: in ``allow_from``, and not."""

SECTIONS: dict[str, Any] = {
    "server": {
        "port": 0,
        "public_url": "https://relay.example.com",
        "trusted_proxies": ["127.0.0.1/32"],
        "api_tokens": ["an-api-token-0123456789abcdef"],
    },
    "webhooks": {"novita": {"tokens": [TOKEN], "allow_from": [f"{KNOWN}/32"]}},
}
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n"


def configuration() -> str:
    """What the page shows."""
    (page,) = (page for page in pages() if page.path == "docs/how-to/hardening.md")
    (block,) = (block for block in page.blocks if block.language == "nginx")
    return block.text


def here(text: str, folder: Path, relay: str, outside: int, inside: int) -> str:
    """The same with addresses and files of this machine."""
    cert, key = self_signed(folder)
    for theirs, ours in {
        "listen 443 ssl": f"listen 127.0.0.1:{outside} ssl",
        "listen 10.0.0.5:8443 ssl": f"listen 127.0.0.1:{inside} ssl",
        "/etc/nginx/relay.pem": str(cert),
        "/etc/nginx/relay.key": str(key),
        "127.0.0.1:8080": relay.removeprefix("http://"),
    }.items():
        assert theirs in text
        text = text.replace(theirs, ours)
    return text


@asynccontextmanager
async def sender(address: str) -> AsyncIterator[aiohttp.ClientSession]:
    """A client that comes from one address of this machine."""
    connector = aiohttp.TCPConnector(local_addr=(address, 0), ssl=False)
    async with aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(30)) as session:
        yield session


async def test_the_configuration_of_the_page_lets_in_what_it_says(tmp_path: Path) -> None:
    """A reader would copy a configuration that opens the console to the world, hides senders or buffers chats."""
    outside, inside = free_port(), free_port()
    world, office = f"https://127.0.0.1:{outside}", f"https://127.0.0.1:{inside}"
    first_seen = asyncio.Event()

    async def script(call: Call) -> None:
        await call.send(HEAD, b'data: {"choices":[]}\n\n')
        await first_seen.wait()
        await call.send(b"data: [DONE]\n\n")
        call.writer.close()

    async with (
        scripted(script) as upstream,
        running(tmp_path, upstream={"base_url": upstream.url}, **SECTIONS) as relay,
    ):
        site = here(configuration(), tmp_path / "tls", relay.url, outside, inside)
        async with (
            Nginx(tmp_path / "nginx", site=site, port=outside),
            sender(KNOWN) as known,
            sender(STRANGER) as other,
        ):
            assert await _status(known.post(world + PATH, data=task("t-1"))) == 200
            forged = {"X-Forwarded-For": KNOWN}
            assert await _status(other.post(world + PATH, data=task("t-2"), headers=forged)) == 403
            for size, status in ((1 << 20, 400), ((1 << 20) + 1, 413)):
                assert await _status(known.post(world + PATH, data=io.BytesIO(b" " * size))) == status
            for path in ("/", "/v1/status", "/openai/v1/models", "/v3/async/task-result", "/metrics"):
                assert await _status(known.get(world + path)) == 404, path
            for path in ("/", "/v1/status", "/webhooks/novita/x"):
                assert await _status(known.get(office + path)) == 404, path
            async with known.post(f"{office}/openai/v1/chat/completions", json={"model": "m", "stream": True}) as chat:
                assert b"choices" in await asyncio.wait_for(chat.content.readline(), 30), "the first piece did not wait"
                first_seen.set()
                assert b"[DONE]" in await chat.content.read()
        assert TOKEN not in (tmp_path / "nginx/access.log").read_text()


async def _status(answering: Any) -> int:
    async with answering as answer:
        status: int = answer.status
        return status


def test_nginx_waits_longer_than_relay() -> None:
    """nginx would cut a chat whose model is thinking, before relay does, and the answer would be paid for and lost."""
    reading, sending = (re.findall(rf"proxy_{what}_timeout (\d+)m;", configuration()) for what in ("read", "send"))
    assert [60 * int(minutes) > Settings().upstream.first_byte_timeout for minutes in reading] == [True]
    assert Settings().upstream.first_byte_timeout > Settings().upstream.idle_timeout
    assert [60 * int(minutes) > Settings().proxy.body_timeout for minutes in sending] == [True]


def test_nginx_takes_bodies_as_large_as_relay_does() -> None:
    """nginx would refuse chats with images, with a page of HTML that no client understands."""
    sizes = [int(size) << 20 for size in re.findall(r"client_max_body_size (\d+)m;", configuration())]
    assert sizes == [Settings().webhooks.max_body, Settings().proxy.max_body]
