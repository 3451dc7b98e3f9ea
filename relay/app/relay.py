"""One relay: which parts start and stop, in an order that reads from top to bottom."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable, Collection, Coroutine
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from relay import __version__
from relay.apis import apis
from relay.app.certificates import Renewal, renew, validities
from relay.app.drain import Drain
from relay.app.listeners import Listeners
from relay.app.plugins import connect
from relay.app.publishers import Publishers
from relay.clocks import until
from relay.core.conceal import Concealed
from relay.core.errors import RelayError
from relay.core.publishing.claims import Shared
from relay.core.publishing.lineage import Names
from relay.core.sink import Identity, Sink, SinkConfig
from relay.core.source import Source
from relay.edge.api.documents import ContractRoutes
from relay.edge.api.status import figures_of
from relay.edge.build import Edge, Hooks, Parts
from relay.edge.chat.recovery import end_open_chats
from relay.journal.journal import Journal, Policy, open_journal
from relay.journal.projections.dead_letters import DeadLetters
from relay.journal.projections.tasks import PENDING, Tasks
from relay.journal.store import SQLITE_VERSION
from relay.journal.volume import free_bytes
from relay.publishing.claims import Claims
from relay.publishing.publisher import Publisher, as_fatal
from relay.reconciler.watch import CARE, TaskReconciliation
from relay.settings import Settings, own_certificates, secrets_of, warnings
from relay.sources.novita_task import NovitaTask
from relay.telemetry.log import conceal_in_log
from relay.telemetry.signals.certificates import CertificateSignals
from relay.telemetry.signals.chats import ChatSignals
from relay.telemetry.signals.claims import ClaimSignals
from relay.telemetry.signals.http import HttpSignals
from relay.telemetry.signals.journal import JournalSignals
from relay.telemetry.signals.outputs import OutputSignals
from relay.telemetry.signals.process import HealthSignals, ProcessSignals
from relay.telemetry.signals.sinks import SinkSignals
from relay.telemetry.signals.tasks import TaskSignals
from relay.telemetry.signals.upstream import UpstreamSignals
from relay.telemetry.telemetry import Telemetry
from relay.telemetry.tracing import open_inferences, open_spans
from relay.telemetry.trends import Trends
from relay.upstream import Upstream
from relay.upstream.egress import variables

if TYPE_CHECKING:
    from relay.archive.archive import Archive
    from relay.sinks.redis.shared_index import RedisIndex

_FIRST = asyncio.FIRST_COMPLETED
_LEASE_MARGIN = 5.0  # seconds from a claim to the begin of its transaction
_ENDLESS = ("journal maintenance", "loop watch", "trends", "otlp metrics", CARE, "outputs care")
"""Tasks that do not end by themselves."""

_FOR_THE_REST = 8.0  # seconds, at most, of a drain that are kept for the publishers and the journal
_LAST_CALL = 0.5  # seconds; balancers learn it from /readyz and get their time before the signal (preStop)

_LAST_SPANS = 2.0  # seconds; what a collector has not taken by then is lost


class Relay:
    """One relay in this process: ``start``, then ``failure`` or a signal, then ``stop``.

    ``connect`` makes the sinks: those of ``relay.sinks``, unless a demo has one of its own.
    """

    def __init__(
        self,
        settings: Settings,
        telemetry: Telemetry | None = None,
        *,
        connect: Callable[[SinkConfig, Identity], Sink] = connect,
    ) -> None:
        self.settings = settings
        self._connect = connect
        self.telemetry = telemetry or Telemetry()
        self.signals = ProcessSignals(self.telemetry)
        self._health = HealthSignals(self.telemetry)
        self._journal_signals = JournalSignals(self.telemetry)
        self._upstream_signals = UpstreamSignals(self.telemetry)
        self._certificates = CertificateSignals(self.telemetry)
        self._trends = Trends(self.telemetry.metrics)
        self._closing = False
        self._novita = NovitaTask(progressed=settings.tasks.progressed, raw=settings.tasks.raw)
        self._sources: dict[str, Source] = {each.name: each for each in (self._novita,)}
        self._stopping: asyncio.Task[None] | None = None
        self._ending_chats: asyncio.Task[None] | None = None
        self._edge: Edge | None = None
        self._listeners: Listeners | None = None
        self._publishers = Publishers()
        self._indexes: list[RedisIndex] = []
        self._drain: Drain | None = None
        self._watch: TaskReconciliation | None = None
        self._archive: Archive | None = None
        self._sink_signals: dict[str, SinkSignals] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self._concealed = Concealed(_secrets_of(settings))
        conceal_in_log(self._concealed)

    # -- starting ----------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Opens the journal, starts the publishers, then listens. Raises ``RelayError`` when something is amiss."""
        settings = self.settings
        self.telemetry.spans = open_spans(settings.tracing, settings.identity_name)
        otlp, metrics = settings.telemetry.otlp, self.telemetry.metrics
        self.telemetry.inferences = open_inferences(otlp, settings.identity_name, metrics)
        for message in warnings(settings):
            self.signals.warned(message)
        self.upstream = Upstream(settings.upstream, self._upstream_signals)
        self._tell_egress()
        self.journal = await self._open_journal()
        try:
            self._start_publishers()
            self._tasks.append(asyncio.create_task(self.journal.maintenance.run(), name="journal maintenance"))
            self._tasks.append(asyncio.create_task(self._health.watch_the_loop(), name="loop watch"))
            self._tasks.append(asyncio.create_task(self._trends.run(self._most_pending), name="trends"))
            if self.telemetry.inferences.on:
                sending = self.telemetry.inferences.run(self._update_gauges)
                self._tasks.append(asyncio.create_task(sending, name="otlp metrics"))
            polled = NovitaTask(progressed=True, raw=settings.tasks.raw)
            tasks = TaskSignals(self.telemetry, self._upstream_signals)
            self._watch = TaskReconciliation(settings, self.journal, self.upstream, polled, tasks)
            self._tasks += self._watch.start()
            await self._start_archive(polled)
            self._edge = await self._build_edge(self._watch.reconciler.wake)
            self._listeners = Listeners(self._edge, settings, HttpSignals(self.telemetry))
            self._drain = Drain(self._edge, self._listeners, self.journal, self._publishers, self._watch, self.signals)
            self._note_certificates()
            await self._listeners.open()
        except BaseException:
            await self.stop()
            raise
        self.signals.accepting(True)
        self.signals.started(
            url=self.url,
            admin_url=self.admin_url,
            console=f"{self.url}/" if settings.console.enabled else None,
            sinks=[publisher.label for publisher in self._publishers],
            identity=settings.identity_name,
        )

    async def publish_rest(self, timeout: float) -> tuple[dict[str, int], int]:
        """Publishes what the journal of a relay that is gone holds, within ``timeout`` seconds; listens to nothing.

        Answers the events that are left for each sink, and the tasks that have not ended. Raises ``RelayError``.
        """
        self.upstream = Upstream(self.settings.upstream, self._upstream_signals)
        self.journal = await self._open_journal(must_exist=True)
        try:
            self._ending_chats = await end_open_chats(self.journal, apis(), ChatSignals(self.telemetry))
            self._start_publishers()
            failing = asyncio.create_task(self.failure())
            caught_up = until(lambda: self._publishers.have(self.journal.events.last_offset), timeout)
            catching_up = asyncio.create_task(caught_up)
            await asyncio.wait((failing, catching_up), return_when=_FIRST)
            catching_up.cancel()
            if failing.done():
                raise failing.result()
            failing.cancel()
            counts = await self.journal.projection(Tasks).query(Tasks.counts)
        finally:
            await self.stop()
        return self._pending(), sum(counts[state] for state in PENDING)

    def _pending(self) -> dict[str, int]:
        return {publisher.label: self.journal.progress.pending(publisher.label) for publisher in self._publishers}

    def _most_pending(self) -> int:
        return max(self._pending().values(), default=0)

    @property
    def drain(self) -> Drain:
        """Has it publish everything and then take nothing more, while it goes on running."""
        assert self._drain is not None, "the relay has not been started"
        return self._drain

    @property
    def url(self) -> str:
        """The main listener's base URL."""
        assert self._listeners is not None, "the relay has not been started"
        return self._listeners.main.url

    @property
    def admin_url(self) -> str:
        assert self._listeners is not None, "the relay has not been started"
        return self._listeners.admin.url

    def renew_certificates(self) -> Renewal:
        """Reads the certificates again that listeners show, and those that the upstream's has to be of; may block."""
        renewal = renew([*(self._listeners.certificates if self._listeners is not None else ()), self.upstream.trust])
        self._note_certificates(without=renewal.refused)
        return renewal

    def _note_certificates(self, without: Collection[str] = ()) -> None:
        files = own_certificates(self.settings)
        if files:
            self._certificates.read(validities({use: files[use] for use in files.keys() - set(without)}))

    async def _open_journal(self, *, must_exist: bool = False) -> Journal:
        settings = self.settings
        policy = Policy(
            retention=settings.journal.retention,
            dead_letter_retention=settings.journal.dead_letter_retention,
            max_size=settings.journal.max_size,
            dedup_window=settings.dedup.window,
            max_backlog=settings.journal.max_backlog,
        )
        labels = [config.label for config in settings.sinks]
        path = Path(settings.journal.path)
        names = Names(settings.identity_name, {config.label: config.type for config in settings.sinks})
        journal = await open_journal(
            path,
            labels,
            policy,
            self._journal_signals,
            names=names,
            must_exist=must_exist or settings.journal.must_exist,
        )
        journal.concealed = self._concealed
        opened = journal.progress.journal_id, journal.events.last_offset
        self._journal_signals.journal_opened(str(path), *opened, SQLITE_VERSION)
        return journal

    def _start_publishers(self) -> None:
        identity = Identity(self.settings.identity_name, uuid4().hex)
        for config in self.settings.sinks:
            signals = self._sink_signals[config.label] = SinkSignals(self.telemetry, config.label, config.type)
            sink = self._connect(config, identity)
            publisher = Publisher(config.label, sink, self.journal, signals, claims=self._claims(config.label, sink))
            self._tasks.append(self._publishers.start(publisher, signals))

    async def _start_archive(self, source: Source) -> None:
        if self.settings.archive.url is not None and self._watch is not None:
            from relay.archive.archive import Archive  # loads what few relays need

            signals = OutputSignals(self.telemetry)
            self._archive = Archive(self.settings, self.journal, self._watch.poll, source, signals)
            self._tasks += self._archive.start()

    def _claims(self, label: str, sink: Sink) -> Claims | None:
        """What keeps this sink free of repetitions that several replicas accept, where it cannot do so itself."""
        login = self.settings.dedup.index_login
        if login is None or not isinstance(sink, Shared):
            return None
        from relay.sinks.redis.shared_index import RedisIndex  # loads redis-py, which few relays need for this

        index = RedisIndex(
            login,
            scope=sink.scope,
            identity=self.settings.identity_name,
            origin=lambda: self.journal.progress.lineage.origin,
            lease=sink.in_doubt + _LEASE_MARGIN,
            window=self.settings.dedup.window,
        )
        self._indexes.append(index)
        return Claims(index, ClaimSignals(self.telemetry, label))

    async def _build_edge(self, task_entered: Callable[[], None]) -> Edge:
        chats = ChatSignals(self.telemetry)
        self._ending_chats = await end_open_chats(self.journal, apis(), chats)
        parts = Parts(
            settings=self.settings,
            journal=self.journal,
            upstream=self.upstream,
            telemetry=self.telemetry,
            sources=self._sources,
            apis=apis(),
            submitted=self._novita,
            concealed=self._concealed,
            documents=_documents(),
            chats=chats,
            sinks=self._sink_signals,
            reached=self._upstream_signals,
            trends=self._trends,
        )
        retried = self._archive.archiver.wake if self._archive is not None else None
        return Edge(parts, Hooks(task_entered, self.unready, self._update_gauges, lambda: self.drain, retried))

    def reconfigure(self, settings: Settings) -> None:
        """Goes on with other tokens, secrets and clients; ``relay.settings.take_over`` says what may differ."""
        # What was in force until now is still on its way, and may be quoted.
        self._concealed = Concealed(_secrets_of(self.settings, settings))
        self.journal.concealed = self._concealed
        conceal_in_log(self._concealed)
        self.settings = settings
        if self._edge is not None:
            self._edge.reconfigure(settings, self._concealed)
        if self._watch is not None:
            self._watch.reconfigure(settings)
        if self._archive is not None:
            self._archive.reconfigure(settings)
        self._publishers.reconfigure({config.label: config for config in settings.sinks})
        if (login := settings.dedup.index_login) is not None:
            for index in self._indexes:
                index.reconfigure(login)
        if self.upstream.reconfigure(settings.upstream):
            self._tell_egress()

    def _tell_egress(self) -> None:
        if (egress := self.upstream.egress) is not None:
            self._upstream_signals.egress_proxy_used(str(egress), egress.source)

    # -- looking -----------------------------------------------------------------------------------------------

    def unready(self) -> list[str]:
        """Why nothing should be sent here now; empty when deliveries are accepted durably."""
        reasons: list[str] = [self._drain.state] if self._drain is not None and self._drain.since is not None else []
        refusal = self.journal.accepting()
        if refusal is not None:
            reasons.append(f"{refusal.code}: {refusal.message}")
        return reasons

    async def _update_gauges(self) -> None:
        journal = self.journal
        self.signals.accepting(not self.unready())
        if self._closing:
            return
        letters = await journal.projection(DeadLetters).query(DeadLetters.count)
        self._journal_signals.journal_looked_at(
            events=journal.events.count(), bytes=journal.condition.size, dead_letters=letters
        )
        self._health.looked_at(await asyncio.to_thread(free_bytes, journal.path.parent))
        if self._watch is not None:
            await self._watch.update_gauges()
        if self._archive is not None:
            await self._archive.update_gauges()
        for label, signals in self._sink_signals.items():
            signals.sink_looked_at(await figures_of(journal.progress, label))

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
        """Drains in order: not ready, chats and requests end, no new connections, publishers end, the journal closes.

        Deliveries are taken nearly to the end: what takes time comes before the listener closes, such as giving up a
        sink that is down. What was accepted is published, if its sink is up: this relay may never run again. Bounded
        by ``server.drain_timeout``; nothing depends on reaching the end, the next start recovers. Asked twice, it
        stops once, and both wait for it.
        """
        if self._stopping is None:
            self._stopping = asyncio.create_task(self._stop(), name="stop")
        await self._stopping

    async def _stop(self) -> None:
        deadline = time.monotonic() + self.settings.server.drain_timeout
        if self._drain is not None:
            self._drain.end()
        self.signals.accepting(False)
        if self._watch is not None:
            self._watch.reconciler.stop()
        if self._archive is not None:
            self._archive.archiver.stop()
        if self._ending_chats is not None:
            self._ending_chats.cancel()
        if self._listeners is not None:
            await self._listeners.drain(_for_the_listeners(deadline), min(_LAST_CALL, _share(deadline, 0.1)))
        events = self.journal.events
        await self._publishers.catch_up(accepted := events.last_offset, _share(deadline, 0.5))
        publishing = self._publishers.stop_late(accepted)
        await _finish([task for task in self._tasks if task not in publishing], _share(deadline, 0.7))
        if self._listeners is not None:
            await self._listeners.close(_share(deadline, 0.5))
        await self._publishers.catch_up(events.last_offset, _share(deadline, 0.5))
        self._publishers.stop()
        await _finish(publishing, _share(deadline, 0.7))
        await self.upstream.close()
        self._closing = True
        try:
            await _bounded(self.journal.close(), max(_share(deadline, 1.0), 1.0))
        finally:
            if self._listeners is not None:
                await self._listeners.admin.stop(1.0)
            await asyncio.gather(
                *(each.close(_LAST_SPANS) for each in (self.telemetry.spans, self.telemetry.inferences))
            )
        self.signals.stopped(self._pending())


def _documents() -> ContractRoutes:
    """Each document is loaded with what describes it when somebody asks for it, which few do."""

    def asyncapi() -> bytes:
        from relay.contract import asyncapi, rendered

        return rendered(asyncapi(__version__))

    def openapi() -> bytes:
        from relay.contract import openapi, rendered

        return rendered(openapi(__version__))

    def schemas() -> dict[str, bytes]:
        from relay.contract import rendered, schemas

        return {name: rendered(document) for name, document in schemas().items()}

    return ContractRoutes(asyncapi, openapi, schemas)


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


def _for_the_listeners(deadline: float) -> float:
    """Most of a long drain is for streams, half of a short one: publishers and journal need seconds, not minutes."""
    return max(_share(deadline, 0.5), _share(deadline, 1.0) - _FOR_THE_REST)


def _share(deadline: float, fraction: float) -> float:
    return max(0.0, deadline - time.monotonic()) * fraction


async def _finish(tasks: Collection[asyncio.Task[None]], timeout: float) -> None:
    """Lets the tasks end by themselves for a while, then cancels them; a second wait is bounded, too."""
    care = [task for task in tasks if task.get_name() in _ENDLESS]
    for task in care:
        task.cancel()
    pending = set(tasks)
    if pending:
        _, pending = await asyncio.wait(pending, timeout=timeout)
    for task in pending:
        task.cancel()
    if pending:
        await asyncio.wait(pending, timeout=5.0)


def _secrets_of(*settings: Settings) -> frozenset[str]:
    """All that no answer, event or log line may show: of the settings, and of the egress proxy in the environment."""
    return secrets_of((*settings, *variables(os.environ)))
