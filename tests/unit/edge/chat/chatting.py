"""Chat completions between a client and a scripted upstream, with a real journal, without the app."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from relay.apis import apis
from relay.core.event import Event
from relay.edge.chat.admission import Chat
from relay.edge.chat.event_queue import ChatEventQueue
from relay.edge.http.bodies import BodyLimits
from relay.edge.http.listener import Listener
from relay.edge.http.server import Limits
from relay.edge.proxy.apis import Apis
from relay.edge.proxy.clients import Clients
from relay.edge.proxy.proxy import Proxy, ProxyRoutes
from relay.journal.journal import Journal, Policy
from relay.settings.model import ProxySettings, UpstreamSettings
from relay.telemetry.signals.chats import ChatSignals
from relay.telemetry.signals.http import HttpSignals
from relay.telemetry.telemetry import Telemetry
from relay.upstream import Upstream
from tests.services.raw_http import post
from tests.services.scripted_upstream import Call, Script, ScriptedUpstream, chunks, scripted
from tests.unit.edge.serving import opened

PATH = "/openai/v1/chat/completions"
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
DONE = b"data: [DONE]\n\n"
TERMINAL = ("relay.chat.completed", "relay.chat.failed", "relay.chat.cancelled")


def frame(content: str | None = None, finish: str | None = None, **more: Any) -> bytes:
    """One frame of a stream, as the upstream sends it."""
    delta = {} if content is None else {"content": content}
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    chunk = {"id": "c1", "object": "chat.completion.chunk", "created": 1, "model": "a/m", "choices": [choice], **more}
    return b"data: " + orjson.dumps(chunk) + b"\n\n"


def asking(model: str = "a/m", *headers: str, stream: bool = True, path: str = PATH) -> bytes:
    """A request for a chat completion."""
    body = orjson.dumps({"model": model, "messages": [{"role": "user", "content": "hi"}], "stream": stream})
    return post(path, body, "Content-Type: application/json", *headers)


def streaming(*frames: bytes) -> Script:
    """A script that streams these frames, each in a chunk and a write of its own."""

    async def script(call: Call) -> None:
        await call.send(HEAD, *(chunks(each, end=False) for each in frames), chunks())

    return script


async def until(condition: Callable[[], bool]) -> None:
    """Polls for what no event signals."""
    async with asyncio.timeout(5):
        while not condition():
            await asyncio.sleep(0.002)


@dataclass
class Chatting:
    """Chat being served."""

    url: str
    upstream: ScriptedUpstream
    chat: Chat
    queue: ChatEventQueue
    journal: Journal
    telemetry: Telemetry
    listener: Listener

    async def events(self) -> list[Event]:
        """All events, once no stream and no event is under way."""
        await until(lambda: not self.chat._streams)
        assert await self.queue.flushed(5.0) == 0
        events: list[Event] = []
        while page := await self.journal.events.read(len(events), 1000):
            events += [entry.event for entry in page]
        return events

    async def ending(self) -> dict[str, Any]:
        """The data of the one terminal event, with its ``type``."""
        [event] = [event for event in await self.events() if event.type in TERMINAL]
        return {"type": event.type, **orjson.loads(event.data)}

    def metric(self, name: str, **labels: str) -> float:
        return self.telemetry.metrics.registry.get_sample_value(name, labels) or 0.0


@asynccontextmanager
async def chatting(
    tmp_path: Path,
    script: Script,
    *,
    timeouts: UpstreamSettings | None = None,
    api_key: str | None = None,
    base_url: str | None = None,
    limits: Limits | None = None,
    policy: Policy | None = None,
    **settings: Any,
) -> AsyncIterator[Chatting]:
    """``settings`` are those of ``proxy``; with a ``policy`` there is a sink, ``kafka``, that takes nothing."""
    telemetry, proxy_settings = Telemetry(), ProxySettings.model_validate({"chunk_interval": "0s", **settings})
    sinks = ("kafka",) if policy else ()
    async with opened(tmp_path, *sinks, policy=policy) as journal, scripted(script) as server:
        upstream = Upstream((timeouts or UpstreamSettings()).model_copy(update={"base_url": base_url or server.url}))
        bodies = BodyLimits(1 << 20, 4 << 20, 5.0, "proxy")
        proxy = Proxy(upstream, Clients(proxy_settings, api_key), Apis(apis()), bodies)
        queue = ChatEventQueue(journal)
        chat = Chat(proxy, queue, proxy_settings, ChatSignals(telemetry))
        routes = ProxyRoutes(proxy, submissions=proxy, chat=chat)
        listener = Listener(routes, host="127.0.0.1", port=0, limits=limits or Limits(), signals=HttpSignals(telemetry))
        await listener.start()
        try:
            yield Chatting(listener.url, server, chat, queue, journal, telemetry, listener)
        finally:
            await listener.stop(0.5)
            await chat.finish(1.0)
            await upstream.close()


def clients(**named: Mapping[str, Any]) -> dict[str, Any]:
    """Clients, each with a key made of its name."""
    return {name: {"key": key(name), **more} for name, more in named.items()}


def key(name: str) -> str:
    return f"relay-key-of-{name}-0123456789"


def shown(name: str) -> str:
    """The header with which a client shows its key."""
    return f"Authorization: Bearer {key(name)}"
