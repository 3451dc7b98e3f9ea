"""The listeners and what stands behind them: webhooks, the consumer API, the probes."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from urllib.parse import urlsplit

from aiohttp import web

from relay import __version__
from relay.contract import asyncapi, openapi, rendered, schemas
from relay.core.conceal import Concealed
from relay.core.source import Source, Submittable
from relay.edge.api.chats import StreamRoutes
from relay.edge.api.consumers import Pace
from relay.edge.api.dead_letters import DeadLetters
from relay.edge.api.documents import ContractRoutes
from relay.edge.api.events import Events
from relay.edge.api.guard import ApiGate
from relay.edge.api.probes import Admin
from relay.edge.api.status import Process, StatusRoutes
from relay.edge.api.subjects import SubjectRoutes
from relay.edge.api.tasks import TaskRoutes
from relay.edge.chat.admission import Chat
from relay.edge.chat.event_queue import Recorder
from relay.edge.console import Console
from relay.edge.dispatch import Front
from relay.edge.http.auth import AddressFilter, SignatureVerifier, TokenSet, networks
from relay.edge.http.bodies import BodyLimits
from relay.edge.http.routed import Routed
from relay.edge.http.server import Limits, Listener
from relay.edge.proxy.clients import Clients
from relay.edge.proxy.proxy import Pages, Proxy, ProxyRoutes
from relay.edge.proxy.submissions import Submissions
from relay.edge.proxy.task_writer import Recording
from relay.edge.task_addresses import TaskAddresses
from relay.edge.webhooks import Gate, Inbox, Webhooks
from relay.journal.journal import Journal
from relay.settings import Settings
from relay.settings.values import is_loopback_host
from relay.telemetry import (
    ChatSignals,
    ConsumerSignals,
    DeliverySignals,
    HttpSignals,
    SinkSignals,
    SubmissionSignals,
    Telemetry,
    UpstreamSignals,
)
from relay.upstream import Upstream

_ADMIN_LIMITS = Limits(max_connections=800)


class Doors:
    """Both listeners.

    ``concealed`` are the secrets that no answer may show. ``task_entered`` is called when a task is to be polled at
    once, ``unready`` says why nothing should be sent here, ``before_scrape`` looks at every gauge.
    """

    def __init__(
        self,
        settings: Settings,
        journal: Journal,
        sources: Mapping[str, Source],
        submitted: Submittable,
        upstream: Upstream,
        recorder: Recorder,
        chat_signals: ChatSignals,
        telemetry: Telemetry,
        sink_signals: Mapping[str, SinkSignals],
        upstream_signals: UpstreamSignals,
        *,
        concealed: Concealed,
        task_entered: Callable[[], None],
        unready: Callable[[], list[str]],
        before_scrape: Callable[[], Awaitable[None]],
    ) -> None:
        self._task_entered, self._unready = task_entered, unready
        self._sink_signals, self._upstream_signals = sink_signals, upstream_signals
        self._settings, self._journal, self._telemetry = settings, journal, telemetry
        self._http_signals = HttpSignals(telemetry)
        self._sources, self._submitted = sources, submitted
        server, admin = settings.server, settings.admin
        limits = Limits(server.header_timeout, server.keepalive_timeout, server.max_connections)
        self._on_loopback = is_loopback_host(server.host)
        pace = Pace(send_timeout=server.send_timeout, max_consumers=server.max_consumers)
        self._api_gate = ApiGate(_api_tokens(settings), on_loopback=self._on_loopback, send_timeout=server.send_timeout)
        self._events = Events(journal, ConsumerSignals(telemetry), pace, self._api_gate.client_of)
        self._proxy = self._build_proxy(upstream, concealed)
        self._addresses = _addresses(settings, journal)
        self._submissions = self._build_submissions(self._proxy)
        self._chat = Chat(self._proxy, recorder, settings.proxy, chat_signals)
        routes = ProxyRoutes(self._proxy, submissions=self._submissions, chat=self._chat)
        self._webhooks = self._build_webhooks()
        self._front = Front(self._api(), self._webhooks, routes)
        probes = Routed(self._probes(unready, before_scrape))
        self.main = self._listener(self._front, server.host, server.port, limits)
        self.admin = self._listener(probes, admin.host, admin.port, _ADMIN_LIMITS)

    async def open(self) -> None:
        """Listens. Raises ``RelayError`` where an address cannot be had."""
        await self.main.start()
        await self.admin.start()  # last: whoever is told "ready" must find the door open

    async def close(self, timeout: float, last_call: float) -> None:
        """Ends the main listener, and what was begun behind it, within about ``last_call + timeout`` seconds.

        The probes go on until ``admin`` stops.
        """
        self._front.draining = True
        self._events.stop()
        self._chat.drain()
        loop = asyncio.get_running_loop()
        deadline = loop.time() + last_call + timeout
        # Streams get what time there is, and a last bit of it for their clients to read how they ended.
        loop.call_later(last_call + timeout - min(2.0, timeout * 0.2), self._chat.shut_down)
        await self.main.stop(timeout, last_call)
        await self._chat.settle(max(0.1, deadline - loop.time()))
        await self._submissions.settle(max(0.1, deadline - loop.time()))

    def _listener(self, serve: Front | Routed, host: str, port: int, limits: Limits) -> Listener:
        return Listener(
            serve,
            host=host,
            port=port,
            limits=limits,
            signals=self._http_signals,
            request_factory=serve.request_factory,
            shortcut=serve if isinstance(serve, Front) else None,
        )

    def _probes(
        self, unready: Callable[[], list[str]], before_scrape: Callable[[], Awaitable[None]]
    ) -> web.Application:
        app = web.Application()
        Admin(
            stalled_for=self._journal.stalled_for,
            unready=unready,
            exposition=self._telemetry.metrics.exposition,
            before_scrape=before_scrape,
            on_loopback=is_loopback_host(self._settings.admin.host),
        ).add_to(app)
        return app

    def reconfigure(self, settings: Settings, concealed: Concealed) -> None:
        """Takes over tokens, secrets and clients; nothing else of the settings is looked at."""
        self._webhooks.reconfigure(_gate(settings))
        self._api_gate.tokens = _api_tokens(settings)
        self._events.end_unless(self._api_gate.admits)
        self._addresses.reconfigure(settings.webhooks_url, _webhook_tokens(settings))
        self._proxy.clients.reconfigure(settings.proxy, settings.upstream_key)
        self._proxy.concealed = concealed

    def _build_webhooks(self) -> Webhooks:
        limits, gate = self._settings.webhooks, _gate(self._settings)
        inboxes = {
            name: Inbox(source, gate, DeliverySignals(self._telemetry, name), self._addresses)
            for name, source in self._sources.items()
        }
        bodies = BodyLimits(limits.max_body, limits.max_inflight_bytes, limits.body_timeout)
        return Webhooks(inboxes, self._journal, bodies)

    def _build_proxy(self, upstream: Upstream, concealed: Concealed) -> Proxy:
        settings = self._settings.proxy
        clients = Clients(settings, self._settings.upstream_key)
        limits = BodyLimits(settings.max_body, settings.max_inflight_bytes, settings.body_timeout, "proxy")
        public = urlsplit(self._settings.server.public_url or "").netloc.lower()
        pages = Pages(public or None) if self._on_loopback else None
        return Proxy(upstream, clients, limits, idle_timeout=settings.idle_timeout, concealed=concealed, pages=pages)

    def _build_submissions(self, proxy: Proxy) -> Submissions:
        signals = SubmissionSignals(self._telemetry)
        recording = Recording(self._journal, signals)
        return Submissions(proxy, self._submitted, recording, signals, self._addresses)

    def _api(self) -> web.Application:
        gate = self._api_gate
        labels = frozenset(config.label for config in self._settings.sinks)
        letters = DeadLetters(self._journal, self._sources, labels)
        tasks = TaskRoutes(self._journal, self._task_entered)
        app = web.Application()
        app.router.add_get("/v1/tasks", gate.guard(tasks.list))
        app.router.add_post("/v1/tasks", gate.guard(tasks.watch))
        app.router.add_get("/v1/tasks/{id}", gate.guard(tasks.show))
        app.router.add_get("/v1/subjects/{subject}", gate.guard(SubjectRoutes(self._journal).show))
        app.router.add_get("/v1/streams", gate.guard(StreamRoutes(self._journal).list))
        app.router.add_get("/v1/status", gate.guard(self._status().show))
        app.router.add_get("/v1/events", gate.guard(self._events.get))
        app.router.add_get("/v1/dead-letters", gate.guard(letters.list))
        app.router.add_get("/v1/dead-letters/{id}", gate.guard(letters.show))
        app.router.add_post("/v1/dead-letters/{id}/replay", gate.guard(letters.replay))
        app.router.add_delete("/v1/dead-letters/{id}", gate.guard(letters.delete))
        _contract().add_to(app)
        if self._settings.console.enabled:
            Console(on_loopback=self._on_loopback).add_to(app)
        return app

    def _status(self) -> StatusRoutes:
        process = Process(__version__, self._settings.identity_name, time.time_ns() // 1_000_000)
        return StatusRoutes(process, self._journal, self._sink_signals, self._upstream_signals, self._unready)


def _contract() -> ContractRoutes:
    return ContractRoutes(
        lambda: rendered(asyncapi(__version__)),
        lambda: rendered(openapi(__version__)),
        lambda: {name: rendered(document) for name, document in schemas().items()},
    )


def _gate(settings: Settings) -> Gate:
    novita = settings.webhooks.novita
    return Gate(
        tokens=TokenSet(_webhook_tokens(settings)),
        addresses=AddressFilter([str(cidr) for cidr in novita.allow_from]),
        signatures=SignatureVerifier(
            [secret.get_secret_value() for secret in novita.signing_secrets], novita.signature_tolerance
        ),
        trusted_proxies=networks([str(cidr) for cidr in settings.server.trusted_proxies]),
        public=settings.server.is_public,
    )


def _addresses(settings: Settings, journal: Journal) -> TaskAddresses:
    """An address is taken for as long as its task may take, and as a repetition of its result is known as one."""
    return TaskAddresses(journal, settings.address_life, settings.webhooks_url, _webhook_tokens(settings))


def _webhook_tokens(settings: Settings) -> list[str]:
    return [token.get_secret_value() for token in settings.webhooks.novita.tokens]


def _api_tokens(settings: Settings) -> TokenSet:
    return TokenSet([token.get_secret_value() for token in settings.server.api_tokens])
