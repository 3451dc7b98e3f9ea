"""The proxy between a client and a scripted upstream, without the app."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from relay.apis import apis
from relay.edge.http.bodies import BodyLimits
from relay.edge.http.listener import Listener
from relay.edge.http.server import Limits
from relay.edge.proxy.apis import Apis
from relay.edge.proxy.clients import Clients
from relay.edge.proxy.proxy import Proxy, ProxyRoutes
from relay.settings.model import ProxySettings, UpstreamSettings
from relay.telemetry.signals.http import HttpSignals
from relay.telemetry.telemetry import Telemetry
from relay.upstream import Upstream
from tests.services.scripted_upstream import Script, ScriptedUpstream, scripted


@dataclass
class Proxied:
    """A proxy being served."""

    url: str
    upstream: ScriptedUpstream
    listener: Listener
    telemetry: Telemetry


@asynccontextmanager
async def proxying(
    script: Script,
    *,
    clients: Mapping[str, Any] | None = None,
    api_key: str | None = None,
    limits: BodyLimits | None = None,
    timeouts: UpstreamSettings | None = None,
    base_url: str | None = None,
    idle_timeout: float = 60.0,
) -> AsyncIterator[Proxied]:
    """Everything passes through; ``base_url`` instead of the scripted upstream."""
    telemetry = Telemetry()
    known = Clients(ProxySettings.model_validate({"clients": clients or {}}), api_key)
    async with scripted(script) as server:
        upstream = Upstream((timeouts or UpstreamSettings()).model_copy(update={"base_url": base_url or server.url}))
        limits = limits or BodyLimits(1 << 20, 4 << 20, 5.0, "proxy")
        proxy = Proxy(upstream, known, Apis(apis()), limits, idle_timeout=idle_timeout)
        routes = ProxyRoutes(proxy, submissions=proxy, chat=lambda request, _called: proxy(request))
        listener = Listener(routes, host="127.0.0.1", port=0, limits=Limits(), signals=HttpSignals(telemetry))
        await listener.start()
        try:
            yield Proxied(listener.url, server, listener, telemetry)
        finally:
            await listener.stop(1.0)
            await upstream.close()
