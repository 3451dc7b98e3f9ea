"""Many dead letters in the console, in a real Chromium: by reason, replayed and deleted together."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Locator, Route, expect

from tests.e2e.conftest import Visits
from tests.e2e.console_stage import PHONE, Stage, Visit, reconfigured, stage
from tests.integration.deliveries import new_task, succeeded
from tests.services.redis import Redis

pytestmark = pytest.mark.asyncio(loop_scope="module")

KIB = 1024
HOLD_ROWS = """
  window.held = [];
  const later = window.setTimeout;
  window.setTimeout = (call, ms, ...given) =>
    call?.name === "grow" ? held.push(() => call(...given)) : later(call, ms, ...given);
"""
"""Has the rows below a table's first screen wait."""


@pytest_asyncio.fixture(loop_scope="module")
async def relay(tmp_path: Path) -> AsyncIterator[Stage]:
    """With four dead letters of one reason and one of another."""
    async with stage(tmp_path / "relay") as staged:
        for number in range(4):
            assert await staged.deliver(unreadable(number)) == "dead"
        await staged.deliver(b'{"event_type": "SOMETHING_NEW"}')
        yield staged


def unreadable(number: int) -> bytes:
    return json.dumps({"task": {"task_id": f"t-{number}", "status": "NO_SUCH_STATUS"}}).encode()


def group(console: Visit, reason: str) -> Locator:
    return console.page.locator("section.group", has=console.page.get_by_role("heading", name=reason, exact=True))


async def test_all_of_one_reason_are_deleted_after_a_question(relay: Stage, visits: Visits) -> None:
    """Hundreds of dead letters with one cause would take hundreds of clicks, or go at one wrong click."""
    console = await visits(relay.relay.url, viewport=PHONE)
    page = console.page
    await console.open("#/dead-letters")
    unknown = group(console, "unknown_status")
    await expect(unknown.locator("tbody tr")).to_have_count(4)
    await expect(page.get_by_role("button", name="Delete selected…")).to_be_disabled()
    await unknown.get_by_label("Select all 4").check()
    await expect(page.get_by_text("4 selected")).to_be_visible()
    await unknown.locator("tbody input").first.uncheck()
    await page.get_by_role("button", name="Delete selected…").click()
    await page.get_by_role("button", name="Keep them").click()
    assert len(await relay.dead_letters()) == 5
    await page.get_by_role("button", name="Delete selected…").click()
    await page.get_by_role("dialog", name="Delete 3 dead letters?").get_by_role("button", name="Delete them").click()
    await expect(page.get_by_role("status").filter(has_text="3 dead letters deleted.")).to_be_focused()
    await expect(unknown.locator("tbody tr")).to_have_count(1)
    assert await console.axe() == []
    assert len(await relay.dead_letters()) == 2
    for box in await page.locator("section.group label input").all():
        await box.check()
    await page.get_by_role("button", name="Delete selected…").click()
    await page.get_by_role("button", name="Delete them").click()
    await expect(page.get_by_text("No dead letters")).to_be_visible()
    assert await relay.dead_letters() == []
    assert console.errors() == []


async def test_all_means_those_below_the_first_screen_too(relay: Stage, visits: Visits) -> None:
    """A long table shows its first rows at once: what comes after them would not be selected, and stay behind."""
    for number in range(4, 100):
        assert await relay.deliver(unreadable(number)) == "dead"
    console = await visits(relay.relay.url)
    await console.page.add_init_script(HOLD_ROWS)
    await console.open("#/dead-letters")
    unknown = group(console, "unknown_status")
    await unknown.get_by_label("Select all 100").check()
    await expect(console.page.get_by_text("30 selected")).to_be_visible()
    await expect(console.page.get_by_role("button", name="Delete selected…")).to_be_disabled()
    await console.page.evaluate("while (held.length) held.shift()()")
    await expect(console.page.get_by_text("100 selected")).to_be_visible()
    await console.page.get_by_role("button", name="Delete selected…").click()
    await console.page.get_by_role("button", name="Delete them").click()
    await expect(console.page.get_by_text("100 dead letters deleted.")).to_be_visible()
    assert len(await relay.dead_letters()) == 1


async def test_what_can_be_replayed_is_and_the_rest_says_why_not(
    tmp_path: Path, redis_server: Redis, visits: Visits
) -> None:
    """One that cannot be replayed would stop all others, or nobody would know which one it was."""
    async with stage(tmp_path / "relay", redis=redis_server) as staged:
        config = json.loads(staged.relay.config.read_text())
        await reconfigured(staged, config, max_event_bytes=20 * KIB)
        for _ in range(2):
            await staged.deliver(succeeded(new_task(), filler=30 * KIB))
        await staged.relay.until_drained()
        await staged.deliver(unreadable(1))
        await reconfigured(staged, config)
        console = await visits(staged.relay.url)
        page = console.page
        await console.open("#/dead-letters")
        for reason in ("too_large", "unknown_status"):
            await group(console, reason).get_by_label("Select all").check()
        await page.get_by_role("button", name="Replay selected").click()
        outcome = page.get_by_role("status").filter(has_text="2 dead letters replayed.")
        await expect(outcome).to_have_text("2 dead letters replayed. 1 refused: the reason is beside each.")
        await expect(page.locator("tbody tr")).to_have_count(1)
        await expect(page.locator(".refusal")).to_contain_text("Not replayed: It still cannot be read")
        await staged.relay.until_drained()
        assert len(await staged.dead_letters()) == 1


async def test_it_can_be_stopped_and_a_relay_that_goes_away_stops_it(relay: Stage, visits: Visits) -> None:
    """What was begun by mistake would go on to the end, or each of hundreds would fail by itself."""
    console = await visits(relay.relay.url)
    page, asked, go_on = console.page, asyncio.Event(), asyncio.Event()

    async def held_up(route: Route) -> None:
        asked.set()
        await go_on.wait()
        await route.continue_()

    async def refused(route: Route) -> None:
        await route.abort()

    await console.open("#/dead-letters")
    await group(console, "unknown_status").get_by_label("Select all").check()
    await page.route("**/v1/dead-letters/*", held_up)
    await page.get_by_role("button", name="Delete selected…").click()
    await page.get_by_role("button", name="Delete them").click()
    await asked.wait()
    await page.get_by_role("button", name="Stop").click()
    go_on.set()
    await expect(page.get_by_text("1 dead letter deleted. 3 not tried.")).to_be_visible()
    assert len(await relay.dead_letters()) == 4
    await page.unroute("**/v1/dead-letters/*")
    await page.route("**/v1/dead-letters/*", refused)
    await page.get_by_role("button", name="Delete selected…").click()
    await page.get_by_role("button", name="Delete them").click()
    await expect(page.get_by_text("0 dead letters deleted. 3 not tried.")).to_be_visible()
    await expect(page.get_by_role("alert")).to_contain_text("relay does not answer")
    assert len(await relay.dead_letters()) == 4
