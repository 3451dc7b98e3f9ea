"""The edge's parts around a real journal, behind a real listener, without the app."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from aiohttp import web

from relay.core.source import Delivery, Normalized, Source
from relay.edge.api.guard import ApiAuth, Route
from relay.edge.dispatch import Dispatcher
from relay.edge.http.auth import AddressFilter, Networks, SignatureVerifier, TokenSet
from relay.edge.http.bodies import BodyLimits
from relay.edge.http.listener import Listener
from relay.edge.http.routed import Routed
from relay.edge.http.server import Limits
from relay.edge.task_addresses import TaskAddresses
from relay.edge.webhooks import DeliveryAuth, Inbox, Webhooks
from relay.journal.journal import Journal, Policy, open_journal
from relay.sources.novita_task import NovitaTask
from relay.telemetry.signals.deliveries import DeliverySignals
from relay.telemetry.signals.http import HttpSignals
from relay.telemetry.signals.journal import JournalSignals
from relay.telemetry.telemetry import Telemetry

TOKEN = "t0k3n-of-the-receiver-0123456789abcdef"
PATH = f"/webhooks/novita/{TOKEN}"
BODY_LIMITS = BodyLimits(max_body=1 << 20, max_inflight_bytes=64 << 20, timeout=10.0)


@asynccontextmanager
async def opened(tmp_path: Path, *sinks: str, policy: Policy | None = None) -> AsyncIterator[Journal]:
    """A journal in a file of its own, closed at the end."""
    journal = await open_journal(tmp_path / "relay.db", sinks, policy or Policy(), JournalSignals(Telemetry()))
    try:
        yield journal
    finally:
        await journal.close()


@asynccontextmanager
async def routed(routes: Iterable[web.RouteDef]) -> AsyncIterator[str]:
    """An application with these routes, served; its URL."""
    app = web.Application()
    app.add_routes(routes)
    serve = Routed(app)
    listener = Listener(
        serve,
        host="127.0.0.1",
        port=0,
        limits=Limits(),
        signals=HttpSignals(Telemetry()),
        request_factory=serve.request_factory,
    )
    await listener.start()
    try:
        yield listener.url
    finally:
        await listener.stop(1.0)


def api(routes: Mapping[str, Route], *tokens: str) -> AbstractAsyncContextManager[str]:
    """Routes by ``METHOD /path`` behind the gate of ``/v1``, served; the URL."""
    gate = ApiAuth(TokenSet(tokens), on_loopback=True)
    return routed([web.route(*name.split(" "), gate.guard(route)) for name, route in routes.items()])


def gate(
    *tokens: str,
    allow_from: Sequence[str] = (),
    signing_secrets: Sequence[str] = (),
    trusted_proxies: Networks = (),
) -> DeliveryAuth:
    """A gate; open to loopback when it has no tokens."""
    return DeliveryAuth(
        TokenSet(tokens), AddressFilter(allow_from), SignatureVerifier(signing_secrets), trusted_proxies
    )


@dataclass
class Receiver:
    """Webhooks being served."""

    url: str
    webhooks: Webhooks
    front: Dispatcher
    telemetry: Telemetry
    listener: Listener

    def count(self, result: str) -> float:
        """``relay_deliveries_total`` of the source ``novita``."""
        return (
            self.telemetry.metrics.registry.get_sample_value(
                "relay_deliveries_total", {"source": "novita", "result": result}
            )
            or 0.0
        )


@asynccontextmanager
async def receiving(
    journal: Journal,
    gate: DeliveryAuth,
    *,
    source: Source | None = None,
    body_limits: BodyLimits = BODY_LIMITS,
    limits: Limits | None = None,
    shortcut: bool = True,
    addresses: TaskAddresses | None = None,
) -> AsyncIterator[Receiver]:
    """Deliveries for the source ``novita``; without the ``shortcut`` all go the ordinary way."""
    telemetry = Telemetry()
    inbox = Inbox(source or NovitaTask(), gate, DeliverySignals(telemetry, "novita"), addresses)
    webhooks = Webhooks({"novita": inbox}, journal, body_limits)
    front = Dispatcher(web.Application(), webhooks)
    listener = Listener(
        front,
        host="127.0.0.1",
        port=0,
        limits=limits or Limits(),
        signals=HttpSignals(telemetry),
        request_factory=front.request_factory,
        shortcut=front if shortcut else None,
    )
    await listener.start()
    try:
        yield Receiver(listener.url, webhooks, front, telemetry, listener)
    finally:
        await listener.stop(1.0)


class Stub:
    """A source with scripted answers."""

    name = "novita"

    def __init__(self, answer: Callable[[Delivery], Normalized]) -> None:
        self._answer = answer

    def normalize(self, delivery: Delivery) -> Normalized:
        return self._answer(delivery)


def task(task_id: str, status: str = "TASK_STATUS_SUCCEED", image: str | None = None) -> bytes:
    """A bare task result."""
    images = f',"images":[{{"image_url":"{image}"}}]' if image else ""
    return f'{{"task":{{"task_id":"{task_id}","status":"{status}"}}{images}}}'.encode()
