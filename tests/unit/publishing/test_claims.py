"""A publisher's claims while the index is there, away, and back."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from relay.core.event import Entry
from relay.core.publishing.claims import Claimed, Fact, IndexUnavailable, facts_of
from relay.publishing import claims as module
from relay.publishing.claims import PAUSE, Claims
from relay.telemetry.signals.claims import ClaimSignals
from relay.telemetry.telemetry import Telemetry
from tests.unit.drafts import draft


class Index:
    """An index that gives everybody everything, and fails on request."""

    def __init__(self) -> None:
        self.asked = 0
        self.away = False
        self.memory = "1"
        self.strangers = 0
        self.confirmed: list[int] = []

    async def claim(self, facts: Sequence[Fact]) -> Claimed:
        self._answer()
        return Claimed(["ours"] * len(facts), self.memory)

    async def confirm(self, facts: Sequence[Fact]) -> int:
        self._answer()
        self.confirmed += [fact.offset for fact in facts]
        return self.strangers

    async def release(self, facts: Sequence[Fact]) -> None:
        self._answer()

    async def close(self) -> None:
        self.away = True

    def _answer(self) -> None:
        self.asked += 1
        if self.away:
            raise IndexUnavailable("timeout", "No answer.")


class Bench:
    def __init__(self) -> None:
        self.now = 100.0
        self.index = Index()
        self.telemetry = Telemetry()
        self.claims = Claims(self.index, ClaimSignals(self.telemetry, "kafka"), lambda: self.now)

    async def publish(self, *offsets: int) -> None:
        entries = [self.entry(offset) for offset in offsets]
        share = await self.claims.share(entries)
        assert share.entries == tuple(entries)
        await self.claims.confirm_batch(entries, len(share.absorbed))

    def entry(self, offset: int) -> Entry:
        of = draft(str(offset))
        return Entry(offset, 0, of.event, None, of.key, of.fingerprint)

    def facts(self, result: str) -> float:
        labels = {"sink": "kafka", "result": result}
        return self.telemetry.metrics.registry.get_sample_value("relay_shared_index_facts_total", labels) or 0.0

    def up(self) -> float | None:
        return self.telemetry.metrics.registry.get_sample_value("relay_shared_index_up", {"sink": "kafka"})


@pytest.fixture
def bench() -> Bench:
    return Bench()


async def test_what_is_published_is_confirmed(bench: Bench) -> None:
    """Other replicas would wait for a claim to run out, and then publish the event again."""
    await bench.publish(1, 2)
    assert bench.index.confirmed == [1, 2]
    assert (bench.facts("verified"), bench.facts("unverified"), bench.up()) == (2, 0, 1)


async def test_an_index_that_is_away_is_asked_now_and_then_only(bench: Bench) -> None:
    """Each batch would wait for an index that does not answer."""
    bench.index.away = True
    await bench.publish(1)
    await bench.publish(2)
    assert bench.index.asked == 1
    assert (bench.facts("verified"), bench.facts("unverified"), bench.up()) == (0, 2, 0)
    bench.now += PAUSE
    await bench.publish(3)
    assert bench.index.asked == 2


async def test_what_was_published_unverified_is_confirmed_first_when_the_index_is_back(bench: Bench) -> None:
    """A replica that gets the delivery later would publish again what was published while the index was away."""
    bench.index.away = True
    await bench.publish(1, 2)
    bench.index.away = False
    bench.now += PAUSE
    await bench.publish(3)
    assert bench.index.confirmed == [1, 2, 3]
    assert (bench.facts("verified"), bench.facts("unverified"), bench.up()) == (1, 2, 1)
    await bench.publish(4)
    assert bench.index.confirmed == [1, 2, 3, 4]


async def test_a_confirmation_that_fails_is_owed(bench: Bench) -> None:
    """The claim would run out, and another replica would publish the event again."""
    entries = [bench.entry(1)]
    await bench.claims.share(entries)
    bench.index.away = True
    await bench.claims.confirm_batch(entries, 0)
    assert (bench.facts("verified"), bench.facts("unverified")) == (1, 0)
    bench.index.away = False
    bench.now += PAUSE
    await bench.publish(2)
    assert bench.index.confirmed == [1, 2]


async def test_what_is_owed_is_bounded(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """A relay whose index is away for a week would run out of memory."""
    monkeypatch.setattr(module, "MAX_OWED", 3)
    bench.index.away = True
    for offset in range(1, 6):
        await bench.publish(offset)
    bench.index.away = False
    bench.now += PAUSE
    await bench.publish(6)
    assert bench.index.confirmed == [3, 4, 5, 6]


async def test_claims_that_were_taken_over_are_counted(bench: Bench) -> None:
    """A possible repetition would go unnoticed."""
    bench.index.strangers = 1
    await bench.publish(1, 2)
    assert bench.facts("overrun") == 1


async def test_an_index_that_is_away_keeps_nobody_from_giving_way(bench: Bench) -> None:
    """A sink in trouble would be a publisher's end as soon as the index is in trouble, too."""
    bench.index.away = True
    facts = facts_of([bench.entry(1)])
    await bench.claims.release(facts)
    await bench.claims.release(facts)
    assert (bench.index.asked, bench.up()) == (1, 0)


async def test_a_batch_of_what_is_not_shared_asks_nobody(bench: Bench) -> None:
    """Chats would wait for an index that has nothing to say about them."""
    chat = bench.entry(1)
    share = await bench.claims.share([chat._replace(event=chat.event._replace(topic="chat"))])
    assert (len(share.entries), bench.index.asked) == (1, 0)


async def test_an_index_that_has_forgotten_is_reported(bench: Bench, capsys: pytest.CaptureFixture[str]) -> None:
    """Repetitions after a loss on the index would have no visible cause."""
    await bench.publish(1)
    await bench.publish(2)
    assert "lost its data" not in capsys.readouterr().out
    bench.index.memory = "2"
    await bench.publish(3)
    assert "lost its data" in capsys.readouterr().out
