"""The simulator as a server: ``async with Simulator(Options()) as simulator: simulator.url``."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from types import TracebackType

import aiohttp
from aiohttp import web

from relay.simulator.chat.routes import Chat
from relay.simulator.directives import UnknownFault
from relay.simulator.options import Options
from relay.simulator.outages import Outage, Outages, Trouble
from relay.simulator.requests import InvalidSubmission
from relay.simulator.tasks import outputs
from relay.simulator.tasks.answers import ApiError, Broken, document, error_response, page, unrouted
from relay.simulator.tasks.ledger import Ledger
from relay.simulator.tasks.routes import Media
from relay.simulator.tasks.webhook_sender import WebhookSender

LEDGER_PATH = "/_simulator/ledger"
OUTAGES_PATH = "/_simulator/outages"
MAX_BODY = 64 * 1024 * 1024
"""Submissions carry images as base64."""

_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Simulator:
    """A stand-in for https://api.novita.ai on one address.

    ``start`` raises ``OSError`` when the address is taken. ``url`` is known once it has started, with the port that
    the system chose where ``Options.port`` is 0. ``ledger`` says what was done so far about tasks, ``exchanges`` what
    was seen on the OpenAI routes, ``scripts`` takes answers to be given there byte for byte. ``begin_outage``
    begins a time of trouble.
    """

    def __init__(self, options: Options | None = None) -> None:
        self.options = options or Options()
        self.ledger = Ledger(self.options.retained)
        self.outages = Outages(self.options.outages)
        self._chat = Chat(self.options)
        self.exchanges = self._chat.exchanges
        self.scripts = self._chat.scripts
        self._carried_out: set[asyncio.Task[web.StreamResponse]] = set()
        self._runner: web.AppRunner | None = None
        self._watching: asyncio.Task[None] | None = None
        self._changed = asyncio.Event()
        self._started_at = 0.0
        self._session: aiohttp.ClientSession | None = None
        self._media: Media | None = None
        self._url = ""

    @property
    def url(self) -> str:
        """``http://host:port``, to be used where a client expects https://api.novita.ai."""
        if not self._url:
            raise RuntimeError("The simulator has no address before it has started. Await start() first.")
        return self._url

    async def start(self) -> None:
        options = self.options
        connector = aiohttp.TCPConnector(limit=options.concurrency)
        self._session = aiohttp.ClientSession(connector=connector)
        self._media = Media(options, self.ledger, WebhookSender(self._session, options.retries, options.concurrency))
        app = web.Application(client_max_size=MAX_BODY, middlewares=[_errors, self._troubled])
        media = [
            web.route(route.method, route.path, self._undisturbed(route.handler)) for route in self._media.routes()
        ]
        reports = [web.get(LEDGER_PATH, self._show_ledger), web.post(OUTAGES_PATH, self._begin_outage)]
        app.add_routes([*reports, *outputs.routes(self.ledger), *self._chat.routes(), *media])
        # A stream ends with the client that reads it, at once.
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0, handler_cancellation=True)
        try:
            await self._runner.setup()
            await web.TCPSite(self._runner, options.host, options.port).start()
        except BaseException:
            await self.stop()
            raise
        host, port = self._runner.addresses[0][:2]
        self._url = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
        self._started_at = time.monotonic()
        self._watching = asyncio.create_task(self._watch(self._runner, host, port))

    def begin_outage(self, trouble: Trouble, seconds: float) -> None:
        """Begins a time of trouble for everybody, now."""
        self.outages.add(Outage(trouble, self._now(), seconds))
        self._changed.set()

    async def stop(self) -> None:
        """Ends what is still to be delivered and frees the address. May be called at any time, and again."""
        self._chat.close()
        if self._watching is not None:
            self._watching.cancel()
            await asyncio.gather(self._watching, return_exceptions=True)
        if self._runner is not None:
            await self._runner.cleanup()
        for unheard in self._carried_out:
            unheard.cancel()
        if self._media is not None:
            await self._media.close()
        if self._session is not None:
            await self._session.close()
        self._media = self._runner = self._session = self._watching = None

    async def wait_idle(self) -> None:
        """Returns when every webhook was delivered or given up. Bound the wait with a timeout."""
        if self._media is not None:
            await self._media.wait_idle()

    async def __aenter__(self) -> Simulator:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    def _undisturbed(self, handler: _Handler) -> _Handler:
        """A submission is carried out although its client has gone: it is the upstream's task then, like any other."""

        async def carry_out(request: web.Request) -> web.StreamResponse:
            work = asyncio.ensure_future(handler(request))
            self._carried_out.add(work)
            work.add_done_callback(self._carried_out.discard)
            return await asyncio.shield(work)

        return carry_out

    # -- the outages -------------------------------------------------------------------------------------------

    def _now(self) -> float:
        return time.monotonic() - self._started_at

    async def _watch(self, runner: web.AppRunner, host: str, port: int) -> None:
        """Closes the address while the upstream is down, and opens it again."""
        while True:
            now = self._now()
            down = self.outages.at(now) == "down"
            if down and runner.sites:
                for site in list(runner.sites):
                    await site.stop()
                _abort_connections(runner)
            elif not down and not runner.sites:
                await web.TCPSite(runner, host, port, reuse_address=True).start()
            change = self.outages.next_change(now)
            self._changed.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(None if change is None else change - now):
                    await self._changed.wait()

    @web.middleware
    async def _troubled(self, request: web.Request, handler: _Handler) -> web.StreamResponse:
        trouble = None if request.path.startswith("/_simulator/") else self.outages.at(self._now())
        if trouble is None:
            return await handler(request)
        if trouble == "errors":
            raise ApiError(500, "the upstream is in trouble", "GET_RESULT_FAILED")
        if trouble == "storm":
            raise ApiError(429, "rate limit exceeded", retry_after=self.options.retry_after)
        if trouble == "html":
            return page(502)
        raise Broken

    async def _begin_outage(self, request: web.Request) -> web.Response:
        """``{"trouble": "storm", "seconds": 60}`` begins at once."""
        try:
            body = await request.json()
            self.begin_outage(body["trouble"], float(body["seconds"]))
        except (ValueError, TypeError, KeyError) as problem:
            raise ApiError(400, f"trouble and seconds are needed: {problem}") from None
        return document({"trouble": body["trouble"]})

    async def _show_ledger(self, request: web.Request) -> web.Response:
        return document(self.ledger.as_json(request.query.get("task_id")))


@web.middleware
async def _errors(request: web.Request, handler: _Handler) -> web.StreamResponse:
    """Errors in the upstream's shapes; a known path under another method is as unknown as any other."""
    try:
        return await handler(request)
    except ApiError as error:
        return error_response(error)
    except (InvalidSubmission, UnknownFault) as problem:
        return error_response(ApiError(400, str(problem)))
    except Broken:
        if request.transport is not None:
            request.transport.abort()
        return web.Response()
    except (web.HTTPNotFound, web.HTTPMethodNotAllowed):
        return unrouted()


def _abort_connections(runner: web.AppRunner) -> None:
    assert runner.server is not None
    for connection in runner.server.connections:
        if connection.transport is not None:
            connection.transport.abort()
