"""``GET /v1/events``: pages and live streams."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
import pytest

from relay.apis import apis
from relay.core.chat.events import chunk_draft, chunk_key
from relay.core.event import Entry
from relay.core.event_filter import EventFilter
from relay.edge.api import event_reader, events
from relay.edge.api.consumers import ConsumerLimits
from relay.edge.api.event_reader import EventReader
from relay.edge.api.events import Events
from relay.journal.errors import JournalBroken
from relay.journal.journal import Journal
from relay.telemetry.signals.consumers import ConsumerSignals
from relay.telemetry.telemetry import Telemetry
from tests.services.raw_http import Answer, Wire, ask, get, wire
from tests.unit.drafts import dead_draft, draft
from tests.unit.edge.serving import api, opened

LIVE = "Accept: text/event-stream"


@dataclass
class Scene:
    """The route being served, and the journal behind it."""

    url: str
    journal: Journal
    events: Events

    async def call(self, query: str = "", *headers: str) -> Answer:
        return await ask(self.url, get(f"/v1/events{query}", *headers))

    async def page(self, query: str = "") -> Any:
        return (await self.call(query)).json

    @asynccontextmanager
    async def live(self, query: str = "", *headers: str) -> AsyncIterator[Live]:
        async with wire(self.url) as connection:
            await connection.send(get(f"/v1/events{query}", LIVE, *headers))
            head = await connection.reader.readuntil(b"\r\n\r\n")
            yield Live(connection, head.decode())


@dataclass
class Live:
    """A stream of events, read chunk by chunk."""

    connection: Wire
    head: str
    text: str = ""
    ended: bool = False

    async def frame(self) -> str:
        """The next event or comment, without the empty line after it."""
        while "\n\n" not in self.text and not self.ended:
            size = int(await self.connection.line(), 16)
            async with asyncio.timeout(5):
                chunk = await self.connection.reader.readexactly(size + 2)
            self.text += chunk[:-2].decode()
            self.ended = size == 0
        frame, _, self.text = self.text.partition("\n\n")
        return frame

    async def event(self) -> tuple[int, str, Any]:
        """The next event: its id, its name, its data."""
        while (frame := await self.frame()).startswith(":"):
            pass
        fields = dict(line.split(": ", 1) for line in frame.split("\n"))
        return int(fields["id"]), fields["event"], orjson.loads(fields["data"])


@asynccontextmanager
async def scene(tmp_path: Path, limits: ConsumerLimits | None = None) -> AsyncIterator[Scene]:
    async with opened(tmp_path) as journal:
        signals = ConsumerSignals(Telemetry())
        served = Events(journal.events, signals, limits, identity="relay-7", apis=tuple(apis().values()))
        async with api({"GET /v1/events": served.get}) as url:
            yield Scene(url, journal, served)
            served.consumers.stop()


async def fill(journal: Journal, *tasks: str) -> None:
    for name in tasks:
        await journal.append(draft(name))


# -- pages -----------------------------------------------------------------------------------------------------------


async def test_an_event_is_shown_with_its_place(tmp_path: Path) -> None:
    """Consumers could not go on after it, nor distinguish the topics."""
    async with scene(tmp_path) as s:
        await fill(s.journal, "a")
        answer = await s.call()
        assert answer.status == 200
        assert answer.json["next"] == 1
        [shown] = answer.json["events"]
        assert (shown["offset"], shown["topic"]) == (1, "tasks")
        assert (shown["event"]["id"], shown["event"]["data"]) == ("a:succeeded", {"n": 1})


async def test_what_chunks_say_is_shown_where_it_is_asked_for(tmp_path: Path) -> None:
    """Who shows a chat while it grows would have to know every API, or the events of a broker would be other ones."""
    text = b'{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"Hi"}}'
    async with scene(tmp_path) as s:
        await fill(s.journal, "a")
        await s.journal.append(chunk_draft("c", chunk_key("c"), 0, [text], time="2026-01-01T00:00:00.000Z"))
        plain = (await s.page())["events"]
        for query in ("?choices=true", "?choices=true&before=latest"):
            task, chunk = sorted((await s.page(query))["events"], key=lambda each: each["offset"])
            assert [choice["content"] for choice in chunk["choices"]] == ["Hi"]
            assert [task, {name: chunk[name] for name in plain[1]}] == plain
        async with s.live("?after=0&choices=true") as live:
            assert [(await live.event())[2] for _ in range(2)] == [task, chunk]
        assert (await s.call("?choices=yes")).json["code"] == "bad_request"


async def test_what_chunks_say_is_no_larger_than_they_are(tmp_path: Path) -> None:
    """An upstream could make relay hold ten times the bytes that it counts for a client that does not read."""
    many = [*({"index": n} for n in range(900)), {"index": 900, "delta": {"content": "Hi"}}]
    chunk, key = orjson.dumps({"choices": many}), chunk_key("c")
    async with scene(tmp_path) as s:
        await s.journal.append(chunk_draft("c", key, 0, [chunk], time="2026-01-01T00:00:00.000Z"))
        [shown] = (await s.page("?choices=true"))["events"]
        assert (shown["choices"], shown["event"]["data"]["chunks"][0]["choices"]) == ([], many)
        reader = EventReader(s.journal.events, 0, EventFilter(), texts=2)
        assert (await reader.next()).size > 2 * len(chunk)


async def test_pages_follow_each_other_without_gap_or_overlap(tmp_path: Path) -> None:
    """Consumers would miss events or see them twice."""
    async with scene(tmp_path) as s:
        await fill(s.journal, *map(str, range(10)))
        seen, after = [], 0
        while (page := await s.page(f"?after={after}&limit=3"))["events"]:
            seen += [shown["offset"] for shown in page["events"]]
            after = page["next"]
        assert seen == list(range(1, 11))
        assert after == 10
        assert (await s.page("?after=latest")) == {"events": [], "next": 10, "pruned": None}


async def test_pages_lead_backwards_from_the_newest(tmp_path: Path) -> None:
    """A client that shows the newest events could not load older ones."""
    async with scene(tmp_path) as s:
        await fill(s.journal, *map(str, range(10)))
        seen, before = [], "latest"
        while before is not None:
            page = await s.page(f"?before={before}&limit=3")
            seen += [shown["offset"] for shown in page["events"]]
            before = page["next"]
        assert seen == list(range(10, 0, -1))
        assert [
            shown["offset"] for shown in (await s.page("?before=4&after=1&type=relay.task.succeeded"))["events"]
        ] == [3, 2]


async def test_a_time_range_bounds_pages_in_both_directions(tmp_path: Path) -> None:
    """A search for what happened yesterday would go on to the present, and never end."""
    async with scene(tmp_path) as s:
        await fill(s.journal, "a", "b")
        both = "since=1h&until=2999-01-01T00:00:00Z"
        assert [shown["offset"] for shown in (await s.page(f"?{both}"))["events"]] == [1, 2]
        assert [shown["offset"] for shown in (await s.page(f"?{both}&before=latest"))["events"]] == [2, 1]
        assert await s.page("?until=1h") == {"events": [], "next": None, "pruned": None}
        assert await s.page("?until=1h&before=latest") == {"events": [], "next": None, "pruned": None}
        assert (await s.page("?since=2999-01-01T00:00:00Z"))["events"] == []


@pytest.mark.parametrize(
    ("query", "offsets"),
    [
        ("topic=tasks", [1, 3]),
        ("topic=dead-letters", [2]),
        ("type=relay.task.succeeded", [1, 3]),
        ("subject=b", [3]),
        ("subject=b&topic=tasks&type=relay.task.succeeded", [3]),
        ("subject=b&topic=dead-letters", []),
        ("topic=tasks&topic=dead-letters", [1, 2, 3]),
        ("topic=chat&topic=chat-chunks", []),
        ("type=relay.task.failed&type=relay.delivery.dead", [2]),
        ("topic=chat&topic=tasks&type=relay.delivery.dead", []),
        ("subject=", [1, 2, 3]),
    ],
)
async def test_filters_leave_the_rest_out_and_still_lead_on(tmp_path: Path, query: str, offsets: list[int]) -> None:
    """A consumer would get what it did not ask for, or scan the same part forever."""
    async with scene(tmp_path) as s:
        await s.journal.append(draft("a"))
        await s.journal.append(dead_draft())
        await s.journal.append(draft("b"))
        page = await s.page(f"?{query}")
        assert [shown["offset"] for shown in page["events"]] == offsets
        assert page["next"] == 3
        backwards = await s.page(f"?before=latest&{query}")
        assert [shown["offset"] for shown in backwards["events"]] == offsets[::-1]


async def test_a_page_that_ends_early_by_its_limit_leads_to_the_rest(tmp_path: Path) -> None:
    """The last wanted event of a scan would be skipped by the next page."""
    async with scene(tmp_path) as s:
        await fill(s.journal, *"ababcdcd")
        after = 0
        for names in ("ab", "cd", ""):
            page = await s.page(f"?limit=2&topic=tasks&after={after}")
            assert [shown["event"]["subject"] for shown in page["events"]] == list(names)
            after = page["next"]


async def test_a_filter_that_matches_little_does_not_hold_the_journal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One request could scan a whole week of events while deliveries wait."""
    monkeypatch.setattr(event_reader, "PIECE_EVENTS", 2)
    monkeypatch.setattr(event_reader, "_MOST_EVENTS", 2)
    monkeypatch.setattr(events, "_MAX_READS", 3)
    async with scene(tmp_path) as s:
        await fill(s.journal, *map(str, range(10)))
        page = await s.page("?subject=9")
        assert page == {"events": [], "next": 6, "pruned": None}
        assert [e["offset"] for e in (await s.page(f"?subject=9&after={page['next']}"))["events"]] == [10]


async def emptied(tmp_path: Path) -> None:
    """Leaves a journal of which a sink knew more than it holds: its one event is pruned, the next offset is 101."""
    async with opened(tmp_path) as journal:
        await fill(journal, "a")
        await journal.progress.fork("none", 100)
        while await journal._writer.call(journal._store.merge_dedup):
            pass
        gone = await journal._writer.call(journal._store.prune, floor=1, older_than=1 << 60, over_size=1 << 60)
        assert gone == 1


async def test_a_gap_at_the_end_is_stepped_over(tmp_path: Path) -> None:
    """After a sink knew more of the journal than it holds, a reader would ask for the gap without pause."""
    await emptied(tmp_path)
    async with scene(tmp_path) as s:
        assert await s.page("?after=1") == {"events": [], "next": 100, "pruned": None}
        await fill(s.journal, "b")
        assert [e["offset"] for e in (await s.page("?after=1"))["events"]] == [101]


@pytest.mark.parametrize(
    "query",
    [
        "after=-1",
        "after=x",
        "after=9223372036854775808",
        "after=99999999999999999999999",
        "after=1e3",
        "limit=0",
        "limit=1001",
        "limit=-5",
        "limit=all",
        "topic=unknown",
        "topic=tasks&topic=unknown",
        "type=nonsense",
        "type=relay.task.failed&type=",
        "after=5",
    ],
)
async def test_bad_parameters_are_refused(tmp_path: Path, query: str) -> None:
    """A consumer with a typing error, or another journal's offset, would wait for events that never come."""
    async with scene(tmp_path) as s:
        reply = await s.call(f"?{query}")
        assert (reply.status, reply.code) == (400, "bad_request")
        assert query.partition("=")[0] in reply.json["detail"]
        if query.startswith("type"):
            assert "relay.task.succeeded, relay.task.failed" in reply.json["detail"], "what is known is named"


@pytest.mark.parametrize("id", ["x", "-1", "9999999999999999999", "5", "1.5"])
async def test_a_bad_last_event_id_is_refused(tmp_path: Path, id: str) -> None:
    """It would be a 500, or a stream that stays silent forever."""
    async with scene(tmp_path) as s:
        reply = await s.call("", LIVE, f"Last-Event-ID: {id}")
        assert (reply.status, reply.code) == (400, "bad_request")


async def test_pages_and_streams_say_which_relay_they_are_from(tmp_path: Path) -> None:
    """Behind a balancer nobody could tell that the events come from one journal after another."""
    async with scene(tmp_path) as s:
        assert (await s.call()).headers["x-relay-identity"] == "relay-7"
        async with s.live() as live:
            assert "X-Relay-Identity: relay-7\r\n" in live.head


# -- live ------------------------------------------------------------------------------------------------------------


async def test_a_stream_sends_the_past_and_goes_on_live(tmp_path: Path) -> None:
    """A consumer without a broker would have to poll."""
    async with scene(tmp_path) as s:
        await fill(s.journal, "a")
        async with s.live() as live:
            assert live.head.startswith("HTTP/1.1 200 OK\r\n")
            assert "Content-Type: text/event-stream" in live.head
            assert "Cache-Control: no-cache, no-transform" in live.head
            assert "X-Accel-Buffering: no" in live.head
            offset, name, data = await live.event()
            assert (offset, name, data["id"]) == (1, "relay.task.succeeded", "a:succeeded")
            await fill(s.journal, "b")
            assert (await live.event())[0] == 2


@pytest.mark.parametrize(
    ("query", "headers", "first"),
    [
        ("?after=2", [], 3),
        ("", ["Last-Event-ID: 2"], 3),
        ("?after=0", ["Last-Event-ID: 2"], 3),
        ("?after=latest", [], 4),
    ],
)
async def test_a_stream_goes_on_where_it_was_left(tmp_path: Path, query: str, headers: list[str], first: int) -> None:
    """After a lost connection a browser would see everything again, or miss what came meanwhile."""
    async with scene(tmp_path) as s:
        await fill(s.journal, "a", "b", "c")
        async with s.live(query, *headers) as live:
            await live.frame()
            await fill(s.journal, "d")
            assert (await live.event())[0] == first


async def test_a_stream_is_filtered_too(tmp_path: Path) -> None:
    """Live consumers would get what they did not ask for."""
    async with scene(tmp_path) as s, s.live("?subject=b") as live:
        await live.frame()
        await fill(s.journal, "a", "b")
        assert (await live.event())[0] == 2


async def test_silence_is_filled(tmp_path: Path) -> None:
    """Balancers would cut a stream on which nothing happens."""
    async with scene(tmp_path, ConsumerLimits(heartbeat=0.05)) as s, s.live() as live:
        assert [(await live.frame())[0] for _ in range(3)] == [":", ":", ":"]
        await fill(s.journal, "a")
        assert (await live.event())[0] == 1


async def test_a_stream_on_which_nothing_happens_does_not_grow(tmp_path: Path) -> None:
    """Each heartbeat would leave a task behind that waits for news: on a quiet relay they are thousands by the hour."""

    def waiting() -> int:
        return sum("EventLog.wait" in repr(task) for task in asyncio.all_tasks())

    async with scene(tmp_path, ConsumerLimits(heartbeat=0.01)) as s, s.live() as live:
        for _ in range(10):
            await live.frame()
        assert waiting() <= 2, "one that has just been cancelled, and the next one"


async def test_a_stream_ends_at_an_event_border_when_the_relay_ends(tmp_path: Path) -> None:
    """Each restart would wait for its consumers, or cut an event in two."""
    async with scene(tmp_path) as s, s.live() as live:
        await live.frame()
        s.events.consumers.stop()
        assert await live.frame() == ""
        assert live.ended, "a proper end, with the last chunk"
        async with s.live() as late:
            await late.frame()
            assert (await late.frame(), late.ended) == ("", True), "who comes after that is not kept waiting"


async def test_only_those_who_are_not_admitted_any_more_are_ended(tmp_path: Path) -> None:
    """A revoked token would go on reading, or a reload end the streams of everybody else."""
    async with scene(tmp_path) as s, s.live("", "X-Client: kept") as kept, s.live("", "X-Client: gone") as gone:
        await kept.frame()
        await gone.frame()
        s.events.consumers.end_unless(lambda request: request.headers["X-Client"] == "kept")
        assert await gone.frame() == ""
        assert gone.ended
        await fill(s.journal, "a")
        assert (await kept.event())[0] == 1


async def test_a_client_that_stops_reading_is_cut(tmp_path: Path) -> None:
    """It would hold its part of the journal in memory forever."""
    async with scene(tmp_path, ConsumerLimits(send_timeout=0.3)) as s:
        big = b'"' + b"x" * 500_000 + b'"'
        for n in range(40):
            await s.journal.append(draft(str(n), data=big))
        async with wire(s.url) as connection:
            connection.reader._transport.pause_reading()  # type: ignore[attr-defined]
            await connection.send(get("/v1/events", LIVE))
            async with asyncio.timeout(10):
                while not _streams():
                    await asyncio.sleep(0.01)
                while _streams():
                    await asyncio.sleep(0.05)
        assert not s.events.consumers._room.held, "or there is less room with each of them"


def _streams() -> list[object]:
    return [task for task in asyncio.all_tasks() if "_handle_request" in repr(task.get_coro())]


async def test_a_gap_at_the_end_does_not_make_a_stream_spin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One consumer would take a whole core, doing nothing."""
    await emptied(tmp_path)
    async with scene(tmp_path) as s:
        reads = 0
        read = s.journal.events.read

        async def counted(*args: Any) -> list[Entry]:
            nonlocal reads
            reads += 1
            return await read(*args)

        monkeypatch.setattr(s.journal.events, "read", counted)
        async with s.live("?after=1") as live:
            await live.frame()
            await asyncio.sleep(0.2)
            assert 0 < reads < 10
            await fill(s.journal, "b")
            assert (await live.event())[0] == 101


async def test_a_journal_that_breaks_cuts_the_stream_short(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A problem document would be written into the stream, or its end look like a proper one."""
    async with scene(tmp_path) as s, s.live() as live:
        await live.frame()

        async def broken(*_: Any) -> list[Entry]:
            raise JournalBroken("journal_broken", "m")

        monkeypatch.setattr(s.journal.events, "read", broken)
        await fill(s.journal, "a")
        assert await live.connection.rest() == b""


async def test_a_consumer_that_leaves_is_forgotten(tmp_path: Path) -> None:
    """Streams would pile up until the next event or heartbeat finds them out."""
    async with scene(tmp_path) as s:
        async with s.live() as live:
            await live.frame()
            assert _streams()
        async with asyncio.timeout(20):
            while _streams():
                await asyncio.sleep(0.01)
        consumers = s.events.consumers
        assert (len(consumers._present), len(consumers._of), consumers._room.held) == (0, 0, 0)
