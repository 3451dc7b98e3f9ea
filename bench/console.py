"""How long does the console take? ``make bench-console``: a real Chromium on a journal with 100,000 events.

Each view is opened again and again: from another view of the page, and as a new page. It counts until the view shows
what it asked for, is painted, and the page does nothing else: then a click is answered at once. Beside it is what
relay took of that, by the browser's own clock.
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

from playwright.async_api import Browser

from bench._journals import relay_over
from bench._populated import CHATS, DEAD, EVENTS, TASKS, populated
from tests.e2e.console_stage import chromium, visit

VIEWS = {
    "overview": ("#/overview", ".chart"),
    "live": ("#/events", ".event"),
    "tasks": ("#/tasks", "tbody tr"),
    "tasks, the longest": ("#/tasks?sort=duration", "tbody tr"),
    "tasks, of one type, failed": ("#/tasks?state=failed&type=UPSCALE", "tbody tr"),
    "tasks, six hours": ("#/tasks?since=18h&until=12h", "tbody tr"),
    "chats": ("#/chats", "tbody tr"),
    "chats, most tokens": ("#/chats?sort=tokens", "tbody tr"),
    "chats, of one model, failed": ("#/chats?state=failed&model=moonshotai/kimi-k2", "tbody tr"),
    "chats, six hours": ("#/chats?since=18h&until=12h", "tbody tr"),
    "dead letters": ("#/dead-letters", "tbody tr"),
    "health": ("#/health", ".facts"),
}
AIM = 300
"""Milliseconds until a view can be used."""

USABLE = """async ([address, selector]) => {
  const began = address === null ? 0 : performance.now();
  if (address !== null) location.hash = address;
  await new Promise((done) => {
    const look = () => {
      const there = document.querySelector(`main ${selector}`) && !document.querySelector("main [aria-busy]");
      requestAnimationFrame(there ? () => setTimeout(done) : look);
    };
    look();
  });
  const took = performance.now() - began;
  const asked = performance.getEntriesByType("resource").filter(({ name, startTime }) =>
    startTime >= began && name.includes("/v1/") && !name.includes("/v1/status"));
  const served = Math.max(0, ...asked.map(({ requestStart, responseEnd }) => responseEnd - requestStart));
  return [took, served];
}"""


async def opened(browser: Browser, url: str, address: str, selector: str, *, fresh: bool) -> list[float]:
    """Milliseconds until a view could be used, and those of relay's slowest answer for it."""
    async with visit(browser, url) as console:
        if fresh:
            await console.page.goto(f"{url}/{address}")
            return list(await console.page.evaluate(USABLE, [None, selector]))
        await console.open("#/subjects/none")
        await console.page.locator(".nothing, .failure").wait_for()
        return list(await console.page.evaluate(USABLE, [address, selector]))


def figures(taken: list[list[float]]) -> str:
    """The median and the slowest, and the median of what relay took."""
    all_of = [took for took, _ in taken]
    return f"{median(all_of):.0f} | {max(all_of):.0f} | {median(served for _, served in taken):.0f}"


async def measure(url: str, wanted: dict[str, Any], times: int) -> float:
    """Prints a row for each view; the slowest median."""
    slowest = 0.0
    async with chromium() as browser:
        await opened(browser, url, *VIEWS["overview"], fresh=True)  # what each browser pays once
        for name, (address, selector) in wanted.items():
            taken = {
                fresh: [await opened(browser, url, address, selector, fresh=fresh) for _ in range(times)]
                for fresh in (False, True)
            }
            print(f"| {name} | {figures(taken[False])} | {figures(taken[True])} |", flush=True)
            slowest = max(slowest, *(median(took for took, _ in each) for each in taken.values()))
    return slowest


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--times", type=int, default=7, help="how often each view is opened")
    parser.add_argument("--views", nargs="*", help="only those whose names begin so")
    options = parser.parse_args()
    begins = tuple(options.views or ("",))
    wanted = {name: view for name, view in VIEWS.items() if name.startswith(begins)}
    with tempfile.TemporaryDirectory(prefix="relay-console-") as name:
        folder = Path(name)
        populated(folder / "relay.db", time.time_ns() // 1_000_000)
        print(f"{EVENTS:,} events, {TASKS:,} tasks, {CHATS:,} chats, {DEAD:,} dead letters; milliseconds\n")
        print(
            "| view | within the page: median | slowest | of it relay | as a new page: median | slowest | of it relay |"
        )
        print("|---|---|---|---|---|---|---|", flush=True)
        with relay_over(folder, {"reconcile": {"enabled": False}}) as (server, _):
            slowest = asyncio.run(measure(f"http://127.0.0.1:{server.port}", wanted, options.times))
    print(f"\nThe slowest median is {slowest:.0f} ms; the aim is {AIM} ms.")


if __name__ == "__main__":
    main()
