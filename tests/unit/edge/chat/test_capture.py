"""What is recorded of a stream, and that recording it breaks nothing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import orjson
import pytest

from relay.apis.chat_completions import API as CHAT_COMPLETIONS
from relay.core.chat.api import Api
from relay.core.chat.events import Opening
from relay.core.chat.tap import Capture, Tap
from relay.edge.chat import capture
from relay.edge.chat.capture import ChatCapture
from relay.edge.chat.event_queue import ChatEventQueue
from relay.journal.journal import Journal
from relay.telemetry.signals.chats import ChatSignals
from relay.telemetry.telemetry import Telemetry
from tests.unit.edge.chat.chatting import DONE, frame, until
from tests.unit.edge.serving import opened


@pytest.fixture
async def journal(tmp_path: Path) -> AsyncIterator[Journal]:
    async with opened(tmp_path) as journal:
        yield journal


class Recorded:
    """A record under way, and what the journal gets of it."""

    def __init__(self, journal: Journal, telemetry: Telemetry, capture: Capture) -> None:
        self.queue, self._journal = ChatEventQueue(journal), journal
        self._closed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        opening = Opening("s1", 1, asyncio.get_running_loop().time())
        signals = ChatSignals(telemetry)
        self.record = ChatCapture(
            opening, capture, CHAT_COMPLETIONS, self.queue, signals, lambda _: self._closed.set_result(None)
        )
        self.record.begin()
        self.record.answered(200, "text/event-stream")

    async def types(self) -> list[str]:
        async with asyncio.timeout(5):
            await self._closed
        assert await self.queue.flushed(5.0) == 0
        self.events = [entry.event for entry in await self._journal.events.read(0, 1000)]
        return [event.type.removeprefix("relay.chat.") for event in self.events]


async def test_the_first_event_is_made_behind_the_request_and_waits_for_nothing_else(journal: Journal) -> None:
    """Each request would reach the upstream later, or a stream that says nothing for a while would be in no event."""
    recorded = Recorded(journal, Telemetry(), Capture())
    assert recorded.queue.idle
    await until(lambda: journal.events.last_offset == 1)
    recorded.record.end("upstream_reset")
    assert await recorded.types() == ["started", "failed"]


@pytest.mark.parametrize(("chunks", "events"), [("off", 0), ("coalesced", 1), ("each", 3)])
async def test_chunk_events_are_as_many_as_the_setting_says(journal: Journal, chunks: str, events: int) -> None:
    """A consumer would get chunks that were switched off, or none that it waits for."""
    capture = Capture(chunks, 30.0)  # type: ignore[arg-type]
    recorded = Recorded(journal, Telemetry(), capture)
    for piece in (frame("a"), frame("b"), frame("c", "stop"), DONE):
        recorded.record.feed(piece)
    recorded.record.end("end")
    assert await recorded.types() == ["started", *["chunk"] * events, "completed"]


async def test_chunks_are_published_while_the_stream_goes_on(journal: Journal) -> None:
    """A consumer that shows an answer as it comes would see it at its end only."""
    recorded = Recorded(journal, Telemetry(), Capture("coalesced", 0.01))
    for count, text in enumerate("ab", 2):
        recorded.record.feed(frame(text))
        async with asyncio.timeout(5):
            while journal.events.last_offset < count:
                await journal.events.wait(journal.events.last_offset)
    recorded.record.end("client_gone")
    assert (await recorded.types())[-1] == "cancelled"
    chunks = [orjson.loads(event.data) for event in recorded.events if event.type == "relay.chat.chunk"]
    assert [(each["first_sequence"], len(each["chunks"])) for each in chunks] == [(0, 1), (1, 1)]


async def test_under_pressure_chunks_are_left_out_and_counted(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Memory would grow without end beside a slow disk, or content be missing without a word."""
    monkeypatch.setattr(ChatEventQueue, "pressed", True)
    recorded = Recorded(journal, Telemetry(), Capture("each", 30.0))
    recorded.record.feed(frame("a") + frame("b"))
    recorded.record.end("client_gone")
    assert await recorded.types() == ["started", "cancelled"]
    ending = orjson.loads(recorded.events[-1].data)
    assert (ending["gaps"], ending["choices"][0]["content"]) == (2, "ab")


async def test_a_fast_stream_is_read_before_its_time(journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    """Chunks beyond what is held between two looks would be lost to their events."""
    monkeypatch.setattr(capture, "_MUCH", 1000)
    recorded = Recorded(journal, Telemetry(), Capture("coalesced", 30.0))
    for _ in range(100):
        recorded.record.feed(frame("x" * 4000))
    async with asyncio.timeout(5):
        await journal.events.wait(1)
    recorded.record.end("end")
    await recorded.types()
    assert orjson.loads(recorded.events[-1].data)["gaps"] == 0


class Broken(Tap):
    """A tap with a bug in one of its steps, in the first one that is made."""

    step = ""
    made = 0

    def __init__(self, opening: Opening, capture: Capture, api: Api) -> None:
        super().__init__(opening, capture, api)
        Broken.made += 1
        if Broken.made == 1:
            setattr(self, Broken.step, self._fail)

    def _fail(self, *_: object, **__: object) -> None:
        raise RuntimeError("a bug")


@pytest.mark.parametrize("step", ["answered", "feed", "due", "end"])
async def test_a_bug_in_the_tap_costs_content_and_no_ending(
    journal: Journal, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    """A stream would break because it is recorded, or stay open for good in the events."""
    monkeypatch.setattr(capture, "Tap", Broken)
    Broken.step, Broken.made = step, 0
    recorded = Recorded(journal, Telemetry(), Capture("coalesced", 0.0))
    recorded.record.feed(frame("a", "stop"))
    if step == "due":
        async with asyncio.timeout(5):
            while recorded.record._tap is not None:
                await asyncio.sleep(0.001)
    recorded.record.feed(DONE)
    assert recorded.record.at_border() == (step == "end")
    recorded.record.end("client_gone")
    types = await recorded.types()
    assert (types[0], types[-1]) == ("started", "cancelled")
    assert types.count("cancelled") == 1
