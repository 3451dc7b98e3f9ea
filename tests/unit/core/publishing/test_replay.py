"""What a replay is, and where it goes on."""

from __future__ import annotations

import pytest

from relay.core.event import TOPICS, Entry, Event
from relay.core.event_filter import EventFilter
from relay.core.publishing.replay import Place, Request, Run, place, why_no_topic
from relay.core.sink import Checkpoint

RUN = Run("0123456789abcdef", 10, 20, "again")
OTHER = Run("fedcba9876543210", 1, 5, None)


def entry(*, topic: str = "tasks", time: str = "2026-01-01T00:00:01.000Z", sink: str | None = None) -> Entry:
    event = Event(topic, "relay.task.failed", "id-1", "source", "task-1", time, b"{}")
    return Entry(7, 0, event, sink, b"k", b"f")


@pytest.mark.parametrize("run", [RUN, OTHER])
def test_a_run_is_found_again_by_its_name(run: Run) -> None:
    """An interrupted replay would start over and publish twice what is there."""
    assert Run.named(run.name) == run


@pytest.mark.parametrize("name", ["", "0f0e", "replay:1:1-2:x", "replay:0123456789abcdef:a-b:x"])
def test_a_journals_name_is_no_run(name: str) -> None:
    """The checkpoint of something else would be taken for the place of a replay."""
    assert Run.named(name) is None


@pytest.mark.parametrize(
    ("held", "verdict", "offset"),
    [
        (None, "begins", 9),
        (Checkpoint("some-journal", 15), "begins", 9),
        (RUN.at(9), "continues", 9),
        (RUN.at(15), "continues", 15),
        (RUN.at(20), "finished", 20),
        (OTHER.at(3), "blocked", 3),
        (OTHER.at(5), "begins", 9),
    ],
)
def test_a_replay_goes_on_where_it_was(held: Checkpoint | None, verdict: str, offset: int) -> None:
    """Events would be published twice or left out, or another replay's place be forgotten."""
    found = place(held, RUN)
    assert (found.verdict, found.offset) == (verdict, offset)


def test_what_was_decided_when_it_began_holds() -> None:
    """A replay up to the newest event would never end, since each try finds a newer one."""
    begun = Run(RUN.key, 10, 20, "again")
    later = Run(RUN.key, 10, 99, "again")
    assert place(begun.at(15, dead=2), later) == Place("continues", begun, 15, 2)
    assert place(begun.at(20), later).verdict == "finished"


def test_a_replay_is_repeated_or_given_up_only_on_request() -> None:
    """The same command typed twice would publish twice, or nobody could do so on purpose."""
    assert place(RUN.at(20), RUN, again=True).verdict == "begins"
    assert place(RUN.at(15), RUN, again=True).verdict == "continues", "interrupted, and the same words again"
    assert place(OTHER.at(3), RUN, abandon=True).verdict == "begins"
    assert place(OTHER.at(3), RUN, again=True).verdict == "blocked"


def test_other_words_are_another_replay() -> None:
    """Two replays would share a place, and the second would leave out what the first has published."""
    requests = [
        Request("j", "1", "9", EventFilter(), None),
        Request("j", "1", "9", EventFilter(), "again"),
        Request("j", "1", "9", EventFilter(types=("relay.task.failed",)), None),
        Request("j", "1", "9", EventFilter(subject="relay.task.failed"), None),
        Request("j", "2", "9", EventFilter(), None),
        Request("k", "1", "9", EventFilter(), None),
    ]
    assert len({request.key for request in requests}) == len(requests)
    assert Request("j", "1", "9", EventFilter(), None).key == requests[0].key


def test_what_is_published_is_the_same_event_for_one_sink() -> None:
    """The sink would absorb the replay as a repetition, or consumers would get another event."""
    moved = Request("j", "1", "9", EventFilter(), "again").readdressed(entry(), "kafka")
    assert (moved.sink, moved.event) == ("kafka", entry().event._replace(topic="again"))
    kept = Request("j", "1", "9", EventFilter(), None)
    assert kept.readdressed(entry(), "kafka").event == entry().event
    assert kept.topics == TOPICS


@pytest.mark.parametrize("name", ["tasks", "relay.again", "checkpoint.relay-0", "a b", "", "{x}:y", "x" * 101])
def test_a_topic_that_would_surprise_is_refused(name: str) -> None:
    """Consumers would get old events as new ones, or the relay's own records would be mixed with events."""
    assert why_no_topic(name, "relay.")
    assert why_no_topic("tasks-again.2026", "relay.") is None
    assert why_no_topic("again", "") is None
