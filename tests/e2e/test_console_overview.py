"""The overview of the console in a real Chromium: what needs attention, and the last hour."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Locator, expect

from relay.cli.status import attention
from tests.e2e.conftest import Visits
from tests.e2e.console_stage import PHONE, UNREADABLE, Stage, Visit, stage
from tests.services.ports import free_port
from tests.unit.cli.test_status import CASES, TROUBLE, WELL, with_sink

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def relay(module_path: Path) -> AsyncIterator[Stage]:
    """Without a sink, so that all is well until a delivery cannot be read."""
    async with stage(module_path / "relay") as staged:
        yield staged


def chart(console: Visit, title: str) -> Locator:
    return console.page.locator(".chart", has=console.page.get_by_role("heading", name=title, exact=True))


async def test_the_console_opens_with_the_overview(relay: Stage, visits: Visits) -> None:
    """Somebody who wants to know whether all is well would have to go through five views."""
    console = await visits(relay.relay.url)
    await console.page.goto(relay.relay.url)
    await expect(console.page.get_by_role("heading", name="Overview")).to_be_visible()
    await expect(console.page.get_by_text("nothing needs attention")).to_be_visible()
    await expect(console.page.locator(".tabs a[aria-current]")).to_have_text("Overview")
    assert console.errors() == []


async def test_the_last_hour_is_drawn(relay: Stage, visits: Visits) -> None:
    """How many tasks fail, or how long webhooks wait, could only be seen with a Prometheus and a Grafana."""
    failing, task = await relay.submit("fail"), await relay.submit()
    chat = await relay.chat("one two three", stream_options={"include_usage": True})
    for subject in (failing, task, chat):
        await relay.ended(subject)
    console = await visits(relay.relay.url)
    await console.open("#/overview")
    await expect(chart(console, "Tasks ended")).to_contain_text("2, of which 1 failed")
    await expect(chart(console, "Chats ended")).to_contain_text("1, of which 0 failed")
    await expect(chart(console, "Failure share")).to_contain_text("33 % of the tasks and chats that ended")
    await expect(chart(console, "Webhook answered")).to_contain_text("99 % within")
    await expect(chart(console, "First token")).to_contain_text("half within")
    await expect(chart(console, "Lag")).to_contain_text("at most 0 events")
    for title, tone in (("Events", "calm"), ("Tasks ended", "bad"), ("Webhook answered", "calm"), ("Tokens", "good")):
        await expect(chart(console, title).locator(f"rect.{tone}").last).to_be_visible()
    words = "Tasks ended, the last hour: 2, of which 1 failed; highest"
    await expect(console.page.get_by_role("img", name=words)).to_be_visible()
    await expect(console.page.get_by_text("it starts over with a restart")).to_be_visible()
    assert console.errors() == []


async def test_what_needs_attention_is_what_the_command_line_finds(relay: Stage, visits: Visits) -> None:
    """Of two operators, one at the console and one with `relay status`, one would believe that all is well."""
    console = await visits(relay.relay.url)
    await console.open("#/overview")
    several = {"upstream": {"up": False}, **with_sink(up=False, trouble=TROUBLE)}
    shown = [WELL | changed for changed in (*(case for case, _ in CASES), several, {})]
    script = """async all => {
      const { attentionOf } = (await import(document.scripts[0].src)).modules["attention.js"];
      return all.map(status => attentionOf(status).map(({ code, failed }) => [code, failed]));
    }"""
    found = await console.page.evaluate(script, shown)
    assert found == [[[each.code, each.status == "failed"] for each in attention(status)] for status in shown]


async def test_what_needs_attention_is_named_with_what_to_do(tmp_path: Path, visits: Visits) -> None:
    """A sink that is down would be seen by those who look at the health of relay, and dead letters by nobody."""
    sink = {"type": "redis", "url": f"redis://127.0.0.1:{free_port()}"}
    async with stage(tmp_path / "relay", sinks=[sink]) as staged:
        await staged.deliver(json.dumps({"task": {"task_id": "t-1", "status": "TASK_STATUS_SUCCEED"}}).encode())
        await staged.deliver(UNREADABLE)
        console = await visits(staged.relay.url, viewport=PHONE)
        page = console.page
        await console.open("#/overview")
        findings = page.locator(".attention li")
        await expect(findings).to_have_count(2)
        await expect(findings.first).to_contain_text("Sink redis:")
        await expect(findings.first).to_contain_text("Waiting: ")
        await expect(chart(console, "Lag").locator("rect").last).to_be_visible()
        await expect(findings.last).to_contain_text("1 dead letter to replay or delete")
        assert await console.axe() == []
        await findings.last.get_by_role("link").click()
        await expect(page.get_by_role("heading", name="Dead letters")).to_be_focused()
