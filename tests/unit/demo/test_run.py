from __future__ import annotations

import asyncio
import io
import os
import re
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import aiohttp
import orjson
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from rich.console import Console

from relay.demo import run
from relay.demo.chats import CHATS, COMPLETED, FAILED, ChatStep
from relay.demo.run import Demo, run_demo
from relay.demo.scenario import CONTRADICTED, NO_TROUBLE, Json, Step, Trouble
from relay.simulator.options import Options, Retries
from relay.simulator.server import Simulator

WORDS = {"TASK_STATUS_SUCCEED": "succeeded", "TASK_STATUS_FAILED": "failed"}


class StubRelay:
    """Publishes every webhook as a terminal event, ``copies`` times over: it knows no duplicates and no conflicts.

    Submissions go to ``upstream`` with its own webhook; it never polls.
    """

    def __init__(self, copies: int, upstream: str) -> None:
        self._copies = copies
        self._upstream = upstream
        self._events: list[Json] = []
        self._news = asyncio.Condition()

    async def submit(self, request: web.Request) -> web.Response:
        body = {**await request.json(), "extra": {"webhook": {"url": str(request.url.origin() / "hook")}}}
        headers = {"X-Simulate": request.headers["X-Simulate"]}
        async with (
            aiohttp.ClientSession() as session,
            session.post(self._upstream + request.path, json=body, headers=headers) as answer,
        ):
            return web.json_response(await answer.json())

    async def receive(self, request: web.Request) -> web.Response:
        task = (await request.json())["payload"]["task"]
        data = {
            "task_type": task["task_type"],
            "outputs": [],
            "reason": task["reason"],
            "observed_via": "webhook",
        }
        event = {"type": f"relay.task.{WORDS[task['status']]}", "subject": task["task_id"], "data": data}
        async with self._news:
            self._events += [event] * self._copies
            self._news.notify_all()
        return web.Response()

    async def chat(self, request: web.Request) -> web.Response:
        """A chat that is answered in one byte, and whose end is published as completed."""
        chat_id = f"chat-{len(self._events)}"
        event = {"type": "relay.chat.completed", "subject": chat_id, "data": {"model": "m", "choices": []}}
        async with self._news:
            self._events += [event] * self._copies
            self._news.notify_all()
        return web.Response(text="x", headers={"X-Relay-Chat-Id": chat_id})

    async def events(self, request: web.Request) -> web.StreamResponse:
        if "text/event-stream" in request.headers.get("Accept", ""):
            return await self._stream(request)
        after = int(request.query["after"])
        page = [{"offset": after + place, "event": event} for place, event in enumerate(self._events[after:], 1)][:2]
        return web.json_response({"events": page, "next": after + len(page)})

    async def _stream(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        sent = 0
        await response.write(b": hello\n\n")
        while True:
            async with self._news:
                while len(self._events) == sent:
                    await self._news.wait()
            event, sent = self._events[sent], sent + 1
            frame = b"id: %d\nevent: x\ndata: %s\n\n" % (sent, orjson.dumps(event))
            await response.write(frame[:20])
            await response.write(frame[20:])


@asynccontextmanager
async def staged(*, copies: int = 1, json: bool = True) -> AsyncIterator[Demo]:
    quick = Options(queue_seconds=0.0, run_seconds=0.0, retries=Retries(spacing=(0.0,)))
    async with Simulator(quick) as simulator, aiohttp.ClientSession() as session:
        relay = StubRelay(copies, simulator.url)
        app = web.Application()
        app.add_routes(
            [
                web.post("/hook", relay.receive),
                web.post("/v3/async/{name}", relay.submit),
                web.post("/openai/v1/chat/completions", relay.chat),
                web.get("/v1/events", relay.events),
            ]
        )
        async with TestServer(app) as server:
            url = str(server.make_url("")).rstrip("/")
            console = Console(file=io.StringIO(), width=120)
            demo = Demo(simulator, url, session, console, json)
            following = asyncio.create_task(demo.follow())
            yield demo
            following.cancel()
            await asyncio.gather(following, return_exceptions=True)


def steps(*troubles: Trouble) -> Iterator[Step]:
    for number, trouble in enumerate(troubles):
        yield Step("/v3/async/qwen-image-txt2img", f"kite {number}", {"prompt": f"kite {number}"}, trouble)


def screen(demo: Demo) -> str:
    return demo.console.file.getvalue()  # type: ignore[attr-defined,no-any-return]


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "TIMEOUT", 0.2)


async def test_a_round_is_over_when_all_of_it_is_on_the_screen() -> None:
    """The summary would come before the events that it sums up."""
    async with staged() as demo:
        await demo.play(steps(NO_TROUBLE, Trouble("dropped=1", "sent again"), Trouble("fail", "fails")))
        lines = [orjson.loads(line) for line in screen(demo).splitlines()]
        verdict = await demo.verdict()
    assert [line["offset"] for line in lines] == [1, 2, 3]
    assert sorted(line["event"]["type"] for line in lines) == ["relay.task.failed", *["relay.task.succeeded"] * 2]
    assert (verdict.bad, verdict.terminals) == (frozenset(), 3)


@pytest.mark.usefixtures("impatient")
async def test_a_webhook_that_never_comes_is_missing_and_not_waited_for() -> None:
    """The demo would hang, or say that all is well."""
    async with staged() as demo:
        await demo.play(steps(NO_TROUBLE, Trouble("lost", "lost for good")))
        verdict = await demo.verdict()
    assert (len(verdict.missing), verdict.terminals) == (1, 1)


async def test_a_relay_that_doubles_events_is_found_out() -> None:
    """The demo would prove nothing."""
    async with staged(copies=2) as demo:
        await demo.play(steps(NO_TROUBLE))
        assert len((await demo.verdict()).doubled) == 1


async def test_a_relay_that_does_not_see_a_contradiction_is_found_out() -> None:
    """A contradiction would count as survived because nothing came of it."""
    async with staged() as demo:
        await demo.play(steps(CONTRADICTED))
        assert len((await demo.verdict()).unnoticed) == 1


async def test_a_round_has_chats_too_and_each_must_end_as_it_went() -> None:
    """The demo would prove nothing about chats, or end before their events are seen."""
    async with staged() as demo:
        went, broke = (next(chat for chat in CHATS if chat.ends_in == end) for end in (COMPLETED, FAILED))
        await demo.play(steps(NO_TROUBLE), [ChatStep({"model": "m"}, chat) for chat in (went, broke)])
        verdict = await demo.verdict()
    assert verdict.terminals == 3
    assert len(verdict.wrong) == 1, "a chat that broke was published as completed"
    assert verdict.bad == set(verdict.wrong)


async def test_people_see_where_things_are_and_what_came_out() -> None:
    """The events of a running demo could not be followed, which is what it is for."""
    async with staged(json=False) as demo:
        demo.announce()
        await demo.play(steps(Trouble("dropped=1", "sent again")))
        demo.show(await demo.verdict(), demo.sink.account(()))
        shown = screen(demo)
        assert f"relay tail --url {demo.relay_url}" in shown
        assert f"{demo.relay_url}/v1/events" in shown
        assert re.search(rf"^console +{re.escape(demo.relay_url)}/$", shown, re.MULTILINE)
    assert "Every task and every chat has exactly one terminal event." in shown
    assert "\x1b[" not in shown


async def test_an_interrupted_demo_of_one_round_has_not_proved_anything() -> None:
    """Ctrl-C would make a demo succeed that saw nothing."""
    before = signal.getsignal(signal.SIGINT)
    playing = asyncio.create_task(run_demo(once=True, console=Console(file=io.StringIO()), json=True))
    async with asyncio.timeout(20):
        while signal.getsignal(signal.SIGINT) is before:
            await asyncio.wait((playing,), timeout=0.01)
            assert not playing.done()
        os.kill(os.getpid(), signal.SIGINT)
        assert await playing == 1
