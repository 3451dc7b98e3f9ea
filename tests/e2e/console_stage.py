"""What the console is looked at with: a relay as a user runs it, a simulated upstream, a Redis, and a real Chromium."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import aiohttp
from playwright.async_api import Browser, ConsoleMessage, Locator, Page, async_playwright, expect

from relay.apis import apis
from relay.core.chat.api import Api
from relay.simulator.options import Options, Retries
from relay.simulator.server import Simulator
from tests.e2e.sdks.install import node_modules
from tests.services.programs import executable
from tests.services.redis import Redis
from tests.services.relay import RelayProcess

Json = dict[str, Any]

WITHIN = 30.0
PACE = Options(seed=3, queue_seconds=0.1, run_seconds=0.2, retries=Retries(spacing=(0.2,)))
DESKTOP = {"width": 1280, "height": 800}
PHONE = {"width": 360, "height": 740}
UNREADABLE = (
    b'{"event_type": "ASYNC_TASK_RESULT", "payload": {"task": {"task_id": "t-odd", "status": "NO_SUCH_STATUS"}}}'
)
_FLAGS = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync", "--disable-dev-shm-usage"),
)
expect.set_options(timeout=WITHIN * 1000)  # five seconds by default, which a busy machine can take
AXE = Path(__file__).resolve().parent / "axe"


@dataclass
class Stage:
    """A relay that has something to show, and what makes it have more."""

    relay: RelayProcess
    simulator: Simulator
    session: aiohttp.ClientSession
    _open: set[asyncio.Task[None]] = field(default_factory=set)

    async def submit(self, simulate: str = "none", path: str = "/v3/async/txt2img") -> str:
        """Submits a task through the relay; its id."""
        body = {"request": {"prompt": "a kite"}, "prompt": "a kite", "text": "a kite"}
        headers = {"X-Simulate": simulate}
        async with self.session.post(self.relay.url + path, json=body, headers=headers) as response:
            return str((await response.json())["task_id"])

    async def chat(
        self, text: str, simulate: str = "none", *, key: str = "", api: str = "chat_completions", **more: Any
    ) -> str:
        """Begins a chat through the relay, whose model says the text again; its id. It goes on by itself.

        ``key``: of the client that sends it, where it is another one than the stage's; ``more``: of the request.
        """
        begun: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        headers = {"X-Simulate": f"echo, {simulate}", **_shown(key)}
        conversing = asyncio.create_task(self._converse(apis()[api], text, headers, more, begun))
        self._open.add(conversing)
        conversing.add_done_callback(self._open.discard)
        return await begun

    async def _converse(
        self, api: Api, text: str, headers: dict[str, str], more: Json, begun: asyncio.Future[str]
    ) -> None:
        asked = text if api.said.messages == "prompt" else [{"role": "user", "content": text}]
        body = {**api.example, api.said.messages: asked, **more}
        url = f"{self.relay.url}{api.prefixes[0]}v1{api.route}"
        async with self.session.post(url, json=body, headers=headers) as response:
            begun.set_result(response.headers["X-Relay-Chat-Id"])
            with contextlib.suppress(aiohttp.ClientPayloadError):  # the test may have asked for a broken stream
                await response.read()

    async def deliver(self, body: bytes | Json) -> str:
        """A delivery, as the upstream posts it; what became of it."""
        sent = {"data": body} if isinstance(body, bytes) else {"json": body}
        async with self.session.post(self.relay.webhook_url, **sent) as response:
            return str((await response.json())["status"])

    async def dead_letters(self) -> list[str]:
        """The ids of those that are held, the oldest first."""
        async with self.session.get(f"{self.relay.url}/v1/dead-letters") as response:
            letters = (await response.json())["dead_letters"]
        return [letter["id"] for letter in sorted(letters, key=lambda letter: letter["accepted_at"])]

    async def ended(self, subject: str) -> Json:
        """The terminal event of a task or a stream, once it is there."""
        async with asyncio.timeout(WITHIN):
            while True:
                url = f"{self.relay.url}/v1/events?limit=1000"
                async with self.session.get(url, params={"subject": subject}) as response:
                    for entry in (await response.json())["events"]:
                        if entry["event"]["type"].rpartition(".")[2] not in ("submitted", "started", "chunk"):
                            return dict(entry["event"])
                await asyncio.sleep(0.05)

    async def settle(self) -> None:
        """Leaves the chats that are still under way."""
        for conversing in self._open:
            conversing.cancel()
        await asyncio.gather(*self._open, return_exceptions=True)


@asynccontextmanager
async def stage(
    directory: Path, *, redis: Redis | None = None, sinks: Sequence[Json] = (), key: str = "", **sections: Any
) -> AsyncIterator[Stage]:
    """A relay behind a simulated upstream, with a Redis as its sink where one is given.

    ``key``: of the client that submits tasks and sends chats, where the relay knows clients.
    """
    own = [{"type": "redis", "url": redis.url, "prefix": redis.prefix()}] if redis else []
    async with Simulator(PACE) as simulator, aiohttp.ClientSession(headers=_shown(key)) as session:
        upstream = {"base_url": simulator.url}
        relay = RelayProcess(directory, sinks=[*own, *sinks], public=True, upstream=upstream, **sections)
        await relay.start()
        staged = Stage(relay, simulator, session)
        try:
            yield staged
        finally:
            await staged.settle()
            relay.kill()


def _shown(key: str) -> dict[str, str]:
    """The header with which a client shows its key."""
    return {"Authorization": f"Bearer {key}"} if key else {}


async def reconfigured(staged: Stage, config: Json, **sink: object) -> None:
    """The relay started again, with other settings of its sink."""
    (settings,) = config["sinks"]
    staged.relay.kill()
    staged.relay.config.write_text(json.dumps({**config, "sinks": [{**settings, **sink}]}))
    await staged.relay.start()


@dataclass
class Visit:
    """The console in a tab of its own, and everything that the tab said, asked for, and was not allowed to do."""

    page: Page
    url: str
    said: list[str] = field(default_factory=list)
    asked_for: list[str] = field(default_factory=list)

    async def open(self, fragment: str = "#/events") -> None:
        """Goes to a view, and waits until it is there: the one before it stays until it has been loaded."""
        await self.page.evaluate("document.querySelector('main h1')?.setAttribute('data-left', '')")
        await self.page.goto(f"{self.url}/{fragment}")
        await self.page.locator("main h1:not([data-left])").wait_for()

    def row(self, subject: str) -> Locator:
        """What the live events show of a task or a stream."""
        return self.page.locator(".event", has_text=subject)

    def errors(self) -> list[str]:
        """What a developer would see in red, violations of the content security policy among it."""
        return [text for text in self.said if text.startswith(("error", "pageerror", "violation"))]

    async def axe(self) -> list[str]:
        """What the accessibility checks find (WCAG 2.2 AA and good practice). They run beside the page's own policy."""
        await self.page.evaluate(_axe_source())
        found = await self.page.evaluate("() => axe.run()")
        return [f"{each['id']}: {node['html'][:160]}" for each in found["violations"] for node in each["nodes"]]


@asynccontextmanager
async def chromium(*more: str) -> AsyncIterator[Browser]:
    """Debian's Chromium as it is without windows, with further flags.

    The shell lacks the windows' own code and nothing that a page sees; `chromium --headless` takes twice the CPU.
    """
    program = executable("chromium-headless-shell")
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=program, args=[*_FLAGS, *more])
        yield browser
        await browser.close()


@asynccontextmanager
async def visit(browser: Browser, url: str, **context: Any) -> AsyncIterator[Visit]:
    """A tab without a past; ``context`` is how the user's browser is set up."""
    options = {"viewport": DESKTOP, "locale": "en-GB", "timezone_id": "UTC", **context}
    opened = await browser.new_context(**options)
    opened.set_default_timeout(WITHIN * 1000)
    page = await opened.new_page()
    here = Visit(page, url)
    await page.expose_function("violated", lambda text: here.said.append(f"violation: {text}"))
    await page.add_init_script(
        "addEventListener('securitypolicyviolation', e => violated(`${e.violatedDirective} ${e.blockedURI}`))"
    )

    def hear(message: ConsoleMessage) -> None:
        here.said.append(f"{message.type}: {message.text}")

    page.on("console", hear)
    page.on("pageerror", lambda error: here.said.append(f"pageerror: {error}"))
    page.on("request", lambda request: here.asked_for.append(request.url))
    yield here
    await opened.close()


@cache
def _axe_source() -> str:
    return (node_modules(AXE, "axe") / "axe-core" / "axe.min.js").read_text("utf-8")
