"""Builds the edge: everything behind both listeners, from a relay's parts.

Who adds a route of the API adds its class to ``Edge._api``; nothing outside of this room has to change.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from aiohttp import web

from relay import __version__
from relay.clocks import wall_ms
from relay.core.chat.api import Api
from relay.core.conceal import Concealed
from relay.core.source import Source, Submittable
from relay.edge.api.chats import ChatRoutes
from relay.edge.api.consumers import ConsumerLimits
from relay.edge.api.dead_letters import DeadLetterRoutes
from relay.edge.api.documents import ContractRoutes
from relay.edge.api.drain import Drainable, DrainRoutes
from relay.edge.api.events import Events
from relay.edge.api.guard import ApiAuth
from relay.edge.api.outputs import OutputRoutes
from relay.edge.api.probes import Probes
from relay.edge.api.status import Process, StatusRoutes
from relay.edge.api.subjects import SubjectRoutes
from relay.edge.api.tasks import TaskRoutes
from relay.edge.api.trends import TrendRoutes
from relay.edge.chat.admission import Chat
from relay.edge.chat.event_queue import ChatEventQueue
from relay.edge.console import Console
from relay.edge.dispatch import Dispatcher
from relay.edge.http.auth import AddressFilter, SignatureVerifier, TokenSet, networks
from relay.edge.http.bodies import BodyLimits
from relay.edge.http.routed import Routed
from relay.edge.intake import Intake
from relay.edge.proxy.apis import Apis
from relay.edge.proxy.clients import Clients
from relay.edge.proxy.proxy import Pages, Proxy, ProxyRoutes
from relay.edge.proxy.submissions import Submissions
from relay.edge.proxy.task_writer import TaskWriter
from relay.edge.task_addresses import TaskAddresses
from relay.edge.webhooks import DeliveryAuth, Inbox, Webhooks
from relay.journal.journal import Journal
from relay.journal.projections.task_addresses import Addresses
from relay.settings import Settings
from relay.settings.values import is_loopback_host
from relay.telemetry.signals.chats import ChatSignals
from relay.telemetry.signals.clients import ClientSignals
from relay.telemetry.signals.consumers import ConsumerSignals
from relay.telemetry.signals.deliveries import DeliverySignals
from relay.telemetry.signals.sinks import SinkSignals
from relay.telemetry.signals.submissions import SubmissionSignals
from relay.telemetry.signals.upstream import UpstreamSignals
from relay.telemetry.telemetry import Telemetry
from relay.telemetry.trends import Trends
from relay.upstream import Upstream


@dataclass(frozen=True, slots=True)
class Parts:
    """What the edge stands on.

    ``submitted`` reads the answers to submissions; ``concealed`` are the secrets that no answer may show; ``documents``
    come from above, since the contract describes what is built here; ``chats``, ``sinks`` (by label) and ``reached``
    are the signals to which others report, too.
    """

    settings: Settings
    journal: Journal
    upstream: Upstream
    telemetry: Telemetry
    sources: Mapping[str, Source]
    apis: Mapping[str, Api]
    submitted: Submittable
    concealed: Concealed
    documents: ContractRoutes
    chats: ChatSignals
    sinks: Mapping[str, SinkSignals]
    reached: UpstreamSignals
    trends: Trends


@dataclass(frozen=True, slots=True)
class Hooks:
    """What the edge asks of the relay around it.

    ``task_entered`` is called when a task is to be polled at once, ``unready`` says why nothing should be sent here,
    ``before_scrape`` brings every gauge up to date, ``drain`` is the drain of all of it. ``output_retried`` is called
    when an output is to be tried at once; ``None``: nothing archives.
    """

    task_entered: Callable[[], None]
    unready: Callable[[], list[str]]
    before_scrape: Callable[[], Awaitable[None]]
    drain: Callable[[], Drainable]
    output_retried: Callable[[], None] | None = None


class Edge:
    """``main`` and ``probes`` are what the two listeners serve; the rest is what changes while they do."""

    def __init__(self, parts: Parts, hooks: Hooks) -> None:
        settings = parts.settings
        self.intake = Intake()
        self._api_auth = _api_auth(settings)
        self._events = _events(parts, self._api_auth)
        self._proxy = _proxy(parts)
        self._addresses = _addresses(settings, parts.journal)
        self._submissions = _submissions(parts, self._proxy, self._addresses, self.intake)
        self._chat = Chat(self._proxy, ChatEventQueue(parts.journal), settings.proxy, parts.chats, self.intake)
        self._webhooks = _webhooks(parts, self._addresses, self.intake)
        proxied = ProxyRoutes(self._proxy, submissions=self._submissions, chat=self._chat)
        self.main = Dispatcher(_application(self._routes(parts, hooks)), self._webhooks, proxied)
        self.probes = Routed(_application(_probes(parts, hooks).routes()))

    def reconfigure(self, settings: Settings, concealed: Concealed) -> None:
        """Takes over tokens, secrets and clients; nothing else of the settings is looked at."""
        # Bodies, limits and connections that are under way keep what they began with: only what is asked per request.
        self._webhooks.reconfigure(_delivery_auth(settings))
        self._api_auth.tokens = _api_tokens(settings)
        self._events.consumers.end_unless(self._api_auth.admits)
        self._addresses.reconfigure(settings.webhooks_url, _webhook_tokens(settings))
        self._proxy.clients.reconfigure(settings.proxy, settings.upstream_key)
        self._proxy.concealed = concealed

    @property
    def chats_open(self) -> bool:
        """Whether a chat is open, or not all of its events are in the journal."""
        return self._chat.busy

    @property
    def busy(self) -> bool:
        """Whether anything is under way that may become an event."""
        return bool(self.intake.under_way) or self._chat.busy or self._submissions.busy

    def drain(self) -> None:
        """Live consumers end, no chat begins."""
        self._events.consumers.stop()
        self.intake.chats = False

    def end_chats(self) -> None:
        """Ends the chats that are still open, so that their clients read how they ended."""
        self._chat.shut_down()

    async def finish(self, left: Callable[[], float]) -> None:
        """Returns when what was begun here is in the journal. ``left``: the seconds that remain."""
        await self._chat.finish(max(0.1, left()))
        await self._submissions.finish(max(0.1, left()))

    def _routes(self, parts: Parts, hooks: Hooks) -> Iterable[web.RouteDef]:
        settings, journal = parts.settings, parts.journal
        drain = DrainRoutes(hooks.drain, self.intake)
        api = (
            TaskRoutes(journal, hooks.task_entered, self.intake),
            SubjectRoutes(journal, tuple(parts.apis.values())),
            ChatRoutes(journal, tuple(parts.apis)),
            OutputRoutes(journal, hooks.output_retried, self.intake),
            _status(parts, hooks, drain),
            TrendRoutes(settings.identity_name, parts.trends),
            drain,
            self._events,
            DeadLetterRoutes(journal, parts.sources, frozenset(config.label for config in settings.sinks), self.intake),
        )
        for part in api:
            for route in part.routes():
                yield web.route(route.method, route.path, self._api_auth.guard(route.handler), **route.kwargs)
        yield from parts.documents.routes()
        if settings.console.enabled:
            yield from Console(on_loopback=is_loopback_host(settings.server.host)).routes()


def _application(routes: Iterable[web.RouteDef]) -> web.Application:
    app = web.Application()
    app.add_routes(routes)
    return app


def _api_auth(settings: Settings) -> ApiAuth:
    server = settings.server
    return ApiAuth(
        _api_tokens(settings),
        on_loopback=is_loopback_host(server.host),
        send_timeout=server.send_timeout,
        identity=settings.identity_name,
    )


def _events(parts: Parts, auth: ApiAuth) -> Events:
    server = parts.settings.server
    limits = ConsumerLimits(send_timeout=server.send_timeout, max_consumers=server.max_consumers)
    identity = parts.settings.identity_name
    signals, apis = ConsumerSignals(parts.telemetry), tuple(parts.apis.values())
    return Events(parts.journal.events, signals, limits, auth.client_of, identity, apis)


def _proxy(parts: Parts) -> Proxy:
    settings, server = parts.settings.proxy, parts.settings.server
    clients = Clients(settings, parts.settings.upstream_key, signals=ClientSignals(parts.telemetry))
    apis = Apis(parts.apis)
    limits = BodyLimits(settings.max_body, settings.max_inflight_bytes, settings.body_timeout, "proxy")
    public = urlsplit(server.public_url or "").netloc.lower()
    pages = Pages(public or None) if is_loopback_host(server.host) else None
    idle = settings.idle_timeout
    return Proxy(parts.upstream, clients, apis, limits, idle_timeout=idle, concealed=parts.concealed, pages=pages)


def _submissions(parts: Parts, proxy: Proxy, addresses: TaskAddresses, intake: Intake) -> Submissions:
    signals = SubmissionSignals(parts.telemetry)
    writer = TaskWriter(parts.journal, signals)
    return Submissions(proxy, parts.submitted, writer, signals, addresses, intake)


def _webhooks(parts: Parts, addresses: TaskAddresses, intake: Intake) -> Webhooks:
    limits, auth = parts.settings.webhooks, _delivery_auth(parts.settings)
    inboxes = {
        name: Inbox(source, auth, DeliverySignals(parts.telemetry, name), addresses)
        for name, source in parts.sources.items()
    }
    bodies = BodyLimits(limits.max_body, limits.max_inflight_bytes, limits.body_timeout)
    return Webhooks(inboxes, parts.journal, bodies, intake)


def _probes(parts: Parts, hooks: Hooks) -> Probes:
    return Probes(
        stalled_for=parts.journal.stalled_for,
        unready=hooks.unready,
        exposition=parts.telemetry.metrics.exposition,
        before_scrape=hooks.before_scrape,
        on_loopback=is_loopback_host(parts.settings.admin.host),
    )


def _status(parts: Parts, hooks: Hooks, drain: DrainRoutes) -> StatusRoutes:
    process = Process(__version__, parts.settings.identity_name, wall_ms())
    return StatusRoutes(process, parts.journal, parts.sinks, parts.reached, hooks.unready, drain.shown)


def _delivery_auth(settings: Settings) -> DeliveryAuth:
    novita = settings.webhooks.novita
    return DeliveryAuth(
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
    bound = journal.projection(Addresses)
    return TaskAddresses(bound, settings.address_life, settings.webhooks_url, _webhook_tokens(settings))


def _webhook_tokens(settings: Settings) -> list[str]:
    return [token.get_secret_value() for token in settings.webhooks.novita.tokens]


def _api_tokens(settings: Settings) -> TokenSet:
    return TokenSet([token.get_secret_value() for token in settings.server.api_tokens])
