"""A publisher that shares its place with those of other replicas."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest

from relay.core.publishing.claims import Claimed, Fact, Verdict
from relay.core.retry import Backoff
from relay.core.sink import Batch, Checkpoint, SinkUnavailable
from relay.publishing.claims import Claims
from relay.publishing.publisher import Publisher
from relay.telemetry.signals.claims import ClaimSignals
from relay.telemetry.signals.sinks import SinkSignals
from tests.unit.drafts import draft
from tests.unit.edge.serving import opened
from tests.unit.publishing.test_claims import Index
from tests.unit.publishing.test_publisher import Bench, MemorySink, names


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    async with opened(tmp_path, "memory") as journal:
        yield Bench(journal, MemorySink())


async def test_what_is_confirmed_when_the_sink_opens_ends_where_the_sink_ends(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Broken: other replicas would take for published what nobody has published yet, and skip it: a loss if this one
    dies."""
    index, lost, seen = Index(), iter([True]), []
    claims = Claims(index, ClaimSignals(bench.telemetry, "memory"))
    signals = SinkSignals(bench.telemetry, "memory")
    bench.publisher = Publisher("memory", bench.sink, bench.journal, signals, Backoff(0.001, 0.01), claims)
    usual = bench.sink.open

    async def reopened() -> Checkpoint | None:
        if bench.sink.opened:
            await bench.append(*map(draft, names(2, 2)))  # now a page reaches beyond what the sink has
        return await usual()

    def lose_the_reply(batch: Batch) -> None:
        if next(lost, False):
            raise SinkUnavailable("timeout", "?")

    monkeypatch.setattr(bench.sink, "open", reopened)
    bench.sink.answer = lambda batch: seen.append(list(index.confirmed))
    bench.sink.after = lose_the_reply
    await bench.append(*map(draft, names(2)))
    await bench.until_drained()
    assert bench.sink.events == names(4)
    assert seen[:2] == [[], [1, 2]]
    assert index.confirmed == [1, 2, 3, 4]


class Elsewhere(Index):
    """An index by which another replica has published these subjects."""

    def __init__(self, *facts: int) -> None:
        super().__init__()
        self.published = set(facts)

    async def claim(self, facts: Sequence[Fact]) -> Claimed:
        return Claimed(["absorbed" if fact.offset in self.published else "ours" for fact in facts], self.memory)


async def test_what_another_replica_has_published_is_asked_for_again_after_an_outage(bench: Bench) -> None:
    """Broken: an event that the place has lost meanwhile would be published by nobody; and what was absorbed would stay
    in memory forever."""
    index, lost = Elsewhere(2, 3), iter([True])

    def lose_the_connection(batch: Batch) -> None:
        if next(lost, False):
            index.published.discard(2)
            raise SinkUnavailable("connection_lost", "gone")

    bench.sink.answer = lose_the_connection
    claims, signals = Claims(index, ClaimSignals(bench.telemetry, "memory")), SinkSignals(bench.telemetry, "memory")
    bench.publisher = Publisher("memory", bench.sink, bench.journal, signals, Backoff(0.001, 0.01), claims)
    await bench.append(*map(draft, names(4)))
    await bench.until_drained()
    assert bench.sink.events == ["0", "1", "3"]
    assert bench.journal.progress.saved("memory").absorbed == 1
    assert not bench.publisher._absorbed


class HeldElsewhere(Index):
    """An index by which another replica holds a fact, until it is asked for it the fourth time."""

    def __init__(self, held: int, verdict: Verdict) -> None:
        super().__init__()
        self.held, self.verdict, self.waits = held, verdict, 0

    async def claim(self, facts: Sequence[Fact]) -> Claimed:
        verdicts: list[Verdict] = []
        for fact in facts:
            if fact.offset == self.held and self.waits < 3:
                self.waits += 1
                break
            verdicts.append(self.verdict if fact.offset == self.held else "ours")
        return Claimed(verdicts, self.memory)


@pytest.mark.parametrize("verdict", ["ours", "absorbed"])
async def test_a_contradiction_is_never_published_before_its_original(bench: Bench, verdict: Verdict) -> None:
    """P3, P4 broken: consumers would learn that a task's ending was contradicted before they learn the ending, or never
    learn this."""
    index, sent = HeldElsewhere(2, verdict), []

    def note(batch: Batch) -> None:
        sent.extend((entry.event.subject, entry.event.type, index.waits) for entry in batch.entries)

    bench.sink.answer = note
    claims, signals = Claims(index, ClaimSignals(bench.telemetry, "memory")), SinkSignals(bench.telemetry, "memory")
    bench.publisher = Publisher("memory", bench.sink, bench.journal, signals, Backoff(0.001, 0.01), claims)
    await bench.append(draft("other"), draft("t", says="x"), draft("t", says="y"))
    await bench.until_drained()
    original = [("t", "relay.task.succeeded", 3)] if verdict == "ours" else []
    assert sent == [("other", "relay.task.succeeded", 1), *original, ("t", "relay.task.conflicted", 3)]
