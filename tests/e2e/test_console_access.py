"""Who may look at the console and with what: tokens, the keyboard, a phone, a screen reader, light and dark."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Page, expect

from tests.e2e.conftest import Visits
from tests.e2e.console_stage import DESKTOP, PHONE, UNREADABLE, Stage, reconfigured, stage
from tests.integration.deliveries import new_task, succeeded
from tests.services.ports import free_port
from tests.services.raw_http import ask, post
from tests.services.redis import Redis

pytestmark = pytest.mark.asyncio(loop_scope="module")

API_TOKEN = "api-token-0123456789abcdef-0123456789"
KIB = 1024
LONGEST_PAUSE = 36_000
"""ms between two attempts of the page to reach a relay that is away: half a minute, and a fifth of it."""


@dataclass(frozen=True)
class Scene:
    """A relay with something in every view, and the addresses of the views."""

    stage: Stage
    views: dict[str, str]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def scene(module_path: Path, redis_server: Redis) -> AsyncIterator[Scene]:
    async with stage(module_path / "relay", redis=redis_server, proxy={"capture": {"request": "full"}}) as staged:
        task = await staged.submit("doubled=2")
        long = " ".join(["a-word-that-is-rather-long-and-has-no-place-to-break" * 3] * 20)
        chat = await staged.chat(long, "reasoning=content, tools=2", model="vendor/a-model-" + "x" * 80)
        await staged.deliver(UNREADABLE)
        await staged.ended(task)
        await staged.ended(chat)
        open_chat = await staged.chat("a kite " * 20, "hang", api="messages", system="Answer " + "briefly" * 50)
        (letter,) = await staged.dead_letters()
        addresses = {
            "overview": "#/overview",
            "live": "#/events?topic=all",
            "task": f"#/subjects/{task}",
            "chat": f"#/subjects/{chat}",
            "open chat": f"#/subjects/{open_chat}",
            "unknown": "#/subjects/t-none",
            "unknown address": "#/nonsense",
            "search": "#/search?prefix=0",
            "time range": "#/events?since=1h&until=2999-01-01T00:00:00Z",
            "tasks": "#/tasks?state=all",
            "chats": "#/chats",
            "dead letters": "#/dead-letters",
            "dead letter": f"#/dead-letters/{letter}",
            "health": "#/health",
        }
        yield Scene(staged, addresses)


async def settled(page: Page) -> None:
    """Returns when the view shows what it asked for."""
    await expect(page.locator("main [aria-busy]")).to_have_count(0)
    await expect(page.locator("#readiness")).to_have_text("Ready")


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_every_view_is_accessible(scene: Scene, visits: Visits, scheme: str) -> None:
    """People with a screen reader, weak eyes or no mouse could not use a view."""
    console = await visits(scene.stage.relay.url, color_scheme=scheme)
    found = {}
    for name, address in scene.views.items():
        await console.open(address)
        await settled(console.page)
        if name == "live":
            await console.page.locator(".event .more").first.click()
        found[name] = await console.axe()
    await console.page.keyboard.press("?")
    found["help"] = await console.axe()
    assert {name: violations for name, violations in found.items() if violations} == {}


async def test_light_and_dark_follow_the_system(scene: Scene, visits: Visits) -> None:
    """A white page would blind an operator who is woken at night."""
    luminance = []
    for scheme in ("light", "dark"):
        console = await visits(scene.stage.relay.url, color_scheme=scheme)
        await console.open()
        colour = await console.page.evaluate("getComputedStyle(document.body).backgroundColor")
        luminance.append(sum(map(int, re.findall(r"\d+", colour)[:3])))
    assert luminance[0] > 700 > 100 > luminance[1]


async def test_no_view_scrolls_sideways_on_a_phone(scene: Scene, visits: Visits) -> None:
    """On the phone of the operator on call, half of a line would be off the screen."""
    console = await visits(scene.stage.relay.url, viewport=PHONE, has_touch=True, is_mobile=True)
    for name, address in scene.views.items():
        await console.open(address)
        await settled(console.page)
        width = await console.page.evaluate("document.documentElement.scrollWidth")
        assert width == PHONE["width"], name
    heights = "[...document.querySelectorAll('.tabs a')].map(link => link.getBoundingClientRect().height)"
    assert min(await console.page.evaluate(heights)) >= 44, "a thumb needs so many pixels"


async def test_motion_is_left_out_where_it_is_not_wanted(scene: Scene, visits: Visits) -> None:
    """What moves makes some people ill."""
    console = await visits(scene.stage.relay.url, reduced_motion="reduce")
    await console.open(scene.views["open chat"])
    dot = console.page.locator(".growing .dot")
    await expect(dot).to_have_css("animation-name", "none")


async def focused(page: Page) -> str:
    """What has the focus, and whether one sees it."""
    return str(
        await page.evaluate(
            """() => {
              const at = document.activeElement;
              const seen = getComputedStyle(at).outlineStyle !== "none" || at.matches("h1, main");
              const name = at.getAttribute("aria-label") ?? at.labels?.[0]?.textContent ?? at.textContent.trim();
              return `${at.tagName.toLowerCase()} ${name}${seen ? "" : " UNSEEN"}`;
            }"""
        )
    )


async def test_the_tab_key_goes_through_the_page_in_reading_order(scene: Scene, visits: Visits) -> None:
    """Without a mouse one would get lost, or not see where one is."""
    console = await visits(scene.stage.relay.url)
    page = console.page
    await console.open("#/events?topic=tasks")
    await expect(page.locator(".event").first).to_be_visible()
    passed = []
    for _ in range(16):
        await page.keyboard.press("Tab")
        passed.append(await focused(page))
    assert not [stop for stop in passed if stop.endswith("UNSEEN")]
    names = [stop.partition(" ")[2] for stop in passed]
    assert names[:5] == [
        "Skip to the content",
        "relay: overview",
        "Task id or chat id, or how it begins",
        "Ready",
        "Keyboard shortcuts",
    ]
    assert [re.match(r"[A-Za-z ]+", name)[0].strip() for name in names[5:11]] == [  # type: ignore[index]
        *("Overview", "Live", "Tasks", "Chats", "Dead letters", "Health")
    ]
    assert names[11:16] == ["Pause", "Topic", "Type", "Subject", "From"]


async def test_everything_can_be_done_with_the_keyboard(scene: Scene, visits: Visits) -> None:
    """Who works without a mouse could look, and not act."""
    console = await visits(scene.stage.relay.url)
    page, press = console.page, console.page.keyboard.press
    await console.open()
    await press("Tab")
    await press("Enter")  # the skip link
    assert await page.evaluate("document.activeElement.id") == "main"
    await press("?")
    await expect(page.get_by_role("dialog", name="Keyboard shortcuts")).to_be_visible()
    await press("Escape")
    await expect(page.get_by_role("dialog")).to_have_count(0)
    await press("p")
    await expect(page.get_by_role("button", name="Resume")).to_be_visible()
    await press("p")
    await press("5")
    await expect(page.get_by_role("heading", name="Dead letters")).to_be_focused()
    await expect(page.locator("tbody tr")).to_have_count(1)
    await press("j")
    await press("Enter")
    await expect(page.get_by_role("heading", name="Dead letter")).to_be_focused()
    delete = page.get_by_role("button", name="Delete…")
    await delete.focus()
    await press("Enter")
    await expect(page.get_by_role("button", name="Keep it")).to_be_focused()
    await press("Escape")
    await expect(delete).to_be_focused()
    await page.get_by_role("button", name="Replay").focus()
    await press("Enter")  # it cannot be read now either
    await expect(page.get_by_role("alert")).to_contain_text("It still cannot be read")
    await press("/")
    await expect(page.get_by_role("searchbox")).to_be_focused()
    await press("Escape")
    await press("2")
    await expect(page.locator(".event").first).to_be_visible()
    await press("j")
    await press("j")
    await press("k")
    await expect(page.locator(".event .more").first).to_be_focused()


async def test_a_relay_with_tokens_asks_for_one_and_keeps_it_to_the_header(tmp_path: Path, visits: Visits) -> None:
    """Everybody could read the events, or the token would be in logs, in the history or on another machine."""
    async with stage(tmp_path / "relay", server={"api_tokens": [API_TOKEN]}) as staged:
        console = await visits(staged.relay.url)
        page = console.page
        await page.goto(f"{staged.relay.url}/#/events")
        asked = page.get_by_role("dialog", name="This relay requires a token")
        await expect(asked).to_have_count(1)
        await asked.get_by_label("Token").fill("not-the-token")
        await page.keyboard.press("Enter")
        await expect(asked).to_be_visible()
        await expect(asked.get_by_label("Token")).to_have_value("")
        assert await console.axe() == []
        await asked.get_by_label("Token").fill(API_TOKEN)
        await page.keyboard.press("Enter")
        await expect(page.locator("#readiness")).to_have_text("Ready")
        await expect(page.get_by_role("dialog")).to_have_count(0)
        assert await staged.deliver(json.loads(succeeded("t-1"))) == "accepted"
        await expect(console.row("t-1")).to_have_count(1)
        for address in ("#/overview", "#/subjects/t-1", "#/tasks", "#/chats", "#/dead-letters", "#/health"):
            await console.open(address)
            await settled(page)
        assert not [address for address in [*console.asked_for, page.url] if API_TOKEN in address]
        assert not [text for text in console.said if API_TOKEN in text]
        assert API_TOKEN not in await page.content()
        kept = "JSON.stringify([{...localStorage}, document.cookie, (await indexedDB.databases()).length])"
        assert await page.evaluate(f"(async () => {kept})()") == '[{},"",0]'
        await page.get_by_role("button", name="Forget the token").click()
        await expect(asked).to_be_visible()
        assert await page.evaluate("sessionStorage.length") == 0
        another = await visits(staged.relay.url)
        await another.page.goto(staged.relay.url)
        await expect(another.page.get_by_role("dialog")).to_be_visible()


async def test_a_relay_that_goes_away_and_comes_back_is_followed_on(tmp_path: Path, visits: Visits) -> None:
    """After each update of the relay everybody would have to load the page again, or events would be missing in it."""
    async with stage(tmp_path / "relay") as staged:
        console = await visits(staged.relay.url)
        page = console.page
        await console.open()
        await staged.deliver(json.loads(succeeded("t-before")))
        await expect(console.row("t-before")).to_have_count(1)
        staged.relay.kill()
        banner = page.locator("#banner")
        await expect(banner).to_be_visible()
        await expect(banner).to_contain_text("Connection lost")
        await expect(page.locator("#readiness")).to_have_text("Not reachable")
        await expect(page.locator(".state")).to_have_text("Connection lost, retrying")
        assert await console.axe() == []
        await page.get_by_role("button", name="Try now").click()
        await expect(banner).to_be_visible()
        await staged.relay.start()
        await staged.deliver(json.loads(succeeded("t-after")))
        await expect(banner).to_be_hidden(timeout=LONGEST_PAUSE)
        await expect(console.row("t-after")).to_have_count(1, timeout=LONGEST_PAUSE)
        await expect(console.row("t-before")).to_have_count(1)


async def test_a_relay_that_takes_no_more_says_why(tmp_path: Path, visits: Visits) -> None:
    """Senders would get 503 while the page shows that all is well."""
    sink = {"type": "redis", "url": f"redis://127.0.0.1:{free_port()}"}
    async with stage(tmp_path / "relay", sinks=[sink], journal={"max_backlog": 1}) as staged:
        console = await visits(staged.relay.url)
        page = console.page
        await console.open("#/health")
        await expect(page.locator("#readiness")).to_have_text("Sink error")
        await expect(page.get_by_text("relay accepts deliveries durably.")).to_be_visible()
        await staged.deliver(json.loads(succeeded("t-1")))
        await staged.deliver(json.loads(succeeded("t-2")))
        await expect(page.locator("#readiness")).to_have_text("Not ready", timeout=LONGEST_PAUSE)
        await expect(page.locator(".ready.bad")).to_contain_text("Senders get a 503 and try again.")
        await expect(page.locator(".ready.bad li")).to_have_count(1)
        await expect(page.locator(".sink")).to_contain_text("Down")
        await expect(page.locator(".sink")).to_contain_text("unreachable")
        assert await console.axe() == []


async def test_a_relay_that_drains_says_whether_it_still_takes_deliveries(tmp_path: Path, visits: Visits) -> None:
    """An operator would believe that deliveries are refused while they are taken, or the other way round."""
    async with stage(
        tmp_path / "relay", sinks=[{"type": "redis", "url": f"redis://127.0.0.1:{free_port()}"}]
    ) as staged:
        console = await visits(staged.relay.url)
        await staged.deliver(json.loads(succeeded("t-1")))
        assert (await ask(staged.relay.url, post("/v1/drain"))).status == 200
        await console.open("#/health")
        readiness = console.page.locator(".ready.bad")
        await expect(readiness).to_contain_text("relay takes deliveries until every sink has everything.")
        await expect(readiness.locator("li")).to_have_text("draining")


async def test_tasks_whose_poll_is_overdue_are_listed(tmp_path: Path, visits: Visits) -> None:
    """Tasks that are not polled would only be noticed by the users who wait for them."""
    async with stage(tmp_path / "relay", reconcile={"first_after": "500ms", "every": "1s"}) as staged:
        task = await staged.submit("lost")
        staged.simulator.begin_outage("down", 600)
        console = await visits(staged.relay.url)
        await console.open("#/tasks?state=overdue")
        await expect(console.page.locator("tbody tr", has_text=task)).to_be_visible(timeout=LONGEST_PAUSE)
        await console.open("#/health")
        # Between two polls that the upstream refuses there is a moment in which none is due.
        overdue = console.page.locator(".facts", has_text="Polls overdue")
        await expect(overdue).to_contain_text("Polls overdue1", timeout=LONGEST_PAUSE)


async def test_what_a_sink_refused_is_replayed_after_a_fix(tmp_path: Path, redis_server: Redis, visits: Visits) -> None:
    """An operator who has fixed a sink could not replay the events that it refused."""
    async with stage(tmp_path / "relay", redis=redis_server) as staged:
        relay, task = staged.relay, new_task()
        config = json.loads(relay.config.read_text())
        await reconfigured(staged, config, max_event_bytes=20 * KIB)
        await staged.deliver(succeeded(task, filler=30 * KIB))
        await relay.until_drained()
        console = await visits(relay.url)
        page = console.page
        await console.open("#/dead-letters")
        await page.locator("section", has_text="too_large").get_by_role("link").click()
        await expect(page.locator(".facts")).to_contain_text("relay.task.succeeded")
        await reconfigured(staged, config)
        await page.get_by_role("button", name="Replay").click()
        await expect(page.get_by_text("The dead letter was replayed.")).to_be_visible()
        assert page.url.endswith(f"#/subjects/{task}")
        await expect(page.locator(".moment", has_text="Published on redis").first).to_be_visible()
        await page.keyboard.press("5")
        await expect(page.get_by_text("No dead letters")).to_be_visible()


async def test_where_no_token_can_help_the_reason_is_shown(scene: Scene, visits: Visits) -> None:
    """Behind a proxy in front of a relay without tokens, people would see an empty page."""
    console = await visits(scene.stage.relay.url, extra_http_headers={"X-Forwarded-For": "192.0.2.1"}, viewport=DESKTOP)
    await console.open("#/dead-letters")
    await expect(console.page.locator("#banner")).to_be_visible()
    await expect(console.page.locator("#banner")).to_contain_text("forwarded by a proxy")
    await expect(console.page.get_by_role("alert")).to_contain_text("Configure a token")
