"""The loop of a replay around a sink that keeps its events and its checkpoint together, and fails on request."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest

from relay.core.errors import RelayError
from relay.core.event import Entry, Event
from relay.core.event_filter import EventFilter
from relay.core.publishing.replay import Request, Run
from relay.core.retry import Backoff
from relay.core.sink import Batch, Checkpoint, Limits, Outcome, Published, Refused, SinkUnavailable, Withheld
from relay.publishing import replay as module
from relay.publishing.replay import Page, Replay

REQUEST = Request("j", "1", "6", EventFilter(), "again")
SPAN = (1, 6)


class MemorySink:
    """``before`` may raise or answer outcomes of its own; ``after`` runs when all is kept, and may lose the reply."""

    limits = Limits(events=2, bytes=1 << 20)

    def __init__(self, held: Checkpoint | None = None) -> None:
        self.events: list[Entry] = []
        self.held = held
        self.before: Callable[[Batch], Sequence[Outcome] | None] = lambda batch: None
        self.after: Callable[[Batch], None] = lambda batch: None
        self.glances = self.opened = 0
        self.glanced: Callable[[int], None] = lambda times: None

    async def glance(self) -> Checkpoint | None:
        self.glances += 1
        self.glanced(self.glances)
        return self.held

    async def open(self) -> Checkpoint | None:
        self.opened += 1
        return self.held

    async def publish(self, batch: Batch) -> Sequence[Outcome]:
        outcomes = self.before(batch)
        if outcomes is not None:
            return outcomes
        self.events += batch.entries
        self.held = batch.checkpoint
        self.after(batch)
        return [Published()] * len(batch.entries)

    async def close(self) -> None:
        pass

    @property
    def offsets(self) -> list[int]:
        return [entry.offset for entry in self.events]


def entry(offset: int) -> Entry:
    return Entry(offset, 0, Event("tasks", "t", f"id-{offset}", "s", "x", "2026-01-01T00:00:00Z", b"{}"))


def read(after: int) -> Page:
    """Pages of three of the events 1 to 8."""
    return Page([entry(offset) for offset in range(after + 1, min(after + 4, 9))], after + 3)


def replay(sink: MemorySink, request: Request = REQUEST) -> Replay:
    return Replay(sink, "memory", request, SPAN, read)


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_BACKOFF", Backoff(first=0.001, most=0.001))
    monkeypatch.setattr(module, "WATCH_FOR", 0.001)


def once(act: Callable[[Batch], Sequence[Outcome] | None], offset: int) -> Callable[[Batch], Sequence[Outcome] | None]:
    """Does it to the first batch that ends at an offset."""
    done = []

    def acting(batch: Batch) -> Sequence[Outcome] | None:
        if batch.checkpoint.offset == offset and batch.entries and not done:
            done.append(batch)
            return act(batch)
        return None

    return acting


def unavailable(_: Batch) -> None:
    raise SinkUnavailable("unreachable", "gone")


async def test_a_range_is_published_in_order_and_no_further() -> None:
    """A replay would publish what was not asked for, or to where consumers read."""
    sink = MemorySink()
    report = await replay(sink).run()
    assert sink.offsets == [1, 2, 3, 4, 5, 6]
    assert {(each.event.topic, each.sink) for each in sink.events} == {("again", "memory")}
    assert (report.published, report.at, report.resumed_after) == (6, 6, None)
    assert sink.held == Run(REQUEST.key, 1, 6, "again").at(6)


@pytest.mark.parametrize("offset", [2, 3, 5, 6])
async def test_a_lost_batch_is_sent_again_and_a_lost_reply_is_not(offset: int) -> None:
    """A sink that is away for a moment would leave a hole or a double, or the count would be wrong."""
    for moment in ("before", "after"):
        sink = MemorySink()
        setattr(sink, moment, once(unavailable, offset))
        report = await replay(sink).run()
        assert sink.offsets == [1, 2, 3, 4, 5, 6], moment
        assert report.published == 6, moment


async def test_a_batch_in_doubt_is_halved() -> None:
    """Over a slow link a replay would try the same batch until it gives up."""
    sink, tried = MemorySink(), []

    def slow(batch: Batch) -> None:
        tried.append(len(batch.entries))
        if len(batch.entries) > 1:
            raise SinkUnavailable("timeout", "slow")

    sink.before = slow
    await replay(sink).run()
    assert sink.offsets == [1, 2, 3, 4, 5, 6]
    assert tried[:3] == [0, 2, 1]


async def test_again_holds_for_the_beginning_only() -> None:
    """After a lost reply at the very end, --again would publish everything again."""
    run = Run(REQUEST.key, 1, 6, "again")
    sink = MemorySink(run.at(6))
    sink.after = once(unavailable, 6)
    assert (await replay(sink).run(again=True)).published == 6
    assert sink.offsets == [1, 2, 3, 4, 5, 6]


async def test_what_is_refused_is_left_out_and_counted() -> None:
    """One event that is too large would end the replay, or be retried forever."""

    def refuse(batch: Batch) -> Sequence[Outcome] | None:
        if 3 not in [each.offset for each in batch.entries]:
            return None
        return [Refused("too_large", "no") if each.offset == 3 else Withheld() for each in batch.entries]

    sink = MemorySink()
    sink.before = refuse
    report = await replay(sink).run()
    assert sink.offsets == [1, 2, 4, 5, 6]
    assert [each.offset for each, _ in report.refused] == [3]
    assert sink.held is not None
    assert sink.held.dead == 1


async def test_a_sink_that_cannot_say_which_gets_smaller_batches() -> None:
    """A batch of which some event is refused would be sent again as it is, forever."""
    sink = MemorySink()
    sink.before = lambda batch: [Withheld(suspect=True)] * 2 if len(batch.entries) == 2 else None
    assert (await replay(sink).run()).published == 6
    assert sink.offsets == [1, 2, 3, 4, 5, 6]


async def test_an_unfinished_one_goes_on_and_a_finished_one_is_done() -> None:
    """The same words, typed again, would publish what is there already."""
    run = Run(REQUEST.key, 1, 6, "again")
    sink = MemorySink(run.at(4))
    report = await replay(sink).run()
    assert (sink.offsets, report.resumed_after, report.published) == ([5, 6], 4, 2)
    report = await replay(sink).run()
    assert (sink.offsets, report.finished_before, report.published) == ([5, 6], True, 0)


async def test_another_replay_is_told_apart_before_and_during() -> None:
    """Two replays at once would each take the other's place for their own."""
    other = Run("0123456789abcdef", 1, 9, None)
    with pytest.raises(RelayError, match="offsets 1 to 9 to the topics of its events is at 4") as refused:
        await replay(MemorySink(other.at(4))).run()
    assert refused.value.code == "replay_unfinished"
    sink = MemorySink()

    def overtake(batch: Batch) -> None:
        sink.held = other.at(0)
        unavailable(batch)

    sink.before = once(overtake, 3)
    with pytest.raises(RelayError) as refused:
        await replay(sink).run(abandon=True)
    assert refused.value.code == "replay_superseded"


async def test_a_sink_that_stays_away_ends_it() -> None:
    """The command would hang for as long as the broker is down."""
    sink = MemorySink()
    sink.before = unavailable
    with pytest.raises(SinkUnavailable):
        await replay(sink).run()


@pytest.mark.parametrize("again", [False, True])
@pytest.mark.parametrize("abandon", [False, True])
@pytest.mark.parametrize("wanted", [REQUEST, Request("j", "1", "9", EventFilter(), "elsewhere")], ids=["same", "other"])
async def test_a_replay_that_is_running_is_not_disturbed(wanted: Request, again: bool, abandon: bool) -> None:
    """Broken: to type a second replay ends the first one, half way."""
    running = Run(REQUEST.key, 1, 6, REQUEST.topic)
    sink = MemorySink(running.at(2))

    def moves(times: int) -> None:
        if times == 2:
            sink.held = running.at(4)

    sink.glanced = moves
    with pytest.raises(RelayError) as refused:
        await replay(sink, wanted).run(again=again, abandon=abandon)
    blocked = wanted is not REQUEST and not abandon
    assert refused.value.code == ("replay_unfinished" if blocked else "replay_running")
    assert sink.opened == 0


async def test_a_replay_that_was_interrupted_goes_on() -> None:
    """Broken: what was interrupted would be taken for running, and never end."""
    sink = MemorySink(Run(REQUEST.key, 1, 6, REQUEST.topic).at(4))
    report = await replay(sink).run()
    assert (report.resumed_after, sink.offsets, sink.glances) == (4, [5, 6], 2)
