from __future__ import annotations

import asyncio
from collections import Counter

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from relay.demo.chats import (
    CANCELLED,
    CHATS,
    COMPLETED,
    FAILED,
    PATHS,
    TERMINAL,
    Chat,
    chat_line,
    chat_script,
    converse,
)
from relay.simulator.chat.behaviour import Behaviour, parse
from relay.simulator.rates import Faults


def test_the_simulator_knows_every_word() -> None:
    """A chat of the demo would be refused, and nothing of it be shown."""
    behaviours = [parse(chat.trouble.simulate, Faults()) for chat in CHATS]
    assert all(behaviour != Behaviour() for behaviour in behaviours)
    assert len({chat.trouble.description for chat in CHATS}) == len(CHATS)


def test_a_round_ends_in_every_way() -> None:
    """The demo would not show what the relay publishes for a chat that fails or is abandoned."""
    steps = list(chat_script(len(CHATS) + 1, 3))
    assert {step.chat.ends_in for step in steps} == set(TERMINAL)
    assert steps[-1].chat == steps[0].chat
    assert {step.chat.api for step in steps} == set(PATHS), "each API is shown"
    assert len({str(step.body) for step in steps}) == len(steps), "equal requests would share their luck"
    assert Counter(step.body["stream"] for step in steps)[False] == 1


@pytest.mark.parametrize(("leaves", "broken"), [(False, False), (False, True), (True, False)])
async def test_a_chat_is_played_to_its_end_whichever_it_is(leaves: bool, broken: bool) -> None:
    """The demo would fail with the stream that it broke itself, or wait for one that its client has left."""

    async def serve(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"X-Relay-Chat-Id": "s1"})
        await response.prepare(request)
        await response.write(b"data: x\n\n")
        if leaves:
            await asyncio.sleep(60)
        if broken:
            assert request.transport is not None
            request.transport.abort()
        return response

    app = web.Application()
    app.add_routes([web.post("/openai/v1/chat/completions", serve)])
    [step] = chat_script(1, 1)
    chat = Chat(step.chat.trouble, leaves=leaves)
    async with TestServer(app) as server, aiohttp.ClientSession() as session, asyncio.timeout(5):
        url = str(server.make_url("")).rstrip("/")
        assert await converse(session, url, type(step)(step.body, chat)) == "s1"


def choice(content: str | None, *calls: str) -> dict[str, object]:
    return {"content": content, "tool_calls": [{"function": {"name": name}} for name in calls]}


@pytest.mark.parametrize(
    ("type_", "data", "shown"),
    [
        (COMPLETED, {"choices": [choice("a\nkite"), choice(None)], "reason": None}, "a kite"),
        (COMPLETED, {"choices": [choice(None, "look", "up")], "reason": None}, "look, up"),
        (FAILED, {"choices": [choice("a ki")], "reason": "upstream_reset"}, "upstream_reset"),
        (CANCELLED, {"choices": None, "reason": "client_gone"}, "client_gone"),
        ("relay.chat.started", {}, "org/[m]"),
    ],
)
def test_an_event_is_one_line(type_: str, data: dict[str, object], shown: str) -> None:
    """What was said, or why it was not, could not be seen as it comes."""
    line = chat_line(
        7, {"type": type_, "subject": "0123456789abcdef", "data": {"model": "org/[m]", "api": "messages", **data}}
    ).plain
    assert "\n" not in line
    for part in ("7", type_, "89abcdef", "org/[m]", "messages", shown):
        assert part in line
