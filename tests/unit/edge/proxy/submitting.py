"""The submission proxy between raw clients and a scripted upstream, around a real journal."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import orjson
from aiohttp import web

from relay.apis import apis
from relay.edge.http.bodies import BodyLimits
from relay.edge.http.listener import Listener
from relay.edge.http.server import Limits
from relay.edge.proxy.apis import Apis
from relay.edge.proxy.clients import Clients
from relay.edge.proxy.proxy import Proxy
from relay.edge.proxy.submissions import Submissions
from relay.edge.proxy.task_writer import TaskWriter
from relay.edge.task_addresses import TaskAddresses
from relay.journal.journal import Journal
from relay.journal.projections.task_addresses import Addresses
from relay.settings import ProxySettings
from relay.settings.model import UpstreamSettings
from relay.sources.novita_task import NovitaTask
from relay.telemetry.signals.http import HttpSignals
from relay.telemetry.signals.submissions import SubmissionSignals
from relay.telemetry.telemetry import Telemetry
from relay.upstream import Upstream
from tests.services.scripted_upstream import Script, ScriptedUpstream, scripted

WEBHOOK = "https://relay.example/webhooks/novita"
LIMITS = BodyLimits(max_body=24 << 20, max_inflight_bytes=48 << 20, timeout=5.0, section="proxy")
TIMEOUTS = UpstreamSettings(connect_timeout=2.0, first_byte_timeout=5.0, idle_timeout=5.0)


@dataclass
class Submitting:
    """A submission proxy being served."""

    url: str
    upstream: ScriptedUpstream
    submissions: Submissions
    proxy: Proxy
    journal: Journal
    telemetry: Telemetry
    listener: Listener

    async def events(self) -> list[dict[str, Any]]:
        """What the journal holds: type, subject and data of each event."""
        entries = await self.journal.events.read(0, 1000)
        return [{"type": e.event.type, "subject": e.event.subject, "data": orjson.loads(e.event.data)} for e in entries]

    async def types(self) -> list[str]:
        """The events as ``subject type``, without the prefix."""
        return [f"{each['subject']} {each['type'].removeprefix('relay.task.')}" for each in await self.events()]

    def count(self, result: str) -> float:
        """``relay_submissions_total``."""
        return self.telemetry.metrics.registry.get_sample_value("relay_submissions_total", {"result": result}) or 0.0

    async def until(self, condition: Any) -> None:
        """Returns once ``condition()`` (or what it awaits) is true."""
        async with asyncio.timeout(10):
            while not (await found if asyncio.iscoroutine(found := condition()) else found):
                await asyncio.sleep(0.005)


@asynccontextmanager
async def submitting(
    journal: Journal,
    script: Script,
    *,
    webhook: str | None = WEBHOOK,
    limits: BodyLimits = LIMITS,
    timeouts: UpstreamSettings = TIMEOUTS,
    timeout: float = 5.0,
    idle_timeout: float = 60.0,
    settings: ProxySettings | None = None,
    api_key: str | None = None,
    base_url: str | None = None,
) -> AsyncIterator[Submitting]:
    """Submissions to an upstream that follows a script; ``base_url`` puts another one in its place."""
    telemetry = Telemetry()
    signals = SubmissionSignals(telemetry)
    async with scripted(script) as behind:
        upstream = Upstream(timeouts.model_copy(update={"base_url": base_url or behind.url}))
        proxy = Proxy(
            upstream, Clients(settings or ProxySettings(), api_key), Apis(apis()), limits, idle_timeout=idle_timeout
        )
        addresses = TaskAddresses(journal.projection(Addresses), 60.0, webhook)
        submissions = Submissions(proxy, NovitaTask(), TaskWriter(journal, signals, timeout), signals, addresses)

        async def serve(request: web.BaseRequest) -> web.StreamResponse:
            return await submissions(request)

        listener = Listener(serve, host="127.0.0.1", port=0, limits=Limits(), signals=HttpSignals(telemetry))
        await listener.start()
        try:
            yield Submitting(listener.url, behind, submissions, proxy, journal, telemetry, listener)
        finally:
            await listener.stop(1.0)
            await submissions.finish(1.0)
            await upstream.close()
