"""The console in a real Chromium, in front of a real relay: what it shows, and what can be done with it."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import expect

from relay.apis import apis
from tests.e2e.conftest import Visits
from tests.e2e.console_stage import UNREADABLE, WITHIN, Stage, Visit, stage
from tests.services.redis import Redis

pytestmark = pytest.mark.asyncio(loop_scope="module")

HOSTILE = '<img src=x onerror="document.title=1">'
TIMES = {"first_after": "1s", "every": "1s"}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def relay(module_path: Path, redis_server: Redis) -> AsyncIterator[Stage]:
    async with stage(module_path / "relay", redis=redis_server, reconcile=TIMES) as staged:
        yield staged


@pytest_asyncio.fixture(loop_scope="module")
async def console(visits: Visits, relay: Stage) -> AsyncIterator[Visit]:
    """A tab; whatever a test does in it, nothing may turn red and nothing may be refused by the policy."""
    opened = await visits(relay.relay.url)
    yield opened
    assert opened.errors() == []


async def test_live_events_appear_as_they_happen(relay: Stage, console: Visit) -> None:
    """People would look at a page that stands still while things happen."""
    await console.open()
    await expect(console.page.get_by_text("Live", exact=True).last).to_be_visible()
    task = await relay.submit()
    await expect(console.row(task)).to_have_count(2)
    await expect(console.row(task).first).to_contain_text("Task succeeded")
    await expect(console.row(task).first).to_contain_text("TXT_TO_IMG · 1 output · via webhook")
    await expect(console.row(task).last).to_contain_text("Task submitted")


async def test_events_that_were_there_before_are_shown_too(relay: Stage, console: Visit) -> None:
    """An operator who opens the page after the trouble would see nothing of it."""
    task = await relay.submit()
    await relay.ended(task)
    await console.open()
    await expect(console.row(task)).to_have_count(2)


async def test_an_event_unfolds_to_the_whole_of_it(relay: Stage, console: Visit) -> None:
    """What does not fit into a line could not be seen."""
    task = await relay.submit()
    await relay.ended(task)
    await console.open()
    row = console.row(task).first
    await row.get_by_role("button").click()
    await expect(row.locator("pre")).to_contain_text('"dataschema": "urn:relay:schema:task:1"')
    await row.get_by_role("button").click()
    await expect(row.locator("pre")).to_have_count(0)


async def test_filters_leave_the_rest_out_and_stand_in_the_address(relay: Stage, console: Visit) -> None:
    """A busy relay could not be read, or a filtered view could not be handed on as a link."""
    task, chat = await relay.submit(), await relay.chat("one two three")
    await relay.ended(task)
    await relay.ended(chat)
    await console.open()
    page = console.page
    await expect(console.row(chat)).to_have_count(2)  # its chunks are left out until they are asked for
    await page.get_by_label("Topic").select_option("tasks")
    await expect(console.row(chat)).to_have_count(0)
    await expect(console.row(task)).to_have_count(2)
    await page.get_by_label("Type").select_option("relay.task.succeeded")
    await expect(console.row(task)).to_have_count(1)
    await page.get_by_label("Subject").fill("t-none")
    await page.keyboard.press("Enter")
    await expect(page.get_by_text("Nothing matches")).to_be_visible()
    assert "topic=tasks&type=relay.task.succeeded&subject=t-none" in page.url
    await page.goto(f"{relay.relay.url}/#/events?topic=chat-chunks&subject={chat}")
    await expect(page.locator(".event").first).to_contain_text("Chat chunk")
    await expect(page.get_by_label("Subject")).to_have_value(chat)
    await page.get_by_role("button", name="Clear").click()
    await expect(console.row(task)).to_have_count(2)


async def test_while_paused_nothing_moves_and_what_waits_is_counted(relay: Stage, console: Visit) -> None:
    """A line would run away under the eyes, or what came meanwhile would be missed."""
    await console.open()
    await expect(console.page.locator(".state")).to_have_text("Live")
    await console.page.get_by_role("button", name="Pause").click()
    shown = await console.page.locator(".event").count()
    task = await relay.submit()
    await relay.ended(task)
    resume = console.page.get_by_role("button", name=re.compile(r"Resume · \d+ waiting"))
    await expect(resume).to_be_visible()
    assert await console.page.locator(".event").count() == shown
    await console.page.keyboard.press("3")  # another view and back: it is still paused
    await console.page.keyboard.press("2")
    await resume.click()
    await expect(console.row(task)).to_have_count(2)


async def test_the_list_and_what_waits_are_bounded(relay: Stage, console: Visit) -> None:
    """A tab that is left open over night would eat the memory of its machine."""
    await console.open()
    grown = await console.page.evaluate(
        """async () => {
          const { feed, CAPACITY } = (await import(document.scripts[0].src)).modules["feed.js"];
          const event = { type: "relay.task.submitted", subject: "t", time: new Date().toISOString(), data: {} };
          for (const round of [0, 1]) {
            feed.pause();
            for (let at = 0; at < 5 * CAPACITY; at += 1) feed.take({ offset: round * 5 * CAPACITY + at, event });
            feed.resume();
          }
          return { rows: feed.rows.length, newest: feed.rows[0].offset, CAPACITY };
        }"""
    )
    assert grown["rows"] == grown["CAPACITY"]
    assert grown["newest"] == 10 * grown["CAPACITY"] - 1
    await expect(console.page.locator(".event")).to_have_count(grown["CAPACITY"])


async def test_the_search_leads_to_the_timeline_of_a_task(relay: Stage, console: Visit) -> None:
    """Nobody could find out what became of a task without reading the journal by hand."""
    task = await relay.submit("doubled=3")
    await relay.ended(task)
    await console.open()
    await console.page.keyboard.press("/")
    await console.page.keyboard.type(task)
    await console.page.keyboard.press("Enter")
    await expect(console.page.get_by_role("heading", name="Timeline")).to_be_visible()
    assert console.page.url.endswith(f"#/subjects/{task}")
    moments = console.page.locator(".moment")
    await expect(moments.filter(has_text="Task submitted").first).to_be_visible()
    await expect(moments.filter(has_text="Task succeeded").first).to_contain_text("reported via webhook")
    published = moments.filter(has_text="Published on redis")
    await expect(published.first.locator("time")).to_be_visible()
    await expect(published.filter(has_text="Task succeeded")).to_have_count(1)
    await expect(moments.filter(has_text="2 duplicates absorbed")).to_contain_text("2 via webhook")
    await expect(console.page.locator(".facts")).to_contain_text("Duplicates absorbed2")
    order = await moments.evaluate_all("found => found.map(each => each.querySelector('time')?.dateTime)")
    assert order == sorted(order)


async def test_a_timeline_follows_a_task_while_it_runs(relay: Stage, console: Visit) -> None:
    """A user who waits for a task would have to reload the page again and again."""
    task = await relay.submit("late=1500ms")
    await console.open(f"#/subjects/{task}")
    await expect(console.page.locator(".moment", has_text="Task submitted").first).to_be_visible()
    await expect(console.page.locator(".moment", has_text="Task succeeded").first).to_be_visible()
    await expect(console.page.locator(".output")).to_have_count(1)


async def test_a_timeline_of_nothing_says_so(console: Visit) -> None:
    """A mistyped id would look like a page that is broken."""
    await console.open("#/subjects/t-none")
    await expect(console.page.get_by_text("Unknown id")).to_be_visible()
    console.said.clear()  # Chromium notes each 404 in red by itself


async def test_outputs_are_shown_while_their_links_live(relay: Stage, console: Visit) -> None:
    """People would have to paste links to see what was made."""
    image = await relay.submit()
    video = await relay.submit(path="/v3/async/minimax-hailuo-02")
    audio = await relay.submit(path="/v3/async/minimax-speech-02-hd")
    for task, shown in ((image, "img"), (video, "video"), (audio, "audio")):
        await relay.ended(task)
        await console.open(f"#/subjects/{task}")
        await expect(console.page.locator(".output")).to_contain_text("expires in")
        element = console.page.locator(f".output {shown}")
        if shown == "img":
            await expect(element).to_have_js_property("naturalWidth", 320)
            continue
        await expect(element).to_have_js_property("paused", True)
        await element.evaluate("player => { player.muted = true; return player.play(); }")
        await expect(element).to_have_js_property("ended", True)
        assert await element.evaluate("player => player.duration") > 1
        assert await element.evaluate("player => player.videoWidth ?? null") == (320 if shown == "video" else None)


async def test_an_output_that_cannot_be_loaded_says_so(relay: Stage, console: Visit) -> None:
    """An empty frame would stand there, or the browser's broken picture."""
    for kind in ("image", "video", "audio"):
        output = {f"{kind}_url": f"{relay.simulator.url}/_simulator/outputs/gone", f"{kind}_type": "gone"}
        task = {"task_id": f"t-gone-{kind}", "status": "TASK_STATUS_SUCCEED"}
        await relay.deliver({"task": task, f"{kind}s": [output]})
        await console.open(f"#/subjects/t-gone-{kind}")
        await expect(console.page.locator(".frame.absent")).to_have_text("The link could not be loaded.")
    console.said.clear()  # Chromium notes each 404 in red by itself


def result(task_id: str, url: str, **image: Any) -> dict[str, Any]:
    """A delivery about a task with one picture."""
    task = {"task_id": task_id, "status": "TASK_STATUS_SUCCEED", "task_type": HOSTILE}
    return {"task": task, "images": [{"image_url": url, "image_type": "png", **image}]}


async def test_an_output_whose_link_is_dead_is_not_asked_for(relay: Stage, console: Visit) -> None:
    """A broken picture would stand there, and nobody would know why."""
    url = "https://faas-output-image.example/old.png?X-Amz-Date=20240101T000000Z&X-Amz-Expires=60&X-Amz-Signature=0"
    await relay.deliver(result("t-expired", url))
    await console.open("#/subjects/t-expired")
    await expect(console.page.locator(".frame")).to_have_text("The link has expired.")
    await expect(console.page.locator(".caption")).to_contain_text("expired")
    assert not [address for address in console.asked_for if "old.png" in address]


async def test_what_strangers_wrote_stays_text(relay: Stage, console: Visit) -> None:
    """An attacker who can choose the text of a task's failure could act in the operator's name."""
    page = console.page
    await relay.deliver(result("t-hostile", "javascript:document.title=1"))
    odd = {"task": {"task_id": "t-odd", "status": HOSTILE, "reason": "<script>document.title=1</script>"}}
    assert await relay.deliver(odd) == "dead"
    letter = (await relay.dead_letters())[-1]
    chat = await relay.chat(f"{HOSTILE} [a](javascript:alert(1))", model=HOSTILE)
    await relay.ended(chat)
    for view in (
        "#/events?topic=all",
        "#/subjects/t-hostile",
        f"#/subjects/{chat}",
        f"#/dead-letters/{letter}",
        f"#/subjects/{HOSTILE}",
    ):
        await console.open(view)
        await expect(page.locator("main")).to_contain_text("<img src=x onerror=")
        assert await page.locator("main img, main script, main [onerror]").count() == 0
        assert await page.locator('a[href^="javascript:"], [src^="javascript:"]').count() == 0
        assert (await page.title()).endswith("· relay")
    await console.open("#/subjects/t-hostile")
    await expect(page.locator(".frame")).to_have_text("The link is not a web address, so it is not opened.")
    console.said[:] = [text for text in console.said if "404" not in text]


@pytest.mark.parametrize(
    "address", ["javascript:alert(1)", " javascript:alert(1)", "java\nscript:alert(1)", "data:text/html,x", "//x"]
)
async def test_no_element_gets_an_address_that_is_not_of_the_web(console: Visit, address: str) -> None:
    """One place that forgets to look at an address would be enough for a script to run at a click."""
    await console.open()
    made = await console.page.evaluate(
        """async address => {
          const { element } = (await import(document.scripts[0].src)).modules["dom.js"];
          const made = [element("a", { href: address }), element("img", { src: address })];
          return made.map(each => each.attributes.length);
        }""",
        address,
    )
    assert made == [0, 0]


@pytest.mark.parametrize("api", apis())
async def test_a_chat_is_read_while_it_grows(relay: Stage, console: Visit, api: str) -> None:
    """A long answer could only be read once it is over."""
    text = " ".join(f"word{number}" for number in range(60))
    chat = await relay.chat(text, "pace=50ms", api=api)
    await console.open("#/chats")
    await console.page.get_by_role("link", name=chat).click()
    transcript = console.page.locator(".transcript")
    await expect(transcript).to_contain_text("Growing")
    content, lengths = transcript.locator(".content"), set()
    async with asyncio.timeout(WITHIN):
        while await transcript.get_attribute("data-ended") == "false":
            lengths.update(map(len, await content.all_inner_texts()))
    assert len(lengths) > 1, "it came in one piece"
    await expect(content).to_have_text(text)
    await expect(console.page.locator(".facts")).to_contain_text("completed")
    await expect(console.page.locator(".moment", has_text="chunk events")).to_be_visible()


async def test_reasoning_and_tool_calls_are_told_apart(relay: Stage, console: Visit) -> None:
    """What a model thought would be taken for what it said, or what it called would not be seen."""
    chat = await relay.chat("the answer", "reasoning=details, tools=2")
    end = await relay.ended(chat)
    (choice,) = end["data"]["choices"]
    await console.open(f"#/subjects/{chat}")
    await console.page.locator(".reasoning summary").click()
    await expect(console.page.locator(".reasoning .said")).to_have_text(choice["reasoning_content"])
    names = [call["function"]["name"] for call in choice["tool_calls"]]
    await expect(console.page.locator(".call .lead")).to_have_text([f"Calls {name}" for name in names])
    await console.open(f"#/events?topic=chat-chunks&subject={chat}")
    await expect(console.page.locator(".summary", has_text=f"{names[0]}()").first).to_be_visible()


async def test_a_dead_letter_is_read_and_deleted_after_a_question(relay: Stage, console: Visit) -> None:
    """What could not be read could not be looked at, or would be gone at one wrong click."""
    page = console.page
    assert await relay.deliver(UNREADABLE) in ("dead", "duplicate")
    await console.open("#/dead-letters")
    await page.locator("tr", has_text="NO_SUCH_STATUS").get_by_role("link").click()
    await expect(page.get_by_label("Raw delivery")).to_contain_text('"NO_SUCH_STATUS"')
    await expect(page.locator(".facts")).to_contain_text("unknown_status")
    address = page.url
    await page.get_by_role("button", name="Delete…").click()
    await page.get_by_role("button", name="Keep it").click()
    assert page.url == address
    await page.get_by_role("button", name="Delete…").click()
    await page.get_by_role("dialog").get_by_role("button", name="Delete it").click()
    await expect(page.get_by_text("The dead letter was deleted.")).to_be_visible()
    await expect(page.locator("tr", has_text="NO_SUCH_STATUS")).to_have_count(0)
    await page.goto(address)
    await expect(page.get_by_text("No dead letter has this id")).to_be_visible()
    console.said.clear()


async def test_health_shows_the_sinks_the_journal_and_what_is_under_way(relay: Stage, console: Visit) -> None:
    """A lagging sink would only be noticed by the consumers that miss its events."""
    await console.open("#/health")
    sink = console.page.locator(".sink")
    await expect(sink).to_contain_text("redis")
    await expect(sink).to_contain_text("Up")
    await expect(sink).to_contain_text("Lag")
    await expect(console.page.get_by_text("relay accepts deliveries durably.")).to_be_visible()
    await expect(console.page.locator("#readiness")).to_have_text("Ready")
    await console.open("#/tasks?state=all")
    await expect(console.page.locator("tbody tr").first).to_be_visible()
    await console.page.get_by_role("link", name="overdue").click()
    await expect(console.page.get_by_text("Nothing is overdue")).to_be_visible()
