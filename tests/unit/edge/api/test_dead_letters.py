"""Dead letters: listed, inspected, replayed, deleted."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from relay.core.dead import refused_draft, unreadable_draft
from relay.core.sink import Refused
from relay.core.source import Delivery, Ignored, Normalized, NotJSON, Source, Unreadable
from relay.edge.api.dead_letters import DeadLetterRoutes
from relay.journal.journal import Journal
from relay.journal.projections.dead_letters import DeadLetters
from relay.sources.novita_task import NovitaTask
from tests.services.raw_http import Answer, ask, get
from tests.unit.drafts import draft
from tests.unit.edge.serving import Stub, api, opened

RAW = b'{"task":{"task_id":"a","status":"NEW"}, "extra":{"webhook":{"url":"https://r/webhooks/novita/t0ken"}}}'
AT = 1_700_000_000_000


@dataclass
class Scene:
    """The routes being served, and the journal behind them."""

    url: str
    journal: Journal

    async def call(self, method: str, path: str = "", *headers: str) -> Answer:
        return await ask(self.url, get(f"/v1/dead-letters{path}", *headers, method=method))

    async def bury(self, body: bytes = RAW, origin: str = "novita") -> str:
        """A delivery that could not be read; the id of its letter."""
        letter = unreadable_draft(Delivery(body, AT), Unreadable("unknown_status", "no outcome", "a"), origin=origin)
        return (await self.journal.append(letter)).event_id

    async def refuse(self, task_id: str = "a", sink: str = "kafka") -> str:
        """An event that a sink refused; the id of its letter."""
        await self.journal.append(draft(task_id))
        [*_, entry] = await self.journal.events.read(0, 1000)
        letter = refused_draft(entry, Refused("too_large", "1 MB"), origin=sink, refused_at=AT)
        return (await self.journal.append(letter)).event_id


@asynccontextmanager
async def scene(tmp_path: Path, source: Source | None = None, *sinks: str) -> AsyncIterator[Scene]:
    async with opened(tmp_path, *sinks) as journal:
        letters = DeadLetterRoutes(journal, {"novita": source or NovitaTask()}, frozenset(sinks))
        routes = {
            "GET /v1/dead-letters": letters.list,
            "GET /v1/dead-letters/{id}": letters.show,
            "POST /v1/dead-letters/{id}/replay": letters.replay,
            "DELETE /v1/dead-letters/{id}": letters.delete,
        }
        async with api(routes) as url:
            yield Scene(url, journal)


async def test_a_page_leads_to_the_next(tmp_path: Path) -> None:
    """With many letters some could not be reached."""
    async with scene(tmp_path) as s:
        buried = sorted([await s.bury(b"[%d]" % n) for n in range(5)])
        found, after = [], ""
        for size in (2, 2, 1):
            page = (await s.call("GET", f"?limit=2&after={after}")).json
            assert len(page["dead_letters"]) == size
            found += [letter["id"] for letter in page["dead_letters"]]
            after = page["next"]
        assert found == buried
        assert after is None
        assert (await s.call("GET")).json["next"] is None


async def test_a_letter_in_the_list_says_what_it_is_about(tmp_path: Path) -> None:
    """An operator would have to open each of them."""
    async with scene(tmp_path) as s:
        letter_id = await s.bury()
        [letter] = (await s.call("GET")).json["dead_letters"]
        accepted_at = letter.pop("accepted_at")
        assert accepted_at.endswith("Z")
        assert letter == {
            "id": letter_id,
            "origin": "novita",
            "reason": "unknown_status",
            "detail": "no outcome",
            "raw_bytes": len(RAW),
            "event_offset": None,
            "event": None,
            "subject": "a",
        }


@pytest.mark.parametrize("query", ["limit=0", "limit=1001", "limit=x", "limit=-1"])
async def test_a_bad_page_size_is_refused(tmp_path: Path, query: str) -> None:
    """A typing error would look like an empty list."""
    async with scene(tmp_path) as s:
        assert (await s.call("GET", f"?{query}")).code == "bad_request"


@pytest.mark.parametrize("after", ["%00", "%ff", "%ed%a0%80", "'%20OR%201=1", "x" * 4000])
async def test_any_text_may_stand_after(tmp_path: Path, after: str) -> None:
    """Odd bytes in the address would be a 500."""
    async with scene(tmp_path) as s:
        await s.bury()
        assert (await s.call("GET", f"?after={after}")).status == 200
        assert (await s.call("GET", f"/{after.replace('/', '')}")).code == "not_found"


async def test_a_letter_is_shown_without_secrets(tmp_path: Path) -> None:
    """The upstream echoes the webhook's address: anyone who may read letters could forge deliveries (P8)."""
    async with scene(tmp_path) as s:
        shown = (await s.call("GET", f"/{await s.bury()}")).json
        assert "t0ken" not in shown["raw"]
        assert '"task_id":"a"' in shown["raw"]
        assert shown["raw_bytes"] == len(RAW)


async def test_its_bytes_can_be_had_exactly(tmp_path: Path) -> None:
    """What really arrived could not be examined, nor sent again by hand (P5)."""
    async with scene(tmp_path) as s:
        reply = await s.call("GET", f"/{await s.bury()}", "Accept: application/octet-stream")
        assert (reply.body, reply.headers["content-type"]) == (RAW, "application/octet-stream")
        assert reply.headers["x-content-type-options"] == "nosniff"


async def test_what_still_cannot_be_read_stays(tmp_path: Path) -> None:
    """A replay that came too early would lose the letter."""
    async with scene(tmp_path) as s:
        letter_id = await s.bury()
        reply = await s.call("POST", f"/{letter_id}/replay")
        assert (reply.status, reply.code) == (409, "not_replayable")
        assert "its outcome is unknown" in reply.json["detail"]
        assert (await s.call("GET", f"/{letter_id}")).status == 200


@pytest.mark.parametrize("answer", [NotJSON("why"), Ignored("why", "a")])
async def test_what_makes_no_event_stays(tmp_path: Path, answer: Normalized) -> None:
    """A letter would vanish under settings that make no event of it."""
    async with scene(tmp_path, Stub(lambda _: answer)) as s:
        letter_id = await s.bury()
        reply = await s.call("POST", f"/{letter_id}/replay")
        assert (reply.code, await s.journal.projection(DeadLetters).query(DeadLetters.count)) == ("not_replayable", 1)
        assert "why" in reply.json["detail"]


async def test_after_an_upgrade_a_letter_goes_on(tmp_path: Path) -> None:
    """What an older release could not read would never reach a consumer."""
    received: list[Delivery] = []

    def upgraded(delivery: Delivery) -> Normalized:
        received.append(delivery)
        return draft("a")

    async with scene(tmp_path, Stub(upgraded)) as s:
        letter_id = await s.bury()
        reply = await s.call("POST", f"/{letter_id}/replay")
        assert (reply.status, reply.json) == (200, {"status": "accepted", "event_id": "a:succeeded"})
        assert received[0].body == RAW
        assert received[0].received_at > AT, "the time of the delivery's acceptance"
        assert (await s.call("GET", f"/{letter_id}")).code == "not_found"
        assert [entry.event.id for entry in await s.journal.events.read(0, 10)] == [letter_id, "a:succeeded"]
        assert await s.journal.projection(DeadLetters).query(DeadLetters.count) == 0


async def test_a_letter_whose_fact_is_known_by_now_makes_no_second_event(tmp_path: Path) -> None:
    """A poll may have found the ending meanwhile: it would be published twice."""
    async with scene(tmp_path, Stub(lambda _: draft("a"))) as s:
        letter_id = await s.bury()
        await s.journal.append(draft("a"))
        reply = await s.call("POST", f"/{letter_id}/replay")
        assert reply.json == {"status": "duplicate", "event_id": "a:succeeded"}


async def test_two_replays_at_once_are_one(tmp_path: Path) -> None:
    """An impatient operator would publish the event twice."""
    async with scene(tmp_path, None, "kafka") as s:
        letter_id = await s.refuse()
        replies = await asyncio.gather(*(s.call("POST", f"/{letter_id}/replay") for _ in range(5)))
        assert sorted({reply.status for reply in replies}) in ([200], [200, 404])
        replayed = [entry for entry in await s.journal.events.read(0, 100) if entry.sink is not None]
        assert len(replayed) == 1


async def test_what_a_sink_refused_goes_to_that_sink_again(tmp_path: Path) -> None:
    """The other sinks would get the event a second time, or this one another event."""
    async with scene(tmp_path, None, "kafka", "redis") as s:
        letter_id = await s.refuse("a", "kafka")
        shown = (await s.call("GET", f"/{letter_id}")).json
        assert (shown["event"]["id"], shown["event_offset"]) == ("a:succeeded", 1)
        assert (await s.call("POST", f"/{letter_id}/replay")).json["status"] == "accepted"
        first, _, again = await s.journal.events.read(0, 10)
        assert (again.sink, again.event) == ("kafka", first.event)


async def test_refused_again_it_is_a_letter_again(tmp_path: Path) -> None:
    """A replay that fails would make the event vanish."""
    async with scene(tmp_path, None, "kafka") as s:
        first = await s.refuse()
        await s.call("POST", f"/{first}/replay")
        *_, again = await s.journal.events.read(0, 10)
        letter = refused_draft(again, Refused("too_large", "1 MB"), origin="kafka", refused_at=AT)
        second = (await s.journal.append(letter)).event_id
        assert second != first
        assert (await s.call("POST", f"/{second}/replay")).json["status"] == "accepted"


@pytest.mark.parametrize("origin", ["gone", ""])
async def test_a_source_or_sink_that_is_gone_is_named(tmp_path: Path, origin: str) -> None:
    """A letter would go to nobody, and be forgotten."""
    async with scene(tmp_path, None, "kafka") as s:
        reply = await s.call("POST", f"/{await s.bury(origin=origin)}/replay")
        assert (reply.status, reply.code) == (409, "not_replayable")
        reply = await s.call("POST", f"/{await s.refuse(sink='gone')}/replay")
        assert (reply.status, reply.code) == (409, "not_replayable")
        assert await s.journal.projection(DeadLetters).query(DeadLetters.count) == 2


async def test_a_deleted_letter_is_gone(tmp_path: Path) -> None:
    """The list would never get shorter."""
    async with scene(tmp_path) as s:
        letter_id = await s.bury()
        reply = await s.call("DELETE", f"/{letter_id}")
        assert (reply.status, reply.body) == (204, b"")
        assert (await s.call("DELETE", f"/{letter_id}")).code == "not_found"
        assert (await s.call("GET", f"/{letter_id}")).code == "not_found"
        assert (await s.call("POST", f"/{letter_id}/replay")).code == "not_found"
        assert await s.journal.projection(DeadLetters).query(DeadLetters.count) == 0
