"""The one place that builds, starts and stops the parts, in an order that reads from top to bottom."""

from __future__ import annotations

import asyncio
import gc
import importlib
import pkgutil
import signal
import time
from collections.abc import Coroutine
from pathlib import Path
from types import ModuleType
from typing import Any
from uuid import uuid4

from aiohttp import web

from relay import sinks as sink_package
from relay.core.errors import RelayError
from relay.core.sink import Identity, SinkConfig
from relay.core.source import Source
from relay.edge.admin import Admin
from relay.edge.api import ApiGate
from relay.edge.auth import AddressFilter, SignatureVerifier, TokenSet, is_loopback, networks
from relay.edge.dead_letters import DeadLetters
from relay.edge.events import Events
from relay.edge.front import Front, Routed
from relay.edge.server import Limits, Listener
from relay.edge.webhooks import BodyLimits, Gate, Inbox, Webhooks
from relay.journal.journal import Journal, Policy, open_journal
from relay.journal.store import sqlite_version
from relay.publisher import Publisher, as_fatal
from relay.settings import Settings, warnings
from relay.sources.novita_task import NovitaTask
from relay.systemd import notify
from relay.telemetry import JournalFigures, SinkFigures, SinkSignals, Telemetry

_FIRST = asyncio.FIRST_COMPLETED
_SIGNALS = (signal.SIGTERM, signal.SIGINT)
_ADMIN_LIMITS = Limits(max_connections=256)
_LAST_CALL = 0.5  # seconds; balancers are told by /readyz and given their time before the signal (preStop)


def sink_plugins() -> dict[str, ModuleType]:
    """The sink plug-ins by type: each file in ``relay/sinks`` that does not start with an underscore."""
    found = (module.name for module in pkgutil.iter_modules(sink_package.__path__))
    return {name: importlib.import_module(f"relay.sinks.{name}") for name in found if not name.startswith("_")}


def sink_configs() -> dict[str, type[SinkConfig]]:
    """The configuration model of each sink type, as ``relay.settings.load`` takes it."""
    return {name: module.Config for name, module in sink_plugins().items()}


class Relay:
    """One relay in this process: ``start``, then ``failure`` or a signal, then ``stop``."""

    def __init__(self, settings: Settings, telemetry: Telemetry | None = None) -> None:
        self.settings = settings
        self.telemetry = telemetry or Telemetry()
        self._draining = self._closing = False
        self._sources: dict[str, Source] = {
            "novita": NovitaTask(progressed=settings.tasks.progressed, raw=settings.tasks.raw)
        }
        self._stopping: asyncio.Task[None] | None = None
        self._main: Listener | None = None
        self._admin: Listener | None = None
        self._publishers: list[Publisher] = []
        self._sink_signals: dict[str, SinkSignals] = {}
        self._tasks: list[asyncio.Task[None]] = []

    # -- starting ----------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Opens the journal, starts the publishers, then listens. Raises ``RelayError`` when something is amiss."""
        settings = self.settings
        for message in warnings(settings):
            self.telemetry.warned(message)
        self.journal = await self._open_journal()
        try:
            self._start_publishers()
            self._tasks.append(asyncio.create_task(self.journal.tend(), name="journal care"))
            await self._listen()
        except BaseException:
            await self.stop()
            raise
        self.telemetry.accepting(True)
        self.telemetry.started(
            url=self.url,
            admin_url=self.admin_url,
            sinks=[publisher.label for publisher in self._publishers],
            identity=settings.identity_name,
        )

    @property
    def url(self) -> str:
        """The main listener's base URL."""
        assert self._main is not None, "the relay has not been started"
        return self._main.url

    @property
    def admin_url(self) -> str:
        """The admin listener's base URL."""
        assert self._admin is not None, "the relay has not been started"
        return self._admin.url

    async def _open_journal(self) -> Journal:
        settings = self.settings
        policy = Policy(
            retention=settings.journal.retention,
            max_size=settings.journal.max_size,
            dedup_window=settings.dedup.window,
            max_backlog=settings.journal.max_backlog,
        )
        labels = [config.label for config in settings.sinks]
        path = Path(settings.journal.path)
        journal = await open_journal(path, labels, policy, self.telemetry)
        self.telemetry.journal_opened(str(path), journal.journal_id, journal.last_offset, sqlite_version())
        return journal

    def _start_publishers(self) -> None:
        identity = Identity(self.settings.identity_name, uuid4().hex)
        plugins = sink_plugins()
        for config in self.settings.sinks:
            signals = self._sink_signals[config.label] = self.telemetry.sink(config.label)
            sink = plugins[config.type].connect(config, identity)
            publisher = Publisher(config.label, sink, self.journal, signals)
            self._publishers.append(publisher)
            self._tasks.append(asyncio.create_task(publisher.run(), name=f"publisher {config.label}"))

    # -- the listeners -----------------------------------------------------------------------------------------

    async def _listen(self) -> None:
        server, admin = self.settings.server, self.settings.admin
        limits = Limits(server.header_timeout, server.body_timeout, server.keepalive_timeout, server.max_connections)
        self._events = Events(self.journal)
        self._front = Front(self._api(), self._build_webhooks())
        self._admin = self._listener(Routed(self._probes()), admin.host, admin.port, _ADMIN_LIMITS)
        self._main = self._listener(self._front, server.host, server.port, limits)
        await self._main.start()
        await self._admin.start()  # last: whoever is told "ready" must find the door open

    def _listener(self, serve: Front | Routed, host: str, port: int, limits: Limits) -> Listener:
        return Listener(
            serve,
            host=host,
            port=port,
            limits=limits,
            signals=self.telemetry,
            request_factory=serve.request_factory,
            shortcut=serve if isinstance(serve, Front) else None,
        )

    def _probes(self) -> web.Application:
        app = web.Application()
        Admin(
            stalled_for=self.journal.stalled_for,
            unready=self.unready,
            exposition=self.telemetry.exposition,
            before_scrape=self._look_at_everything,
        ).add_to(app)
        return app

    def _build_webhooks(self) -> Webhooks:
        settings, novita = self.settings, self.settings.webhooks.novita
        gate = Gate(
            tokens=TokenSet([token.get_secret_value() for token in novita.tokens]),
            addresses=AddressFilter([str(cidr) for cidr in novita.allow_from]),
            signatures=SignatureVerifier(
                [secret.get_secret_value() for secret in novita.signing_secrets], novita.signature_tolerance
            ),
            trusted_proxies=networks([str(cidr) for cidr in settings.server.trusted_proxies]),
        )
        inboxes = {name: Inbox(source, gate, self.telemetry.deliveries(name)) for name, source in self._sources.items()}
        limits = BodyLimits(settings.server.max_body, settings.server.max_inflight, settings.server.body_timeout)
        return Webhooks(inboxes, self.journal, limits)

    def _api(self) -> web.Application:
        server = self.settings.server
        gate = ApiGate(
            TokenSet([token.get_secret_value() for token in server.api_tokens]),
            on_loopback=server.host == "localhost" or is_loopback(server.host),
        )
        labels = frozenset(config.label for config in self.settings.sinks)
        letters = DeadLetters(self.journal, self._sources, labels)
        app = web.Application()
        app.router.add_get("/v1/events", gate.guard(self._events.get))
        app.router.add_get("/v1/dead-letters", gate.guard(letters.list))
        app.router.add_get("/v1/dead-letters/{id}", gate.guard(letters.show))
        app.router.add_post("/v1/dead-letters/{id}/replay", gate.guard(letters.replay))
        app.router.add_delete("/v1/dead-letters/{id}", gate.guard(letters.delete))
        return app

    # -- looking -----------------------------------------------------------------------------------------------

    def unready(self) -> list[str]:
        """Why nothing should be sent here now; empty when deliveries are accepted durably."""
        reasons = ["draining"] if self._draining else []
        refusal = self.journal.accepting()
        if refusal is not None:
            reasons.append(f"{refusal.code}: {refusal.message}")
        return reasons

    async def _look_at_everything(self) -> None:
        journal = self.journal
        self.telemetry.accepting(not self.unready())
        if self._closing:
            return
        self.telemetry.journal_looked_at(
            JournalFigures(journal.events_held(), journal.bytes_held(), journal.dead_letters_held)
        )
        for label, signals in self._sink_signals.items():
            oldest = await journal.oldest_pending_at(label)
            lag = max(0.0, time.time() - oldest / 1000) if oldest is not None else 0.0
            saved = journal.saved(label)
            signals.sink_looked_at(SinkFigures(journal.pending(label), lag, saved.published, saved.dead))

    # -- stopping ----------------------------------------------------------------------------------------------

    async def failure(self) -> RelayError:
        """Returns when the process has to end: a broken journal, a fenced sink, a bug in a background task."""
        background = set(self._tasks)
        await asyncio.wait({asyncio.ensure_future(_done(self.journal.broken)), *background}, return_when=_FIRST)
        if self.journal.broken.done():
            return self.journal.broken.result()
        errors = [task.exception() for task in background if task.done() and not task.cancelled()]
        return next((as_fatal(error) for error in errors if error), RelayError("internal", "A background task ended."))

    async def stop(self) -> None:
        """Drains in order: not ready, no new connections, requests end, publishers end, the journal closes.

        Bounded by ``server.drain_timeout``; nothing depends on reaching the end, the next start recovers. Asked twice,
        it stops once, and both wait for it.
        """
        if self._stopping is None:
            self._stopping = asyncio.create_task(self._stop(), name="stop")
        await self._stopping

    async def _stop(self) -> None:
        deadline = time.monotonic() + self.settings.server.drain_timeout
        self._draining = True
        self.telemetry.accepting(False)
        if self._main is not None:
            self._front.draining = True
            self._events.stop()
            await self._main.stop(_share(deadline, 0.5), min(_LAST_CALL, _share(deadline, 0.1)))
        for publisher in self._publishers:
            publisher.stop()
        await _finish(self._tasks, _share(deadline, 0.7))
        self._closing = True
        try:
            await _bounded(self.journal.close(), max(_share(deadline, 1.0), 1.0))
        finally:
            if self._admin is not None:
                await self._admin.stop(1.0)
        self.telemetry.stopped()


async def run(settings: Settings, telemetry: Telemetry | None = None) -> int:
    """Runs one relay until SIGTERM, SIGINT or a failure. Answers the exit code."""
    relay = Relay(settings, telemetry)
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in _SIGNALS:
        loop.add_signal_handler(number, stopping.set)
    loop.set_exception_handler(lambda _, context: _tell(relay.telemetry, context))
    try:
        await relay.start()
    except RelayError as error:
        relay.telemetry.failed(error)
        return 1
    _calm_the_collector()
    notify("READY=1")
    failure = asyncio.create_task(relay.failure())
    signalled = asyncio.create_task(stopping.wait())
    await asyncio.wait((failure, signalled), return_when=asyncio.FIRST_COMPLETED)
    notify("STOPPING=1")
    for number in _SIGNALS:
        loop.remove_signal_handler(number)
        signal.signal(number, signal.SIG_DFL)  # a second one ends the process at once, without a traceback
    return await _end(relay, failure if failure.done() else None)


def _tell(telemetry: Telemetry, context: dict[str, Any]) -> None:
    """asyncio's own log is off, since it quotes requests; what it has to say comes out as a signal."""
    message = str(context.get("message", ""))
    telemetry.task_failed(message, context.get("exception") or RuntimeError(message))


def _calm_the_collector() -> None:
    """Events make no reference cycles: looking for some every 700 objects costs 2 % of a core under load."""
    gc.collect()
    gc.freeze()  # what start-up made stays
    gc.set_threshold(20_000, 20, 50)


async def _end(relay: Relay, failure: asyncio.Task[RelayError] | None) -> int:
    if failure is not None:
        relay.telemetry.failed(failure.result())
    else:
        relay.telemetry.draining("signal")
    try:
        await relay.stop()
    except RelayError as error:
        relay.telemetry.failed(error)
        return 1
    return 1 if failure is not None else 0


async def _bounded(closing: Coroutine[Any, Any, None], timeout: float) -> None:
    """A disk that hangs must not hang the process: what was acknowledged is in the journal already."""
    try:
        async with asyncio.timeout(timeout):
            await closing
    except TimeoutError:
        raise RelayError(
            "journal_stalled",
            "The journal could not be closed in time.",
            hint="Check the disk under journal.path; the next start recovers what was acknowledged.",
        ) from None


async def _done(future: asyncio.Future[Any]) -> None:
    await asyncio.shield(future)


def _share(deadline: float, fraction: float) -> float:
    return max(0.0, deadline - time.monotonic()) * fraction


async def _finish(tasks: list[asyncio.Task[None]], timeout: float) -> None:
    """Lets the tasks end by themselves for a while, then cancels them; a second wait is bounded, too."""
    care = [task for task in tasks if task.get_name() == "journal care"]
    for task in care:
        task.cancel()
    pending = set(tasks)
    if pending:
        _, pending = await asyncio.wait(pending, timeout=timeout)
    for task in pending:
        task.cancel()
    if pending:
        await asyncio.wait(pending, timeout=5.0)
