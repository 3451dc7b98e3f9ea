"""The story of one task or chat in a real Chromium, how it is found, and what a wrong address or token says."""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import uuid4

import pytest
import pytest_asyncio
from playwright.async_api import Locator, Route, expect

from relay.apis import apis
from tests.e2e.conftest import Visits
from tests.e2e.console_stage import PHONE, WITHIN, Json, Stage, Visit, stage
from tests.services.nginx import Nginx
from tests.services.ports import free_port
from tests.services.relay import RelayProcess

pytestmark = pytest.mark.asyncio(loop_scope="module")

API_TOKEN = "api-token-0123456789abcdef-0123456789"
BALANCERS = """
  server {{
    listen 127.0.0.1:{by_path};
    proxy_set_header Host $http_host;
    proxy_buffering off;
    location / {{ proxy_pass http://127.0.0.1:{first}; }}
    location ~ ^/v1/(chats|events) {{ proxy_pass http://127.0.0.1:{second}; }}
  }}
  upstream relays {{ server 127.0.0.1:{first}; server 127.0.0.1:{second}; }}
  server {{
    listen 127.0.0.1:{by_turns};
    proxy_set_header Host $http_host;
    proxy_buffering off;
    location / {{ proxy_pass http://relays; }}
  }}
"""
"""In front of two replicas: one that leads each path to one of them, and one to both by turns."""

PROMPT = "Why do kites fly? <b>Briefly.</b>"


def result(task_id: str) -> Json:
    times = {"submit_time_ms": "1700000000000", "execute_time_ms": "1700000000080", "complete_time_ms": "1700000004000"}
    task = {"task_id": task_id, "status": "TASK_STATUS_SUCCEED"}
    return {"task": task, "extra": {"debug_info": times}}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def relay(module_path: Path) -> AsyncIterator[Stage]:
    async with stage(module_path / "relay", proxy={"chunks": "each", "capture": {"request": "full"}}) as staged:
        yield staged


@pytest_asyncio.fixture(loop_scope="module")
async def console(visits: Visits, relay: Stage) -> AsyncIterator[Visit]:
    """A tab in which nothing may turn red."""
    opened = await visits(relay.relay.url, permissions=["clipboard-read", "clipboard-write"])
    yield opened
    assert opened.errors() == []


def fact(console: Visit, term: str) -> Locator:
    return console.page.locator(".facts > div", has=console.page.locator("dt", has_text=term)).locator("dd")


def section(console: Visit, title: str) -> Locator:
    return console.page.locator("section", has=console.page.get_by_role("heading", name=title))


async def copied(console: Visit, button: str, read: str = "navigator.clipboard.readText()") -> str:
    """What a button puts into the clipboard."""
    await console.page.locator("#notice").evaluate("notice => (notice.textContent = '')")
    await console.page.get_by_role("button", name=button).click()
    await expect(console.page.locator("#notice")).to_have_text("Copied.")
    return str(await console.page.evaluate(read))


# -- stories ---------------------------------------------------------------------------------------------------------


async def test_the_story_of_a_chat_says_when_for_whom_and_what_was_asked(relay: Stage, console: Visit) -> None:
    """Support would see an answer, and not the question; or when it was, and how long it took."""
    chat = await relay.chat(PROMPT, tools=[{"type": "function", "function": {"name": "wind"}}], temperature=0.5)
    await relay.ended(chat)
    await console.open(f"#/subjects/{chat}")
    for term in ("Submitted", "Finished"):
        await expect(fact(console, term).locator("time")).to_be_visible()
    for term in ("Duration", "First token"):
        await expect(fact(console, term)).to_contain_text("ms")
    await expect(fact(console, "Client")).to_have_text("unnamed")
    request = section(console, "Request")
    await expect(request.locator(".said")).to_have_text(PROMPT)
    await expect(request.get_by_role("heading", name="user")).to_be_visible()
    await expect(request).to_contain_text("1 message · 1 tool")
    await expect(request).to_contain_text("temperature 0.5")
    await request.get_by_text("1 tool", exact=True).click()
    await expect(request.get_by_label("Tools")).to_contain_text('"wind"')


@pytest.mark.parametrize("api", apis())
async def test_the_question_of_a_chat_is_shown_whatever_its_api(relay: Stage, console: Visit, api: str) -> None:
    """Of some APIs the system prompt would be missing, or the page end where a text is a list or a list is a text."""
    said = apis()[api].said
    parts = [{"type": "text", "text": "Answer"}, {"type": "text", "text": "in one word."}]
    system = parts if api == "messages" else "Answer\n\nin one word."
    asked = {said.system: system} if said.system else {}
    chat = await relay.chat(PROMPT, api=api, **({"input": PROMPT} if api == "responses" else {}), **asked)
    await relay.ended(chat)
    await console.open(f"#/subjects/{chat}")
    request = section(console, "Request")
    await expect(request.get_by_role("heading")).to_have_text(["Request", *(["system"] if asked else []), "user"])
    await expect(request.locator(".said")).to_have_text([*(["Answer\n\nin one word."] if asked else []), PROMPT])


async def test_chunks_are_folded_and_can_be_seen(relay: Stage, console: Visit) -> None:
    """The timeline of a chat would be a thousand lines of chunks, or there would be no way to look at one."""
    chat = await relay.chat(" ".join("w" * 40))
    await relay.ended(chat)
    await console.open(f"#/subjects/{chat}")
    folded = console.page.locator(".moment", has_text="chunk events")
    await expect(folded).to_have_count(1)
    await folded.get_by_role("link", name="Show them").click()
    await expect(console.page.locator(".event", has_text="Chat chunk").nth(10)).to_be_visible()


async def test_the_story_of_a_task_says_when_and_why_its_request_is_not_there(relay: Stage, console: Visit) -> None:
    """People would look for the prompt, and for how long the task took."""
    task = await relay.submit()
    await relay.ended(task)
    await console.open(f"#/subjects/{task}")
    for term in ("Submitted", "Finished"):
        await expect(fact(console, term).locator("time")).to_be_visible()
    await expect(fact(console, "Duration")).to_contain_text("s")
    await expect(section(console, "Request")).to_contain_text("relay passes the request of a task on")
    heard = f"t-{uuid4()}"
    await relay.deliver(result(heard))
    await console.open(f"#/subjects/{heard}")
    await expect(fact(console, "Duration")).to_have_text("4.0 s")
    await expect(section(console, "Request")).to_contain_text("was not submitted through this relay")


@pytest.mark.parametrize(
    ("capture", "says"),
    [("metadata", "proxy.capture.request was not full."), ("none", "proxy.capture.request was none.")],
)
async def test_a_prompt_that_is_not_captured_says_why(tmp_path: Path, visits: Visits, capture: str, says: str) -> None:
    """People would take it for a defect, and not find the setting."""
    async with stage(tmp_path / "relay", proxy={"capture": {"request": capture}}) as staged:
        console = await visits(staged.relay.url)
        chat = await staged.chat(PROMPT)
        await staged.ended(chat)
        await console.open(f"#/subjects/{chat}")
        await expect(section(console, "Request")).to_contain_text(says)
        await expect(section(console, "Request")).not_to_contain_text("kites")
        assert await console.axe() == []


async def test_an_id_and_the_command_for_its_story_can_be_copied(relay: Stage, console: Visit) -> None:
    """People would copy half of an id, or write the request by hand."""
    task = await relay.submit()
    await relay.ended(task)
    await console.open(f"#/subjects/{task}")
    assert await copied(console, "Copy id") == task
    command = await copied(console, "Copy as curl")
    curl = await asyncio.create_subprocess_exec("sh", "-c", command, stdout=subprocess.PIPE)
    async with asyncio.timeout(WITHIN):
        answer, _ = await curl.communicate()
    assert json.loads(answer)["subject"] == task
    plain_http = (
        "window.kept = navigator.clipboard; Object.defineProperty(navigator, 'clipboard', { value: undefined })"
    )
    await console.page.evaluate(plain_http)
    assert await copied(console, "Copy id", "window.kept.readText()") == task


async def test_an_id_of_an_attacker_makes_no_command_of_theirs(console: Visit) -> None:
    """Who copies the command from a link that a stranger sent would run what the stranger wrote."""
    await console.open("#/subjects/" + "x%27%3B%20touch%20pwned%20%27")
    command = await copied(console, "Copy as curl")
    assert command.count("'") == 2, command
    console.said.clear()  # Chromium notes each 404 in red by itself


# -- finding ---------------------------------------------------------------------------------------------------------


async def search(console: Visit, text: str) -> None:
    await console.page.keyboard.press("/")
    await console.page.keyboard.type(text)
    await console.page.keyboard.press("Enter")


async def test_a_task_or_chat_is_found_by_how_its_id_begins(relay: Stage, console: Visit) -> None:
    """From a log line that was cut, or from memory, nobody would find it."""
    page = console.page
    for name in ("pre-one-1", "pre-one-2", "pre-two-1"):
        await relay.deliver(result(name))
    chat = await relay.chat("a kite")
    await relay.ended(chat)
    await console.open()
    await search(console, "pre-one")
    await expect(page.get_by_role("heading", name="Search")).to_be_focused()
    await expect(page.locator(".matches a")).to_have_text(["pre-one-2", "pre-one-1"])
    assert page.url.endswith("#/search?prefix=pre-one")
    assert await console.axe() == []
    await page.get_by_role("link", name="pre-one-1").click()
    await expect(page.locator(".moment", has_text="Task succeeded")).to_be_visible()
    await search(console, "pre-tw")
    await expect(page).to_have_url(re.compile("#/subjects/pre-two-1$"))  # the only one is shown at once
    await expect(page.get_by_role("heading", name="Timeline")).to_be_visible()
    await page.go_back()
    await expect(page.locator("main .id.whole")).to_have_text("pre-one-1")  # not the search, which would lead on again
    await search(console, chat[:12])
    await expect(page.locator(".facts")).to_contain_text("completed")


async def test_a_search_that_finds_nothing_says_where_it_looked(console: Visit) -> None:
    """It would look like a page that is broken, or as if an older one could not be there."""
    page = console.page
    asked: list[str] = []

    async def answered(route: Route) -> None:
        asked.append(route.request.url)
        await route.fulfill(json={"subjects": [], "next": 5_000_000 - len(asked) * 50_000})

    await console.open()
    await search(console, "zz-none")
    await expect(page.get_by_text("No id begins so")).to_be_visible()
    await page.route("**/v1/subjects?*", answered)
    await search(console, "zz-old")
    await expect(page.get_by_text("down to offset 4,500,000.")).to_be_visible()
    assert len(asked) == 10
    await page.get_by_role("button", name="Look further back").click()
    await expect(page.get_by_text("down to offset 4,000,000.")).to_be_visible()
    assert await console.axe() == []
    await page.unroute("**/v1/subjects?*")
    await search(console, "not/an id")
    await expect(page.get_by_role("alert")).to_contain_text("must be the beginning of an id")
    console.said.clear()  # Chromium notes each 400 in red by itself


@pytest.mark.parametrize("address", ["#/nonsense", "#/events/t-1", "#/tasks/t-1", "#/subjects", "#/nonsense?x=%zz"])
async def test_an_address_that_there_is_not_says_so(console: Visit, address: str) -> None:
    """A link that was cut would lead to the overview, as if that was meant."""
    await console.open(address)
    await expect(console.page.get_by_role("heading", name="Unknown address")).to_be_visible()
    await expect(console.page.locator("main code")).to_have_text(address)
    await console.page.get_by_role("link", name="Go to the overview").click()
    await expect(console.page.get_by_role("heading", name="Overview")).to_be_focused()


async def test_a_token_that_is_refused_is_said_to_be(tmp_path: Path, visits: Visits) -> None:
    """Who mistyped a token would be asked again and again without a word."""
    async with stage(tmp_path / "relay", server={"api_tokens": [API_TOKEN]}) as staged:
        console = await visits(staged.relay.url)
        await console.page.goto(f"{staged.relay.url}/#/tasks")
        dialog = console.page.get_by_role("dialog")
        await expect(dialog).to_be_visible()
        await expect(dialog.get_by_role("alert")).to_have_count(0)
        for token in ("not-the-token", "neither-this"):
            await dialog.get_by_label("Token").fill(token)
            await console.page.keyboard.press("Enter")
            await expect(dialog.get_by_role("alert")).to_contain_text("does not accept this token")
            await expect(dialog.get_by_label("Token")).to_have_value("")
        assert await console.axe() == []
        await dialog.get_by_label("Token").fill(API_TOKEN)
        await console.page.keyboard.press("Enter")
        await expect(dialog).to_have_count(0)
        await console.open("#/subjects/t-1")
        await expect(console.page.get_by_text("Unknown id")).to_be_visible()
        copying = "(await import(document.scripts[0].src)).modules['copying.js']"
        command = str(await console.page.evaluate(f"async () => {copying}.asCurl('/v1/subjects/t-1')"))
        assert API_TOKEN not in command
        assert "$RELAY_API_TOKEN" in command


async def test_every_view_says_whose_journal_it_shows(relay: Stage, visits: Visits, tmp_path: Path) -> None:
    """Behind a balancer in front of several replicas, people would miss tasks, and look for a defect."""
    other = RelayProcess(tmp_path / "other", identity="relay-1")
    await other.start()
    inside, by_turns, by_path = relay.relay.port, free_port(), free_port()
    site = BALANCERS.format(first=inside, second=other.port, by_turns=by_turns, by_path=by_path)
    try:
        async with Nginx(tmp_path / "nginx", site=site, port=by_turns):
            console = await visits(f"http://127.0.0.1:{by_path}")
            page = console.page
            await console.open("#/overview")
            await expect(page.locator("#replica")).to_contain_text("Journal of test-relay ·")
            await expect(page.locator("#banner")).to_be_hidden()
            await console.open("#/chats")
            await expect(page.locator("#banner")).to_contain_text("Several replicas. relay-1, test-relay answer here")
            await expect(page.locator("#replica")).to_contain_text("Mixed from the journals of relay-1, test-relay")
            assert await console.axe() == []
            await page.get_by_role("link", name="Overview", exact=True).click()
            await expect(page.locator("#banner")).to_be_hidden()
            await console.open("#/events")
            await expect(page.locator("#banner")).to_contain_text("Several replicas")
            await console.open("#/health")
            await expect(page.locator("#banner"), "the live events go on").to_contain_text("Several replicas")
            another = await visits(f"http://127.0.0.1:{by_turns}")
            await another.open("#/overview")
            await expect(another.page.locator("#banner")).to_contain_text("Several replicas")
    finally:
        other.kill()


# -- ids -------------------------------------------------------------------------------------------------------------


async def test_an_id_never_breaks(relay: Stage, visits: Visits) -> None:
    """Who copies an id from two lines, or from one that was cut, finds nothing with it."""
    task = str(uuid4())
    await relay.deliver(result(task))
    for viewport in (PHONE, {"width": 768, "height": 900}, {"width": 1280, "height": 800}):
        console = await visits(relay.relay.url, viewport=viewport)
        for address in (f"#/events?subject={task}", f"#/subjects/{task}"):
            await console.open(address)
            shown = console.page.locator("main .id", has_text=task).first
            await expect(shown).to_be_visible()
            lines = await shown.evaluate(
                """id => {
                  const range = document.createRange();
                  range.selectNodeContents(id);
                  return [range.getClientRects().length, id.scrollWidth - id.clientWidth];
                }"""
            )
            assert lines == [1, 0], (viewport, address)
            assert await console.page.evaluate("document.documentElement.scrollWidth") == viewport["width"], address
