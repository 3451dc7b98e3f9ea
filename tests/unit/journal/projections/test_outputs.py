"""Which outputs wait to be archived, whatever happens to the journal."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from relay.clocks import steady_ms
from relay.core.archive.events import Copy, archived_draft, lost_draft
from relay.core.archive.job import LONGEST, Job
from relay.core.event import Draft
from relay.core.source import Delivery
from relay.core.tasks.events import abandoned_draft
from relay.journal.projections import outputs as module
from relay.journal.projections.outputs import OutputRow, Outputs, WantedOutputs
from relay.journal.store import Store
from relay.sources.novita_task import NovitaTask
from tests.unit.archive.archiving import link, result

NOW = 1_700_000_000_000
LATER = NOW * 2
COPY = Copy("k", "s3://outputs/k", 5, "0" * 64, "image/png")


@pytest.fixture
def opened(path: Path) -> Iterator[Store]:
    store = Store(path)
    store.projection(Outputs).archiving = True
    yield store
    store.close()


def succeeded(task_id: str, *links: str, ttl: int = 3600) -> Draft:
    draft = NovitaTask().normalize(Delivery(result(task_id, *links, ttl=ttl), NOW))
    assert isinstance(draft, Draft)
    return draft


def jobs(store: Store, now: int = LATER, limit: int = 100) -> list[Job]:
    return store.projection(Outputs).due(now, limit)


def only(store: Store) -> Job:
    [job] = jobs(store)
    return job


def row(store: Store, task_id: str = "t1", index: int = 0) -> OutputRow:
    found = store.projection(Outputs).find(task_id, index)
    assert found is not None
    return found


def test_the_outputs_of_a_task_wait_from_its_success_on(opened: Store) -> None:
    """An output would be fetched twice, or never."""
    opened.append([succeeded("t1", link("a"), link("b"))], NOW)
    assert [(job.task_id, job.index, job.link, job.deadline) for job in jobs(opened)] == [
        ("t1", 0, link("a"), NOW + 3_600_000),
        ("t1", 1, link("b"), NOW + 3_600_000),
    ]
    job = jobs(opened)[0]
    assert (job.kind, job.format, job.date, job.begun_at) == ("image", "png", "2023-11-14", NOW)
    assert (job.attempts, job.retried) == (0, False)


def test_nothing_waits_where_nothing_is_archived(path: Path) -> None:
    """The table would grow on relays without an archive, for good."""
    store = Store(path)
    store.append([succeeded("t1")], NOW)
    assert jobs(store) == []
    store.close()


def test_an_end_takes_the_output_out_in_the_commit_of_its_event(opened: Store) -> None:
    """An output would end twice after a crash, or be shown as waiting forever."""
    opened.append([succeeded("t1", link("a"), link("b"))], NOW)
    first, second = jobs(opened)
    opened.append([archived_draft(first, COPY, now=NOW + 1), lost_draft(second, "too_large", now=NOW + 1)], NOW + 1)
    assert jobs(opened) == []
    found = row(opened)
    assert (found.state, found.ended_at, found.reason, found.link) == (
        *("archived", NOW + 1, None),
        "https://out.example/a.png",
    )
    assert (found.store_key, found.url, found.size, found.sha256, found.content_type) == tuple(COPY)
    found = row(opened, index=1)
    assert (found.state, found.reason, found.url, found.link) == ("lost", "too_large", None, link("b"))


def test_a_repetition_enters_nothing(opened: Store) -> None:
    """A webhook that comes twice would have outputs fetched again."""
    opened.append([succeeded("t1")], NOW)
    opened.append([archived_draft(only(opened), COPY, now=NOW)], NOW)
    opened.append([succeeded("t1")], NOW)
    assert jobs(opened) == []


def test_a_success_after_it_was_given_up_is_archived(opened: Store) -> None:
    """A task that was abandoned and paid for would keep its outputs nowhere."""
    opened.append([abandoned_draft("t1", None, "deadline", now=NOW)], NOW)
    opened.append([succeeded("t1")], NOW)
    assert only(opened).task_id == "t1"


def test_a_contradiction_leaves_the_first_outputs_as_they_are(opened: Store) -> None:
    """An output would be one object for a consumer of the first event, and another one in the store."""
    opened.append([succeeded("t1", link("a"))], NOW)
    opened.append([succeeded("t1", link("x"), link("y"))], NOW)
    assert [job.link for job in jobs(opened)] == [link("a")]


def test_a_failed_task_has_nothing_to_archive(opened: Store) -> None:
    """Nothing would be fetched, and reported as lost."""
    draft = NovitaTask().normalize(Delivery(result("t1", status="TASK_STATUS_FAILED"), NOW))
    assert isinstance(draft, Draft)
    opened.append([draft], NOW)
    assert jobs(opened) == []


def test_the_nearest_deadline_is_due_first(opened: Store) -> None:
    """Links would end while others are fetched that live for a week."""
    for task_id, ttl in (("week", 604_800), ("hour", 3600), ("minute", 60)):
        opened.append([succeeded(task_id, ttl=ttl)], NOW)
    assert [job.task_id for job in jobs(opened, limit=2)] == ["minute", "hour"]
    assert opened.projection(Outputs).waiting() == (3, NOW + 60_000)


def test_what_failed_is_due_when_it_is_tried_next(opened: Store) -> None:
    """A source in trouble would be asked without a rest."""
    opened.append([succeeded("t1")], steady := steady_ms())
    outputs = opened.projection(Outputs)
    opened.execute(outputs.again, jobs(opened, steady)[0], steady + 5000, "timeout")
    assert jobs(opened, steady + 4999) == []
    [job] = jobs(opened, steady + 5000)
    assert (job.attempts, row(opened).reason) == (1, "timeout")


def test_a_clock_that_was_ahead_makes_nothing_wait(opened: Store) -> None:
    """After a start with a wrong clock, outputs would wait for years."""
    opened.append([succeeded("t1")], steady := steady_ms())
    opened.execute(opened.projection(Outputs).again, jobs(opened, steady)[0], steady + 10 * LONGEST, "timeout")
    assert len(jobs(opened, steady)) == 1


def test_a_fresh_link_takes_the_place_of_the_other(opened: Store) -> None:
    """After a restart the dead link would be tried again."""
    opened.append([succeeded("t1")], NOW)
    old = only(opened)
    new = Job(old.task_id, 0, old.kind, old.format, link("t1", "2"), old.date, NOW + 7, old.begun_at)
    opened.execute(opened.projection(Outputs).relink, new)
    assert (only(opened).link, only(opened).deadline) == (link("t1", "2"), NOW + 7)


def test_a_retry_has_a_lost_output_tried_and_an_archived_one_left_alone(opened: Store) -> None:
    """An operator could not have an output tried again, or would have a stored one fetched and ended twice."""
    outputs = opened.projection(Outputs)
    opened.append([succeeded("t1", link("a"), link("b"), link("c"))], NOW)
    archived, lost, _ = jobs(opened)
    opened.append([archived_draft(archived, COPY, now=NOW), lost_draft(lost, "timeout", now=NOW)], NOW)
    assert [opened.execute(outputs.retry, "t1", index, NOW + 9, NOW + 9) for index in range(4)] == [
        *(False, True, True, False)
    ]
    again, waiting = jobs(opened)
    assert (again.index, again.begun_at, again.retried) == (1, NOW + 9, True)
    assert (waiting.index, waiting.begun_at, waiting.retried) == (2, NOW, False)
    opened.execute(outputs.lost_again, again, NOW + 10, "too_large")
    assert (row(opened, index=1).state, row(opened, index=1).reason) == ("lost", "too_large")


def test_what_ended_long_ago_is_forgotten(opened: Store) -> None:
    """The table would grow for good, or an output vanish that still waits."""
    opened.append([succeeded("t1"), succeeded("t2")], NOW)
    opened.append([archived_draft(jobs(opened)[0], COPY, now=NOW)], NOW)
    outputs = opened.projection(Outputs)
    assert opened.execute(outputs.expire, NOW) == 0
    assert opened.execute(outputs.expire, NOW + 1) == 1
    assert outputs.find("t1", 0) is None
    assert row(opened, "t2").state == "waiting"


def test_a_list_goes_on_where_the_page_before_it_ended(opened: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """A page would repeat or leave out outputs, or look through millions of rows for a rare kind."""
    monkeypatch.setattr(module, "_SCAN", 2)
    outputs = opened.projection(Outputs)
    for n in range(5):
        opened.append([succeeded(f"t{n}")], NOW + n)
    first, before = outputs.page(LATER, 2, WantedOutputs())
    assert before is not None
    second, before = outputs.page(before, 9, WantedOutputs())
    assert [each.task_id for each in (*first, *second)] == ["t4", "t3", "t2", "t1", "t0"]
    assert before is None
    opened.append([lost_draft(jobs(opened)[0], "timeout", now=NOW)], NOW)
    rows, _ = outputs.page(LATER, 9, WantedOutputs(states=("lost",)))
    assert [each.task_id for each in rows] == ["t0"]
    assert outputs.page(LATER, 9, WantedOutputs(kind="video"))[0] == []
    rows, _ = outputs.page(LATER, 9, WantedOutputs(since=NOW + 1, until=NOW + 3))
    assert [each.task_id for each in rows] == ["t3", "t2", "t1"]
    monkeypatch.setattr(module, "_LOOKS", 1)
    assert outputs.page(LATER, 9, WantedOutputs(states=("lost",))) == ([], 4)
    assert [each.index for each in outputs.about("t0")] == [0]
