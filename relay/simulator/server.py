"""The simulator as a server: ``async with Simulator(Options()) as simulator: simulator.url``."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from types import TracebackType

import aiohttp
from aiohttp import web

from relay.simulator.answers import Refused, document, error, unrouted
from relay.simulator.chat.exchanges import Exchanges
from relay.simulator.chat.routes import Chat
from relay.simulator.chat.scripts import Scripts
from relay.simulator.courier import Courier
from relay.simulator.ledger import Ledger
from relay.simulator.media import Media
from relay.simulator.options import Options

LEDGER_PATH = "/_simulator/ledger"
MAX_BODY = 64 * 1024 * 1024
"""Submissions carry images as base64."""

_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Simulator:
    """A stand-in for https://api.novita.ai on one address.

    ``start`` raises ``OSError`` when the address is taken. ``url`` is known once it has started, with the port that
    the system chose where ``Options.port`` is 0. ``ledger`` says what was done so far about tasks, ``exchanges`` what
    was seen on the OpenAI routes, ``scripts`` takes answers to be given there byte for byte.
    """

    def __init__(self, options: Options | None = None) -> None:
        self.options = options or Options()
        self.ledger = Ledger(self.options.retained)
        self._chat = Chat(self.options)
        self._carried_out: set[asyncio.Task[web.StreamResponse]] = set()
        self._runner: web.AppRunner | None = None
        self._session: aiohttp.ClientSession | None = None
        self._media: Media | None = None
        self._url = ""

    @property
    def url(self) -> str:
        """``http://host:port``, to be used where a client expects https://api.novita.ai."""
        if not self._url:
            raise RuntimeError("The simulator has no address before it has started. Await start() first.")
        return self._url

    @property
    def exchanges(self) -> Exchanges:
        """What was seen on the OpenAI routes."""
        return self._chat.exchanges

    @property
    def scripts(self) -> Scripts:
        """Answers to be given on the OpenAI routes byte for byte."""
        return self._chat.scripts

    async def start(self) -> None:
        options = self.options
        connector = aiohttp.TCPConnector(limit=options.concurrency)
        self._session = aiohttp.ClientSession(connector=connector)
        self._media = Media(options, self.ledger, Courier(self._session, options.retries, options.concurrency))
        app = web.Application(client_max_size=MAX_BODY, middlewares=[_errors])
        media = [
            web.route(route.method, route.path, self._undisturbed(route.handler)) for route in self._media.routes()
        ]
        app.add_routes([web.get(LEDGER_PATH, self._show_ledger), *self._chat.routes(), *media])
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

    async def stop(self) -> None:
        """Ends what is still to be delivered and frees the address. May be called at any time, and again."""
        self._chat.close()
        if self._runner is not None:
            await self._runner.cleanup()
        for unheard in self._carried_out:
            unheard.cancel()
        if self._media is not None:
            await self._media.close()
        if self._session is not None:
            await self._session.close()
        self._media = self._runner = self._session = None

    async def settled(self) -> None:
        """Returns when every webhook was delivered or given up. Bound the wait with a timeout."""
        if self._media is not None:
            await self._media.settled()

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

    async def _show_ledger(self, request: web.Request) -> web.Response:
        return document(self.ledger.as_json(request.query.get("task_id")))


@web.middleware
async def _errors(request: web.Request, handler: _Handler) -> web.StreamResponse:
    """Errors in the upstream's shapes; a known path under another method is as unknown as any other."""
    try:
        return await handler(request)
    except Refused as refused:
        return error(refused)
    except (web.HTTPNotFound, web.HTTPMethodNotAllowed):
        return unrouted()
