"""The live events of the console in a real Chromium: what the journal answers over any time."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
import pytest_asyncio
from playwright.async_api import Route, expect

from tests.e2e.conftest import Visits
from tests.e2e.console_stage import PHONE, Json, Stage, Visit, stage

pytestmark = pytest.mark.asyncio(loop_scope="module")

FAILED = 130
NOISE = 2_300
"""Events after those: more than the page shows at once, and more than it used to look through."""

MANY_CHUNKS = 700
MOST = "MOST = 2_000"
"""Rows in the list, as feed.js has it."""

KOLKATA = ZoneInfo("Asia/Kolkata")


def result(task_id: str, status: str = "SUCCEED") -> Json:
    return {"task": {"task_id": task_id, "status": f"TASK_STATUS_{status}"}}


async def delivered(on: Stage, results: list[Json]) -> None:
    for begin in range(0, len(results), 100):
        await asyncio.gather(*map(on.deliver, results[begin : begin + 100]))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def relay(module_path: Path) -> AsyncIterator[Stage]:
    """A relay with some failures, the oldest of all, and many other events after them."""
    async with stage(module_path / "relay", proxy={"chunks": "each"}) as staged:
        for n in range(FAILED):
            await staged.deliver(result(f"t-failed-{n:03}", "FAILED"))
        await delivered(staged, [result(f"t-noise-{n}") for n in range(NOISE)])
        yield staged


@pytest_asyncio.fixture(loop_scope="module")
async def console(visits: Visits, relay: Stage) -> AsyncIterator[Visit]:
    """A tab in which nothing may turn red."""
    opened = await visits(relay.relay.url, timezone_id="Asia/Kolkata")
    yield opened
    assert opened.errors() == []


async def test_a_filter_is_answered_by_the_whole_journal_page_by_page(console: Visit) -> None:
    """A failure of yesterday would not be among the newest events, and the page would say that there is none."""
    page, rows = console.page, console.page.locator(".event")
    await console.open("#/events?type=relay.task.failed")
    await expect(rows).to_have_count(100)
    await expect(rows.first).to_contain_text(f"t-failed-{FAILED - 1}")
    await page.get_by_role("button", name="Load older").click()
    await expect(rows).to_have_count(FAILED)
    await expect(rows.last).to_contain_text("t-failed-000")
    await expect(page.get_by_text("The journal holds nothing older.")).to_be_visible()
    await expect(page.get_by_role("button", name="Load older")).to_have_count(0)
    await expect(page.locator(".state")).to_have_text("Live")


async def test_what_is_loaded_and_what_arrives_is_one_list_without_gap(relay: Stage, console: Visit) -> None:
    """Events between the old and the new ones would be missing, or be there twice."""
    page = console.page
    await console.open()
    await expect(page.locator(".event")).to_have_count(100)
    await page.get_by_role("button", name="Load older").click()
    await expect(page.locator(".event")).to_have_count(200)
    await delivered(relay, [result(f"t-arrives-{n}") for n in range(30)])
    await expect(page.locator(".event")).to_have_count(230)
    offsets = [int(each) for each in await page.locator(".event .offset").all_text_contents()]
    assert offsets == list(range(offsets[0], offsets[0] - 230, -1))


async def test_what_waited_beyond_the_bound_can_be_loaded(console: Visit) -> None:
    """After a long pause events would be missing in the middle of the list, and nothing would say so."""
    await console.open()
    await expect(console.page.locator(".event")).to_have_count(100)
    offsets = await console.page.evaluate(
        """async () => {
          const { feed, CAPACITY } = (await import(document.scripts[0].src)).modules["feed.js"];
          const event = { type: "relay.task.submitted", subject: "t", time: new Date().toISOString(), data: {} };
          const after = feed.rows[0].offset;
          feed.pause();
          for (let at = 1; at <= 3 * CAPACITY; at += 1) feed.take({ offset: after + at, event });
          feed.resume();
          return [feed.rows.at(-1).offset, feed.reached, feed.rows[0].offset - after, CAPACITY];
        }"""
    )
    oldest, reached, newest, capacity = offsets
    assert (oldest, newest) == (reached, 3 * capacity), "older ones are asked for from the oldest that is shown"
    await expect(console.page.locator(".event")).to_have_count(capacity)


async def test_the_list_stops_growing_and_says_how_to_see_more(console: Visit) -> None:
    """A tab in which somebody loads older events again and again would eat the memory of the machine."""
    page = console.page

    async def shorter(route: Route) -> None:
        response = await route.fetch()
        script = await response.text()
        assert MOST in script
        await route.fulfill(response=response, body=script.replace(MOST, "MOST = 400"))  # 2,000 take a browser 20 s

    await page.route("**/console.js", shorter)
    await console.open()
    older = page.get_by_role("button", name="Load older")
    for loaded in range(100, 400, 100):
        await expect(page.locator(".event")).to_have_count(loaded)
        await older.click()
    await expect(page.get_by_text("The list is full.")).to_be_visible()
    await expect(older).to_have_count(0)


async def test_chunks_of_chats_take_no_place_in_the_list(relay: Stage, console: Visit) -> None:
    """One long answer would push everything else out of sight."""
    await relay.deliver(result("t-before-the-chat"))
    chat = await relay.chat(" ".join("w" for _ in range(MANY_CHUNKS)))
    await relay.ended(chat)
    await console.open()
    await expect(console.row("t-before-the-chat")).to_have_count(1)
    await expect(console.row(chat)).to_have_count(2)
    await relay.ended(await relay.chat("one two three"))
    await expect(console.page.locator(".event", has_text="Chat completed")).to_have_count(2)
    await expect(console.page.locator(".event", has_text="Chat chunk")).to_have_count(0)
    await console.open(f"#/events?topic=chat-chunks&subject={chat}")
    await expect(console.page.locator(".event")).to_have_count(100)


async def test_a_time_range_is_searched_by_the_journal_and_stands_in_the_address(relay: Stage, console: Visit) -> None:
    """What happened an hour ago could only be found with curl."""
    page = console.page
    future = datetime.now(UTC).replace(microsecond=0) + timedelta(hours=2)
    await console.open("#/events?since=1h")
    await expect(page.locator(".event")).to_have_count(100)
    await page.get_by_label("From").fill(future.astimezone(KOLKATA).strftime("%Y-%m-%dT%H:%M:%S"))
    await page.keyboard.press("Enter")
    await expect(page.get_by_text("Nothing matches")).to_be_visible()
    await expect(page.get_by_text("relay searched the whole time range.")).to_be_visible()
    assert f"since={future:%Y-%m-%dT%H}%3A{future:%M}%3A{future:%S}.000Z" in page.url
    await expect(page.locator(".state")).to_have_text("Live")
    until = (await relay.ended("t-failed-050"))["data"]["received_at"]
    await console.open(f"#/events?until={until}")
    await expect(page.locator(".event").first).to_contain_text(re.compile("t-failed-0(50|49)"))
    await expect(page.locator(".state")).to_have_text("Not live: To is set")
    await expect(page.get_by_role("button", name="Pause")).to_be_hidden()
    shown = datetime.fromisoformat(until).astimezone(KOLKATA).strftime("%Y-%m-%dT%H:%M:%S")
    # Browsers leave out seconds that are 0.
    await expect(page.get_by_label("To", exact=True)).to_have_value(shown.removesuffix(":00"))
    await page.get_by_label("Topic").select_option("tasks")
    assert f"until={until.replace(':', '%3A')}" in page.url, "a time that was not touched stays as exact as it was"


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ("type=relay.task.nonsense", "relay.task.succeeded"),
        ("topic=nonsense", "tasks, chat, chat-chunks, outputs, dead-letters"),
        ("since=yesterday", "2026-01-31T09:00:00Z"),
    ],
)
async def test_a_filter_that_there_is_not_says_what_there_is(console: Visit, query: str, says: str) -> None:
    """A link with a slip would show an empty page, or try again forever."""
    await console.open(f"#/events?{query}")
    await expect(console.page.get_by_role("alert")).to_contain_text(says)
    await expect(console.page.locator(".state")).to_have_text("Refused")
    console.said.clear()  # Chromium notes each 400 in red by itself


async def test_a_search_of_a_large_journal_goes_on_until_something_is_found_and_says_how_far_it_is(
    console: Visit,
) -> None:
    """A filter that matches only old events would show nothing, or keep relay busy without an end."""
    page = console.page
    asked: list[str] = []

    async def answered(route, request) -> None:  # type: ignore[no-untyped-def]
        """A journal of two million events, none of which is wanted."""
        before = re.search(r"before=(\d+)", request.url)
        if before is None:
            await route.continue_()
            return
        asked.append(before[1])
        following = 2_000_000 - len(asked) * 50_000
        await route.fulfill(json={"events": [], "next": following, "pruned": None})

    await page.route("**/v1/events?*", answered)
    await console.open("#/events?subject=t-rare")
    await expect(page.get_by_text("relay searched its journal down to offset 1,450,000.")).to_be_visible()
    assert len(asked) == 11, "the first page, and ten in a row"
    assert await console.axe() == []
    await page.get_by_role("button", name="Load older").click()
    await expect(page.get_by_text("down to offset")).to_be_visible()


async def test_on_a_phone_the_filters_fold_and_fit(relay: Stage, visits: Visits) -> None:
    """The events would begin below the first screen, or half of a time would be off the screen."""
    for scheme in ("light", "dark"):
        console = await visits(relay.relay.url, viewport=PHONE, has_touch=True, is_mobile=True, color_scheme=scheme)
        page = console.page
        await console.open("#/events?since=1h&topic=tasks&until=2999-01-01T00:00:00Z")
        await expect(page.locator(".event")).to_have_count(100)
        await expect(page.locator(".filters")).to_be_hidden()
        await expect(page.locator(".event").nth(2)).to_be_in_viewport(ratio=1)
        fold = page.get_by_role("button", name=re.compile("Filters: Topic tasks · From .* · To 2999-01-01 00:00"))
        assert await console.axe() == []
        await fold.click()
        await expect(fold).to_have_attribute("aria-expanded", "true")
        assert await page.evaluate("document.documentElement.scrollWidth") == PHONE["width"]
        fields = page.locator(".filters input, .filters select")
        assert not any(await fields.evaluate_all("found => found.map(field => field.scrollWidth > field.clientWidth)"))
        assert await console.axe() == []
        await page.get_by_label("Topic").select_option("chat")
        await expect(page.get_by_role("button", name=re.compile("Filters: Topic chat"))).to_be_visible()
        await expect(page.get_by_label("Type"), "who sets one filter sets another").to_be_visible()
