"""``relay demo`` as a user runs it: a real relay, a simulated upstream, real sockets, a real journal."""

from __future__ import annotations

import io
import re
from collections import Counter

import orjson
from rich.console import Console

from relay.demo import run_demo
from relay.demo.chats import CHATS, TERMINAL
from relay.demo.scenario import CONTRADICTED, TROUBLES


async def test_one_round_of_the_demo_ends_well() -> None:
    """The first thing that a newcomer runs would fail, or some trouble would lose, double or swap an event."""
    console = Console(file=io.StringIO(), width=140)
    code = await run_demo(once=True, console=console, tasks=24, seed=7)
    shown = console.file.getvalue()  # type: ignore[attr-defined]
    assert code == 0, shown
    assert "/webhooks/" not in shown, "the webhook's token must not stand on the screen"
    assert shown.count("relay.task.succeeded") + shown.count("relay.task.failed") == 24
    assert shown.count("relay.task.conflicted") == 1
    assert shown.count("relay.delivery.dead") == 1
    assert shown.startswith("Starting a relay and a simulated upstream in this process")
    assert sum(shown.count(type_) for type_ in TERMINAL) == len(CHATS)
    assert "Every task and every chat has exactly one terminal event." in shown
    assert "The sink has every event exactly once, in order." in shown
    assert not re.search("Toy sink: .* 0 replies lost|and 0 tries refused", shown), "nothing was done to the sink"
    for trouble in (CONTRADICTED, *TROUBLES, *(chat.trouble for chat in CHATS)):
        assert f"│ {trouble.description} " in shown


async def test_the_demo_in_json_is_events_and_a_summary() -> None:
    """A script could not read the demo's output, or would read less than happened."""
    console = Console(file=io.StringIO())
    assert await run_demo(once=True, console=console, tasks=16, chats=16, seed=3, json=True) == 0
    shown = console.file.getvalue()  # type: ignore[attr-defined]
    assert "/webhooks/" not in shown, "the webhook's token must not stand on the screen"
    *events, last = map(orjson.loads, shown.splitlines())
    types = Counter(line["event"]["type"] for line in events)
    summary = last["summary"]
    assert types["relay.task.succeeded"] + types["relay.task.failed"] == summary["tasks"] == 16
    assert sum(types[type_] for type_ in TERMINAL) == types["relay.chat.started"] == summary["chats"] == 16
    assert types["relay.task.conflicted"] == len(summary["conflicted"]) == 1
    assert summary["deliveries_tried"] > 16
    assert (summary["sink"]["events"], summary["sink"]["good"]) == (max(line["offset"] for line in events), True)
    assert summary["good"] is True
