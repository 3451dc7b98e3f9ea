"""The lists of tasks and chats in the console, in a real Chromium: filters, order, pages, and columns that fit."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
import pytest_asyncio
from playwright.async_api import Locator, Page, Route, expect

from tests.e2e.conftest import Visits
from tests.e2e.console_stage import PHONE, Stage, stage
from tests.integration.deliveries import new_task, succeeded

pytestmark = pytest.mark.asyncio(loop_scope="module")

MODEL, OTHER = "deepseek/deepseek-v3.1", "qwen/qwen3-235b-a22b-instruct-2507"
WEB, BATCH = "sk-web-0123456789abcdef", "sk-batch-0123456789abcdef"


@dataclass(frozen=True)
class Scene:
    """A relay with a chat of each outcome, and with tasks that it knows in different ways; by what they are."""

    stage: Stage
    chats: dict[str, str]
    tasks: dict[str, str]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def scene(module_path: Path) -> AsyncIterator[Scene]:
    clients = {"web": {"key": WEB}, "batch": {"key": BATCH}}
    async with stage(
        module_path / "relay", key=WEB, reconcile={"first_after": "1h"}, proxy={"clients": clients}
    ) as staged:
        usage = {"stream_options": {"include_usage": True}}
        tasks = {"heard": new_task()}
        assert await staged.deliver(json.loads(succeeded(tasks["heard"]))) == "accepted"
        tasks |= {
            "failed": await staged.submit("fail"),
            "video": await staged.submit(path="/v3/async/minimax-hailuo-02"),
        }
        slow = await staged.chat("one two three four five six", "pace=250ms", key=BATCH, model=OTHER, **usage)
        chats = {"slow": slow}
        await staged.ended(chats["slow"])
        chats |= {
            "failed": await staged.chat("one two", "error-frame=flat"),
            "long": await staged.chat("a " * 400, api="messages", max_tokens=1000),
        }
        for subject in (*tasks.values(), *chats.values()):
            await staged.ended(subject)
        chats["open"] = await staged.chat("one", "hang")
        tasks["lost"] = await staged.submit("lost")
        yield Scene(staged, chats, tasks)


def rows(page: Page) -> Locator:
    return page.locator("main tbody tr")


async def ids(page: Page) -> list[str]:
    """What the list holds, in its order."""
    return await page.locator("main tbody tr > :first-child .id").all_inner_texts()


async def test_past_and_open_chats_are_in_one_list(scene: Scene, visits: Visits) -> None:
    """What a chat cost, or why it failed, could only be seen of the chats that are still open."""
    console = await visits(scene.stage.relay.url)
    page, chats = console.page, scene.chats
    await console.open("#/chats")
    await expect(rows(page)).to_have_count(4)
    assert (await ids(page))[0] == chats["open"]
    assert set(await ids(page)) == set(chats.values())
    failed = rows(page).filter(has_text=chats["failed"])
    await expect(failed.locator('[data-column="Outcome"]')).to_have_text("failedupstream_error")
    await expect(failed.locator('[data-column="Model"]')).to_have_text(MODEL)
    await expect(failed.locator('[data-column="API"]')).to_have_text("chat_completions")
    slow = rows(page).filter(has_text=chats["slow"])
    end = (await scene.stage.ended(chats["slow"]))["data"]
    await expect(slow.locator('[data-column="Duration"]')).to_contain_text(" s")
    await expect(slow.locator('[data-column="Tokens"]')).to_have_text(
        str(end["tokens"]["input"] + end["tokens"]["output"])
    )
    await expect(rows(page).first.locator('[data-column="Duration"]')).to_contain_text("so far")
    await expect(rows(page).first.locator('[data-column="Ended"]')).to_contain_text("open since")
    assert console.errors() == []


async def test_chats_are_filtered_together_and_the_address_says_how(scene: Scene, visits: Visits) -> None:
    """Of thousands of chats nobody would find the failed ones of one model, or could show them to somebody else."""
    console = await visits(scene.stage.relay.url)
    page, chats = console.page, scene.chats
    await console.open("#/chats")
    await expect(rows(page)).to_have_count(4)
    await page.get_by_label("API").fill("messages")
    await page.keyboard.press("Enter")
    await expect(rows(page)).to_have_count(1)
    assert await ids(page) == [chats["long"]]
    await page.get_by_role("button", name="Clear").click()
    await expect(rows(page)).to_have_count(4)
    await expect(page.locator(f'#known-model option[value="{OTHER}"]')).to_have_count(1)
    await page.get_by_label("Model").fill(OTHER)
    await page.keyboard.press("Enter")
    await expect(rows(page)).to_have_count(1)
    assert await ids(page) == [chats["slow"]]
    await page.get_by_role("link", name="failed", exact=True).click()
    await expect(page.get_by_text("Nothing matches")).to_be_visible()
    await expect(page.get_by_label("Model")).to_have_value(OTHER)
    await page.get_by_label("Model").fill(MODEL)
    await page.keyboard.press("Enter")
    await expect(rows(page)).to_have_count(1)
    assert await ids(page) == [chats["failed"]]
    assert "state=failed" in page.url
    assert "model=deepseek" in page.url
    handed_on = await visits(scene.stage.relay.url)
    await handed_on.open(f"#{page.url.partition('#')[2]}")
    await expect(rows(handed_on.page)).to_have_count(1)
    await page.get_by_role("button", name="Clear").click()
    await expect(rows(page)).to_have_count(1)
    assert page.url.endswith("#/chats?state=failed")


async def test_chats_are_filtered_by_the_client_that_sent_them(scene: Scene, visits: Visits) -> None:
    """An operator could not see which of several applications sends what, or fails."""
    console = await visits(scene.stage.relay.url)
    page, chats = console.page, scene.chats
    await console.open("#/chats")
    await expect(rows(page)).to_have_count(4)
    names = page.locator("#known-client option")
    assert await names.evaluate_all("found => found.map(option => option.value)") == ["batch", "web"]
    await page.get_by_label("Client").fill("batch")
    await page.keyboard.press("Enter")
    await expect(rows(page)).to_have_count(1)
    assert await ids(page) == [chats["slow"]]
    await expect(rows(page).locator('[data-column="Client"]')).to_have_text("batch")
    assert page.url.endswith("#/chats?client=batch")
    await page.get_by_label("Client").fill("web")
    await page.keyboard.press("Enter")
    await expect(rows(page)).to_have_count(3)
    await page.get_by_role("link", name="open", exact=True).click()
    await expect(rows(page)).to_have_count(1)
    assert await ids(page) == [chats["open"]], "an open chat has its client, too"
    assert console.errors() == []


async def test_a_list_is_sorted_by_a_column_or_in_the_form(scene: Scene, visits: Visits) -> None:
    """Which chat took longest, or cost most, would have to be looked for row by row."""
    console = await visits(scene.stage.relay.url)
    page, chats = console.page, scene.chats
    await console.open("#/chats?state=completed")
    await page.get_by_role("link", name="Tokens").click()
    header = page.get_by_role("columnheader", name="Tokens")
    await expect(header).to_have_attribute("aria-sort", "descending")
    assert await ids(page) == [chats["long"], chats["slow"]]
    await expect(page.get_by_label("Sort")).to_have_value("tokens")
    await page.get_by_label("Sort").select_option("duration")
    await expect(page.get_by_role("columnheader", name="Duration")).to_have_attribute("aria-sort", "descending")
    assert await ids(page) == [chats["slow"], chats["long"]]
    await page.get_by_role("link", name="Duration").click()  # again: the newest first
    await expect(page.locator("th[aria-sort]")).to_have_count(0)
    assert page.url.endswith("#/chats?state=completed")
    await console.open("#/chats?sort=duration")
    await expect(rows(page)).to_have_count(4)
    assert (await ids(page))[0] == chats["open"]
    assert console.errors() == []


async def test_a_list_is_of_the_time_that_is_asked_for(scene: Scene, visits: Visits) -> None:
    """What happened during an outage could not be seen without all that has happened since."""
    console = await visits(scene.stage.relay.url)
    page = console.page
    for view, number in (("chats", 4), ("tasks", 4)):
        await console.open(f"#/{view}?since=1h")
        await expect(rows(page)).to_have_count(number)
        await page.get_by_label("To").fill("2026-01-31T09:00:00")
        await page.get_by_label("From").fill("2026-01-31T08:00:00")
        await page.get_by_role("button", name="Apply").click()
        await expect(page.get_by_text("Nothing matches")).to_be_visible()
        assert "since=2026-01-31T08%3A00%3A00.000Z&until=2026-01-31T09%3A00%3A00.000Z" in page.url
        await expect(page.get_by_label("From")).to_have_value("2026-01-31T08:00")
    assert console.errors() == []


async def test_a_filter_that_cannot_be_says_why(scene: Scene, visits: Visits) -> None:
    """An address that was typed wrong would show an empty list, as if nothing had happened."""
    console = await visits(scene.stage.relay.url)
    for query, words in (
        ("chats?state=lost", "state must be one of all, open, ended, completed"),
        ("chats?sort=price", "sort must be one of newest, duration, tokens, first_token"),
        ("tasks?since=1h&until=2h", "since must not be later than until"),
        ("tasks?since=soon", "must be a time like 2026-01-31T09:00:00Z"),
    ):
        await console.open(f"#/{query}")
        await expect(console.page.get_by_role("alert")).to_contain_text(words)


async def test_all_tasks_are_listed_however_they_are_known(scene: Scene, visits: Visits) -> None:
    """After a day of webhooks the list would be empty, as if relay knew of no task."""
    console = await visits(scene.stage.relay.url)
    page, tasks = console.page, scene.tasks
    await console.open("#/tasks")
    await expect(rows(page)).to_have_count(4)
    assert await ids(page) == [tasks["lost"], tasks["video"], tasks["failed"], tasks["heard"]]
    lost, heard = rows(page).first, rows(page).last
    await expect(lost.locator('[data-column="State"]')).to_contain_text("0 polls, next in")
    await expect(lost.locator('[data-column="Duration"]')).to_contain_text("so far")
    await expect(heard.locator('[data-column="Known by"]')).to_have_text("webhook")
    await expect(rows(page).nth(1).locator('[data-column="Duration"]')).to_contain_text("ms")
    await page.get_by_label("Type").fill(await rows(page).nth(1).locator('[data-column="Type"]').inner_text())
    await page.keyboard.press("Enter")
    await expect(rows(page)).to_have_count(1)
    assert await ids(page) == [tasks["video"]]
    await console.open("#/tasks?sort=duration&state=pending")
    await expect(rows(page)).to_have_count(1)
    assert await ids(page) == [tasks["lost"]]
    assert console.errors() == []


@pytest.mark.parametrize("width", [PHONE["width"], 768, 1000, 1125, 1280, 1920])
async def test_the_columns_fit_and_no_id_breaks(scene: Scene, visits: Visits, width: int) -> None:
    """An id in two lines cannot be selected, and a table that is wider than the screen hides what it is read for."""
    console = await visits(scene.stage.relay.url, viewport={"width": width, "height": 740})
    for view in ("chats", "tasks"):
        await console.open(f"#/{view}")
        await expect(rows(console.page)).to_have_count(4)
        assert await console.page.evaluate("document.documentElement.scrollWidth") == width, view
        cut = await console.page.locator("main tbody .id").evaluate_all(
            "ids => ids.filter(id => id.getClientRects().length > 1 || id.scrollWidth > id.clientWidth + 1"
            " || id.offsetHeight > 30).map(id => id.textContent)"
        )
        assert cut == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_the_lists_are_accessible(scene: Scene, visits: Visits, scheme: str) -> None:
    """People with a screen reader or weak eyes could not filter or sort."""
    for viewport in (PHONE, {"width": 1280, "height": 800}):
        console = await visits(scene.stage.relay.url, color_scheme=scheme, viewport=viewport)
        for address in ("#/chats?sort=tokens&model=none", "#/chats?sort=tokens", "#/tasks?since=1h&sort=duration"):
            await console.open(address)
            await expect(console.page.locator("main [aria-busy]")).to_have_count(0)
            assert await console.axe() == [], address


async def test_pages_that_hold_nothing_are_passed_by(scene: Scene, visits: Visits) -> None:
    """A list of what is rare would look as if there were none, while the journal holds it further back."""
    console = await visits(scene.stage.relay.url)
    asked: set[int] = set()  # places; the list is asked for again every two seconds
    shown = await (await console.page.request.get(f"{scene.stage.relay.url}/v1/chats?state=failed")).json()

    async def answer(route: Route) -> None:
        query = parse_qs(urlsplit(route.request.url).query)
        assert query["model"] == ["rare"]
        before = int(query.get("before", ["1000"])[0])
        asked.add(before)
        found = shown["chats"] if before == 994 else []
        page = {"chats": found, "next": None if found else str(before - 1), "searched_since": None}
        await route.fulfill(json=page)

    await console.page.route("**/v1/chats?*", answer)
    await console.open("#/chats?model=rare")
    await expect(console.page.get_by_text("Nothing found yet")).to_be_visible()
    assert asked == {1000, 999, 998, 997, 996}
    await console.page.get_by_role("link", name="Search further back").click()
    await expect(rows(console.page)).to_have_count(1)
    assert min(asked) == 994


async def test_a_sorted_list_says_how_far_back_it_goes(scene: Scene, visits: Visits) -> None:
    """The longest of the newest chats would be taken for the longest of all."""
    console = await visits(scene.stage.relay.url)
    page = {"chats": [], "next": None, "searched_since": "2026-01-31T09:00:00.000Z"}
    await console.page.route("**/v1/chats?*", lambda route: route.fulfill(json=page))
    await console.open("#/chats?sort=duration")
    note = console.page.get_by_text("Sorted are those since 31 Jan 09:00:00.000. For older ones, set To.")
    await expect(note).to_be_visible()


async def test_pages_lead_on_in_the_order_of_the_list(scene: Scene, visits: Visits) -> None:
    """The second page of what is sorted would start over, or in another order."""
    console = await visits(scene.stage.relay.url)
    page = console.page

    async def two(route: Route) -> None:
        await route.continue_(url=route.request.url.replace("limit=100", "limit=2"))

    await page.route("**/v1/chats?*", two)
    await console.open("#/chats?sort=duration")
    await expect(rows(page)).to_have_count(2)
    first = await ids(page)
    await page.get_by_role("link", name="The next page").click()
    await expect(page.get_by_role("link", name=first[0])).to_have_count(0)
    await expect(rows(page)).to_have_count(2)
    assert sorted([*first, *await ids(page)]) == sorted(scene.chats.values())
