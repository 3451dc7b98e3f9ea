"""Takes the pictures of the console in ``docs/images``: ``make screenshots``, by hand after a change that is seen.

A folder as argument takes them elsewhere, and all views in all three shapes, to be looked at.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
from pathlib import Path

from playwright.async_api import Browser, Page, expect

from tests.e2e.console_stage import PHONE, UNREADABLE, Stage, chromium, stage, visit
from tests.services.redis import RedisServer

DOCS = Path(__file__).resolve().parents[2] / "docs" / "images"
ANSWER = (
    "A kite flies as high as its line is long, as its weight allows, and as the wind carries it. With a light line and "
    "a steady wind, a few hundred metres are easy to reach; the record stands at nearly five kilometres, with a train "
    "of kites on one line.\n\nFor an afternoon at the sea, sixty metres of line are plenty."
)
SHAPES = {"light": {}, "dark": {"color_scheme": "dark"}, "phone": {"viewport": PHONE, "device_scale_factor": 2}}
KEPT = {
    "console-live-light": "events",
    "console-task-dark": "task",
    "console-chat-light": "chat",
    "console-health-dark": "health",
    "console-task-phone": "task",
}


async def played(on: Stage) -> dict[str, str]:
    """Plays a small scene; the addresses of what there is to see of it."""
    task = await on.submit("doubled=3")
    for simulate, path in (
        ("none", "/v3/async/minimax-hailuo-02"),
        ("lost,fail", "/v3/async/img2img"),
        ("late=500ms", "/v3/async/minimax-speech-02-hd"),
        ("contradict", "/v3/async/txt2img"),
        ("resigned", "/v3/async/qwen-image-txt2img"),
    ):
        await on.ended(await on.submit(simulate, path))
    await on.ended(await on.chat("A short answer.", "error-frame=flat"))
    await on.ended(await on.chat("It calls what it needs.", "tools=2, reasoning=content"))
    await on.deliver(UNREADABLE)
    await on.deliver(b'{"event_type": "SOMETHING_NEW"}')
    chat = await on.chat(ANSWER, "pace=40ms, reasoning=content")
    growing = await on.chat(ANSWER * 3, "pace=400ms")
    await on.ended(task)
    await on.ended(chat)
    return {
        "overview": "#/overview",
        "events": "#/events",
        "task": f"#/subjects/{task}",
        "chat": f"#/subjects/{chat}",
        "growing": f"#/subjects/{growing}",
        "tasks": "#/tasks?state=all",
        "chats": "#/chats",
        "dead-letters": "#/dead-letters",
        "dead-letter": f"#/dead-letters/{(await on.dead_letters())[0]}",
        "health": "#/health",
    }


async def take(page: Page, address: str, file: Path) -> None:
    """A picture of what is on the screen."""
    await page.goto(page.url.partition("#")[0] + address)
    await expect(page.locator("main [aria-busy]")).to_have_count(0)
    await expect(page.locator("#readiness")).to_have_text("Ready")
    await page.evaluate("Promise.all([...document.images].map(image => image.decode().catch(() => null)))")
    if "events" in address:
        await expect(page.locator(".event").nth(8)).to_be_visible()
    await page.evaluate("document.activeElement.blur()")
    await page.screenshot(path=file, animations="disabled")


async def shoot(browser: Browser, url: str, views: dict[str, str], folder: Path, wanted: dict[str, str]) -> None:
    """The wanted pictures: their names end in their shape."""
    for shape, context in SHAPES.items():
        async with visit(browser, url, **context) as console:
            await console.open()
            for name, view in wanted.items():
                if name.endswith(shape):
                    await take(console.page, views[view], folder / f"{name}.png")


async def main(folder: Path | None) -> None:
    with tempfile.TemporaryDirectory() as place:
        redis = RedisServer(Path(place) / "redis")
        await redis.start()
        try:
            polls = {"first_after": "1s", "every": "1s"}
            async with stage(Path(place) / "relay", redis=redis.redis, reconcile=polls) as on, chromium() as browser:
                views = await played(on)
                every = {f"{view}-{shape}": view for view in views for shape in SHAPES}
                await shoot(browser, on.relay.url, views, folder or DOCS, every if folder else KEPT)
        finally:
            redis.kill()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]) if sys.argv[1:] else None))
