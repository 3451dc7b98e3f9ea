from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from relay.core.event import Draft, Entry
from relay.core.publishing.batching import SLOWEST_LINK
from relay.core.retry import Backoff
from relay.core.sink import (
    Batch,
    Checkpoint,
    Limits,
    Outcome,
    Published,
    Refused,
    SinkFenced,
    SinkUnavailable,
    Withheld,
)
from relay.journal.errors import JournalUnavailable
from relay.journal.journal import Journal, Policy, open_journal
from relay.journal.projections.dead_letters import DeadLetters
from relay.journal.projections.history import History
from relay.journal.rows import Shown
from relay.publishing import publisher as module
from relay.publishing.publisher import Publisher, as_fatal
from relay.telemetry.signals.journal import JournalSignals
from relay.telemetry.signals.sinks import SinkSignals
from relay.telemetry.telemetry import Telemetry
from tests.unit.drafts import dead_draft, draft
from tests.unit.letters import letters_in

Answer = Callable[[Batch], Sequence[Outcome] | None]


class MemorySink:
    """A sink that keeps its events and its checkpoint together, as the contract asks, and fails on request.

    ``answer`` may raise, return outcomes of its own, or ``None`` to publish. It runs before anything is kept;
    ``after`` runs when everything is kept, where raising means that the reply got lost.
    """

    limits = Limits(events=4, bytes=1 << 20)

    def __init__(self) -> None:
        self.events: list[str] = []
        self.checkpoint: Checkpoint | None = None
        self.answer: Answer = lambda batch: None
        self.after: Callable[[Batch], None] = lambda batch: None
        self.opened = 0
        self.closed = 0
        self.open_error: Exception | None = None

    async def open(self) -> Checkpoint | None:
        self.opened += 1
        if self.open_error is not None:
            raise self.open_error
        return self.checkpoint

    async def publish(self, batch: Batch) -> Sequence[Outcome]:
        await asyncio.sleep(0)
        outcomes = self.answer(batch)
        if outcomes is not None:
            return outcomes
        self.events += [entry.event.subject for entry in batch.entries]
        self.checkpoint = batch.checkpoint
        self.after(batch)
        return [Published()] * len(batch.entries)

    async def close(self) -> None:
        self.closed += 1


class Bench:
    """A journal, a memory sink and a publisher between them."""

    def __init__(self, journal: Journal, sink: MemorySink) -> None:
        self.journal, self.sink = journal, sink
        self.telemetry = Telemetry()
        signals = SinkSignals(self.telemetry, "memory")
        self.publisher = Publisher("memory", sink, journal, signals, Backoff(first=0.001, most=0.01))

    async def append(self, *drafts: Draft) -> None:
        await asyncio.gather(*(self.journal.append(each) for each in drafts))

    async def until_drained(self) -> None:
        task = asyncio.ensure_future(self.publisher.run())
        async with asyncio.timeout(10):
            while self.journal.progress.pending("memory"):
                await asyncio.sleep(0.001)
                if task.done():
                    task.result()
        self.publisher.stop()
        await task

    def metric(self, name: str, **labels: str) -> float:
        return self.telemetry.metrics.registry.get_sample_value(name, {"sink": "memory", **labels}) or 0.0


@pytest.fixture
async def bench(tmp_path: Path):  # type: ignore[no-untyped-def]
    telemetry = Telemetry()
    journal = await open_journal(tmp_path / "j.db", ["memory"], Policy(), JournalSignals(telemetry))
    yield Bench(journal, MemorySink())
    with contextlib.suppress(RuntimeError):  # a test may have closed it
        await journal.close()


def names(count: int, start: int = 0) -> list[str]:
    return [str(n) for n in range(start, start + count)]


async def test_everything_is_published_once_in_order(bench: Bench) -> None:
    """Broken: the main job."""
    await bench.append(*map(draft, names(10)))
    await bench.until_drained()
    assert bench.sink.events == names(10)
    assert bench.sink.checkpoint == Checkpoint(bench.journal.progress.journal_id, 10)
    assert bench.metric("relay_published_total", topic="tasks") == 10
    assert bench.sink.closed == 1


async def test_what_arrives_while_publishing_is_published_too(bench: Bench) -> None:
    """Broken: a publisher that has caught up once would sleep forever."""
    task = asyncio.ensure_future(bench.publisher.run())
    for start in range(0, 30, 3):
        await bench.append(*map(draft, names(3, start)))
    async with asyncio.timeout(10):
        while bench.journal.progress.pending("memory"):
            await asyncio.sleep(0.001)
    bench.publisher.stop()
    await task
    assert bench.sink.events == names(30)


async def test_the_next_page_is_read_while_one_is_published(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Broken: a backlog would drain more slowly, each batch waiting for the disk; or pages would be read twice."""
    reads: list[int] = []
    seen: list[list[int]] = []
    read = bench.journal.events.read

    async def noted(after: int, *limits: int) -> Sequence[Entry]:
        reads.append(after)
        return await read(after, *limits)

    monkeypatch.setattr(bench.journal.events, "read", noted)
    bench.sink.answer = lambda batch: seen.append(list(reads))
    await bench.append(*map(draft, names(10)))
    await bench.until_drained()
    assert bench.sink.events == names(10)
    assert seen == [[0, 4], [0, 4], [0, 4, 8]]  # of less than a whole page, more may come until it is needed


async def test_a_batch_in_doubt_is_halved_and_grows_back(bench: Bench) -> None:
    """Broken: what the link cannot carry in time would be tried at the same size forever, or in drops afterwards."""
    tried: list[tuple[int, float]] = []

    def answer(batch: Batch) -> None:
        tried.append((len(batch.entries), batch.seconds))
        if len(tried) <= 4:
            raise SinkUnavailable("timeout", "slow")

    bench.sink.limits = Limits(events=4, bytes=1 << 20, seconds=1.0)
    bench.sink.answer = answer
    bench.publisher = Publisher(
        "memory", bench.sink, bench.journal, SinkSignals(bench.telemetry, "memory"), Backoff(0.001, 0.01)
    )
    large = draft("0", data=b'"' + bytes(70_000).hex().encode() + b'"')
    await bench.append(large, *map(draft, names(10, 1)))
    await bench.until_drained()
    assert bench.sink.events == names(11)
    assert [count for count, _ in tried[:5]] == [4, 1, 1, 1, 1]
    most = pytest.approx(140_002 / SLOWEST_LINK)
    assert [seconds for _, seconds in tried[:6]] == [1.0, 1.0, 2.0, most, most, 1.0]
    assert max(count for count, _ in tried[5:]) > 1


async def test_an_unavailable_sink_is_retried_from_its_own_checkpoint(bench: Bench) -> None:
    """Broken: an outage would lose events, or repeat those that the sink has; or be reported as a loss."""
    failures = iter([True, True, False, True, False, False, False, False])

    def answer(batch: Batch) -> None:
        if next(failures, False):
            raise SinkUnavailable("connection_lost", "gone")

    bench.sink.answer = answer
    await bench.append(*map(draft, names(10)))
    with capture_logs() as logged:
        await bench.until_drained()
    assert bench.sink.events == names(10)
    assert bench.metric("relay_publish_failures_total", code="connection_lost") == 3
    assert not [line for line in logged if "lost acknowledged events" in line["event"]]


async def test_a_lost_reply_repeats_nothing(bench: Bench) -> None:
    """Broken: events whose acknowledgement got lost would be published twice."""
    lost = iter([True, False, True])

    def after(batch: Batch) -> None:
        if next(lost, False):
            raise SinkUnavailable("reply_lost", "?")

    bench.sink.after = after
    await bench.append(*map(draft, names(12)))
    await bench.until_drained()
    assert bench.sink.events == names(12)


async def test_a_refused_event_becomes_a_dead_letter_and_the_rest_goes_on(bench: Bench) -> None:
    """Broken: one poisonous event would block the sink, vanish, or take innocent ones with it."""

    def answer(batch: Batch) -> Sequence[Outcome] | None:
        if not any(entry.event.id == "2:succeeded" for entry in batch.entries):
            return None
        return [Refused("too_large", "?") if e.event.id == "2:succeeded" else Withheld() for e in batch.entries]

    bench.sink.answer = answer
    await bench.append(*map(draft, names(6)))
    await bench.until_drained()
    assert bench.sink.events == ["0", "1", "3", "4", "5", "2"]  # the last one is the dead letter about it
    (letter,) = await letters_in(bench.journal)
    assert (letter.origin, letter.reason, letter.event_offset) == ("memory", "too_large", 3)
    assert letter.event is not None
    assert letter.event["id"] == "2:succeeded"
    saved = bench.journal.progress.saved("memory")
    assert (saved.published, saved.dead, bench.journal.progress.pending("memory")) == (6, 1, 0)
    assert not bench.publisher._dead, "or they stay in memory forever"
    found = await bench.journal.projection(History).query(History.passages, "memory", range(1, 8))
    assert {offset: each.settled_as for offset, each in found.items() if each.settled_as} == {3: "dead"}


async def test_a_culprit_that_the_sink_cannot_name_is_found_by_halving(bench: Bench) -> None:
    """Broken: a broker's refusal of a whole record batch would bury innocent events (measured with Kafka)."""

    def answer(batch: Batch) -> Sequence[Outcome] | None:
        if not any(entry.event.id == "5:succeeded" for entry in batch.entries):
            return None
        return [Withheld(suspect=True, code="too_large") for _ in batch.entries]

    bench.sink.answer = answer
    await bench.append(*map(draft, names(9)))
    await bench.until_drained()
    assert bench.sink.events == [*(n for n in names(9) if n != "5"), "5"]
    assert [letter.reason for letter in await letters_in(bench.journal)] == ["too_large"]


async def test_a_crash_between_dead_letter_and_checkpoint_makes_one_letter(bench: Bench) -> None:
    """Broken: a restart in that instant would bury the same event twice."""
    refusing = True

    def answer(batch: Batch) -> Sequence[Outcome] | None:
        if any(entry.event.id == "1:succeeded" for entry in batch.entries):
            return [Refused("too_large", "?") if e.event.id == "1:succeeded" else Withheld() for e in batch.entries]
        nonlocal refusing
        if refusing:
            refusing = False
            raise SinkUnavailable("crash", "before the checkpoint moved")
        return None

    bench.sink.answer = answer
    await bench.append(*map(draft, names(3)))
    await bench.until_drained()
    assert len(await letters_in(bench.journal)) == 1
    assert bench.sink.events == ["0", "2", "1"]


async def test_a_refused_dead_letter_makes_no_further_letter(bench: Bench) -> None:
    """Broken: a sink that refuses dead letters would breed letters about letters without end."""
    bench.sink.answer = lambda batch: [Refused("too_large", "?") for _ in batch.entries] if batch.entries else None
    await bench.append(dead_draft("dead-1"))
    await bench.until_drained()
    assert [letter.id for letter in await letters_in(bench.journal)] == ["dead-1"]
    assert bench.journal.events.last_offset == 1


async def test_a_sink_that_lost_acknowledged_events_gets_them_again(bench: Bench) -> None:
    """Broken: a Redis failover that loses writes would lose events for good."""
    await bench.append(*map(draft, names(6)))
    await bench.until_drained()
    bench.sink.events = bench.sink.events[:2]
    bench.sink.checkpoint = Checkpoint(bench.journal.progress.journal_id, 2)
    again = Bench(bench.journal, bench.sink)
    await again.append(draft("6"))
    with capture_logs() as logs:
        await again.until_drained()
    assert bench.sink.events == names(7)
    [warning] = [line for line in logs if "lost acknowledged events" in line["event"]]
    assert (warning["expected"], warning["found"]) == (6, 2)


async def test_the_balance_survives_a_crash_and_a_deleted_letter(bench: Bench) -> None:
    """P5 broken: after a crash what a sink refused would count as published, once its letter is deleted."""

    def refuse_one(batch: Batch) -> Sequence[Outcome] | None:
        wrong = [entry.event.subject == "1" for entry in batch.entries]
        return [Refused("too_large", "?") if each else Withheld() for each in wrong] if any(wrong) else None

    bench.sink.answer = refuse_one
    await bench.append(*map(draft, names(3)))
    await bench.until_drained()
    [letter] = await letters_in(bench.journal)
    await bench.journal.projection(DeadLetters).execute(DeadLetters.delete, letter.id)
    await bench.journal.progress.recount(
        "memory", Shown(0)
    )  # as the journal's copy is after a crash that came before it was saved
    assert (bench.journal.progress.saved("memory").published, bench.journal.progress.saved("memory").dead) == (0, 0)
    again = Publisher("memory", bench.sink, bench.journal, SinkSignals(bench.telemetry, "memory"))
    await again._open()
    saved = bench.journal.progress.saved("memory")
    assert (saved.offset, saved.published, saved.dead) == (4, 2, 2)  # the letter was refused, too


async def test_a_sink_that_loses_events_while_there_is_no_news_gets_them_again(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Broken: what a Redis lost at a failover would stay lost until the next event comes, even after a week."""
    monkeypatch.setattr(module, "_CHECK_EVERY", 0.01)

    async def check() -> None:
        if bench.sink.checkpoint is None or bench.sink.checkpoint.offset != 6:
            raise SinkUnavailable("checkpoint_moved", "?")

    bench.sink.check = check  # type: ignore[attr-defined]
    await bench.append(*map(draft, names(6)))
    task = asyncio.ensure_future(bench.publisher.run())
    async with asyncio.timeout(10):
        while len(bench.sink.events) < 6:
            await asyncio.sleep(0.001)
        bench.sink.events = bench.sink.events[:2]
        bench.sink.checkpoint = Checkpoint(bench.journal.progress.journal_id, 2)
        while len(bench.sink.events) < 6:
            await asyncio.sleep(0.001)
    bench.publisher.stop()
    await task
    assert bench.sink.events == names(6)


async def test_another_journals_checkpoint_starts_a_new_lineage(bench: Bench) -> None:
    """TRAP J. Broken: after a lost volume every new event would look published: silent loss."""
    bench.sink.checkpoint = Checkpoint("another-journal", 1000)
    await bench.append(*map(draft, names(3)))
    await bench.until_drained()
    assert bench.sink.events == names(3)
    assert bench.sink.checkpoint == Checkpoint(
        bench.journal.progress.journal_id, 3, earlier=(Checkpoint("another-journal", 1000),)
    )


async def test_an_older_copy_of_the_journal_loses_nothing_and_reuses_no_offset(bench: Bench) -> None:
    """TRAP J. Broken: what was accepted before the sink opened would be taken for published: silent loss."""
    copied = bench.sink.checkpoint = Checkpoint(bench.journal.progress.journal_id, 50)
    await bench.append(draft("early-1"), draft("early-2"))
    await bench.until_drained()
    assert bench.sink.events == ["early-1", "early-2"]
    await bench.append(draft("late"))
    assert (await bench.journal.events.read(2, 10))[0].offset == 51
    again = Bench(bench.journal, bench.sink)
    await again.until_drained()
    assert bench.sink.events == ["early-1", "early-2", "late"]
    assert bench.sink.checkpoint == Checkpoint(bench.journal.progress.journal_id, 51, earlier=(copied,))


async def test_a_crash_before_the_first_batch_of_an_older_copy_loses_nothing(bench: Bench, tmp_path: Path) -> None:
    """TRAP J. Broken: the fork would be forgotten by a restart, and the sink's old checkpoint be believed after all."""
    bench.sink.checkpoint = Checkpoint(bench.journal.progress.journal_id, 50)
    await bench.append(draft("early"))

    def crash(batch: Batch) -> None:
        raise SinkFenced("stands for kill -9")

    bench.sink.answer = crash
    with pytest.raises(SinkFenced):
        await bench.publisher.run()
    await bench.journal.close()
    bench.sink.answer = lambda batch: None
    journal = await open_journal(tmp_path / "j.db", ["memory"], Policy(), JournalSignals(Telemetry()))
    await Bench(journal, bench.sink).until_drained()
    await journal.close()
    assert bench.sink.events == ["early"]


async def test_an_older_copy_whose_first_batch_got_lost_loses_nothing(bench: Bench) -> None:
    """TRAP J. Broken: the attempt, made under the new identity, would vouch for the sink's old checkpoint: its events
    would be taken for published."""
    bench.sink.checkpoint = Checkpoint(bench.journal.progress.journal_id, 50)
    await bench.append(draft("early-1"), draft("early-2"))
    lost = iter([True])

    def answer(batch: Batch) -> None:
        if next(lost, False):
            raise SinkUnavailable("timeout", "nothing of it arrived")

    bench.sink.answer = answer
    await bench.until_drained()
    assert bench.sink.events == ["early-1", "early-2"]


async def test_a_fork_that_one_sink_causes_repeats_nothing_on_another(tmp_path: Path) -> None:
    """TRAP J. Broken: when one sink shows that the journal is an older copy, a crash right after that would make the
    relay publish to the other sink again what that has from this very file."""
    path = tmp_path / "j.db"
    journal = await open_journal(path, ["memory", "other"], Policy(), JournalSignals(Telemetry()))
    sink = MemorySink()
    await asyncio.gather(*(journal.append(draft(name)) for name in names(3)))
    await Bench(journal, sink).until_drained()
    await journal.progress.fork("other", 50)
    await journal.close()  # before anything was published under the new identity
    journal = await open_journal(path, ["memory", "other"], Policy(), JournalSignals(Telemetry()))
    again = Bench(journal, sink)
    await again.append(draft("3"))
    await again.until_drained()
    await journal.close()
    assert sink.events == names(4)


async def test_the_waits_between_tries_grow_until_a_batch_is_published(bench: Bench) -> None:
    """Broken: a sink that is down for an hour would be tried at full speed, or one that is back be waited for."""
    rows: list[int] = []

    class Noting(Backoff):
        def delay(self, failures: int, chance: float, retry_after: float | None = None) -> float:
            rows.append(failures)
            return 0.0

    failures = iter([True, True, True, False, True, True])

    def answer(batch: Batch) -> None:
        if next(failures, False):
            raise SinkUnavailable("connection_lost", "gone")

    bench.sink.answer, bench.sink.limits = answer, Limits(events=1, bytes=1 << 20)
    signals = SinkSignals(bench.telemetry, "memory")
    bench.publisher = Publisher("memory", bench.sink, bench.journal, signals, Noting())
    await bench.append(*map(draft, names(3)))
    await bench.until_drained()
    assert rows == [1, 2, 3, 1, 2]


def test_a_bug_in_a_publisher_is_reported_as_one() -> None:
    """Broken: a relay that cannot go on would end without its reason, or with another one."""
    known = SinkFenced("another relay runs under this identity")
    assert as_fatal(known) is known
    bug = as_fatal(KeyError("x"))
    assert (bug.code, bug.message) == ("internal", "A publisher failed: KeyError: 'x'")


async def test_a_full_disk_while_a_refused_event_is_kept_passes(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Broken: an event that a sink refuses in the moment when the disk is full would end the relay."""
    full = iter([True, True])
    append = bench.journal._store.append

    def sometimes(drafts: Sequence[Draft], *rest: object) -> object:
        if drafts and drafts[0].dead is not None and next(full, False):
            raise JournalUnavailable("journal_full", "The disk is full.", hint="")
        return append(drafts, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(bench.journal._store, "append", sometimes)
    refused = [Refused("too_large", "?")]
    bench.sink.answer = lambda batch: refused if batch.entries and batch.entries[0].event.subject == "0" else None
    bench.sink.limits = Limits(events=1, bytes=1 << 20)
    await bench.append(draft("0"))
    await bench.until_drained()
    assert len(await letters_in(bench.journal)) == 1
    assert bench.metric("relay_publish_failures_total", code="journal_full") == 2


async def test_an_event_for_another_sink_is_passed_over(bench: Bench) -> None:
    """Broken: replaying a dead letter of one sink would repeat the event on the others."""
    elsewhere = draft("elsewhere")
    await bench.append(
        Draft(elsewhere.event, elsewhere.key, sink="redis"),
        Draft(draft("here").event, draft("here").key, sink="memory"),
    )
    await bench.until_drained()
    assert bench.sink.events == ["here"]
    assert bench.sink.checkpoint == Checkpoint(bench.journal.progress.journal_id, 2)


async def test_a_fenced_sink_ends_the_publisher(bench: Bench) -> None:
    """Broken: a zombie would go on trying beside the relay that has taken over."""
    bench.sink.open_error = SinkFenced("another relay runs under this identity")
    with pytest.raises(SinkFenced):
        await bench.publisher.run()
    assert bench.sink.closed == 1


async def test_stopping_interrupts_the_wait_between_two_tries(bench: Bench) -> None:
    """Broken: a drain with a sink down would last as long as the back-off."""
    bench.sink.open_error = SinkUnavailable("down", "?", retry_after=3600)
    task = asyncio.ensure_future(bench.publisher.run())
    async with asyncio.timeout(5):
        while not bench.sink.opened:
            await asyncio.sleep(0.001)
        bench.publisher.stop()
        await task
