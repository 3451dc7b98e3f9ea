from __future__ import annotations

import pytest

from relay.core.event import Entry, Event
from relay.core.sink import Batch, Checkpoint, SinkUnavailable
from relay.demo import toy_sink
from relay.demo.toy_sink import ToySink


def batch(*offsets: int) -> Batch:
    events = [Event("tasks", "t", f"e{offset}", "s", "subject", "2026-01-01T00:00:00Z", b"{}") for offset in offsets]
    entries = [Entry(offset, 0, event) for offset, event in zip(offsets, events, strict=True)]
    return Batch(entries, Checkpoint("journal", offsets[-1]))


async def opened(sink: ToySink, monkeypatch: pytest.MonkeyPatch, *, away_from: int = 99, loses_every: int = 99) -> None:
    monkeypatch.setattr(toy_sink, "AWAY_FROM", away_from)
    monkeypatch.setattr(toy_sink, "LOSES_EVERY", loses_every)
    assert await sink.open() is None


async def test_a_batch_whose_reply_is_lost_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    """The demo would show something else than a broker does when a reply gets lost."""
    sink = ToySink()
    await opened(sink, monkeypatch, loses_every=1)
    with pytest.raises(SinkUnavailable):
        await sink.publish(batch(1, 2))
    assert await sink.open() == Checkpoint("journal", 2)
    account = sink.account(["e1", "e2"])
    assert (account.good, account.events, account.lost_replies) == (True, 2, 1)


async def test_it_is_back_after_a_while_with_what_it_had(monkeypatch: pytest.MonkeyPatch) -> None:
    """An outage of the toy would never end, or take a batch that it refused."""
    sink = ToySink()
    await opened(sink, monkeypatch, away_from=2)
    await sink.publish(batch(1))
    with pytest.raises(SinkUnavailable):
        await sink.publish(batch(2))
    with pytest.raises(SinkUnavailable):
        await sink.open()
    monkeypatch.setattr(sink, "_back_at", 0.0)
    assert await sink.open() == Checkpoint("journal", 1)
    await sink.publish(batch(2))
    await sink.reached(2)
    assert (sink.account(["e1", "e2"]).good, sink.account([]).refused) == (True, 2)


@pytest.mark.parametrize(
    ("journal", "fault"),
    [
        (["e1", "e2", "e3", "e4"], {"missing": ("e4",)}),
        (["e1", "e2"], {"in_order": False}),
        (["e1", "e3", "e2"], {"in_order": False}),
    ],
)
async def test_what_is_not_as_in_the_journal_is_found(
    journal: list[str], fault: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The demo would say that the sink has everything while something is missing, in disorder or nobody's."""
    sink = ToySink()
    await opened(sink, monkeypatch)
    await sink.publish(batch(1, 2, 3))
    account = sink.account(journal)
    assert not account.good
    assert {name: getattr(account, name) for name in fault} == fault


async def test_an_event_that_comes_twice_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """The demo would say exactly once of an event that is on the sink twice."""
    sink = ToySink()
    await opened(sink, monkeypatch)
    await sink.publish(batch(1))
    await sink.publish(batch(1))
    assert sink.account(["e1"]).repeated == ("e1",)
    assert not sink.account(["e1"]).good


async def test_nothing_is_waited_for_where_there_is_nothing() -> None:
    """A demo that is interrupted at once would stay for half a minute."""
    await ToySink().reached(0)
