"""The registry of tasks, in a real journal."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import pytest

from relay.core.event import Draft
from relay.core.source import Delivery
from relay.core.tasks.events import abandoned_draft, bare_task, submitted_draft
from relay.core.tasks.reconcile import PollAgain, Timing
from relay.journal.projections import tasks as tasks_module
from relay.journal.projections.tasks import Row, Tasks, Wanted
from relay.journal.store import Store
from relay.sources.novita_task import NovitaTask

AT = 1_700_000_000_000
FAR = 3_600_000
SOURCE = NovitaTask(progressed=True)


@pytest.fixture
def store(path: Path) -> Iterator[Store]:
    opened = Store(path)
    yield opened
    opened.close()


@pytest.fixture
def tasks(store: Store) -> Tasks:
    return store.projection(Tasks)


def submitted(task_id: str, task_type: str | None = None) -> Draft:
    data = bare_task(task_id, "submitted", via="submit", received_at=AT)
    data["task_type"] = task_type
    return submitted_draft(data)


def reported(task_id: str, status: str = "TASK_STATUS_SUCCEED", image: str = "a", **task: Any) -> Draft:
    body = {"task": {"task_id": task_id, "status": status, **task}, "images": [{"image_url": f"https://x/{image}"}]}
    draft = SOURCE.normalize(Delivery(orjson.dumps(body), AT))
    assert isinstance(draft, Draft)
    return draft


def found(tasks: Tasks, task_id: str) -> Row:
    row = tasks.find(task_id)
    assert row is not None
    return row


def test_a_submitted_task_waits_for_its_end(store: Store, tasks: Tasks) -> None:
    """A task whose webhook is lost would never be asked for."""
    store.append([submitted("t1", "TXT_TO_IMG")], AT)
    row = found(tasks, "t1")
    assert (row.state, row.task_type, row.submitted_at, row.polls, row.offsets) == (
        "submitted",
        "TXT_TO_IMG",
        AT,
        0,
        (1,),
    )
    assert row.due_at is not None
    assert AT + 60_000 <= row.due_at <= AT + 72_000
    assert tasks.next_due() == row.due_at
    assert [task.task_id for task in tasks.due(row.due_at, 10, FAR)] == ["t1"]
    assert tasks.due(row.due_at - 1, 10, FAR) == []


@pytest.mark.parametrize(
    ("draft", "state", "reason"),
    [
        (reported("t1", task_type="UPSCALE"), "succeeded", None),
        (
            reported("t1", "TASK_STATUS_FAILED", task_type="UPSCALE", reason="worker error" * 99),
            "failed",
            ("worker error" * 99)[:200],
        ),
        (abandoned_draft("t1", "UPSCALE", "deadline", now=AT), "abandoned", "deadline"),
    ],
)
def test_a_task_ends_with_its_event(store: Store, tasks: Tasks, draft: Draft, state: str, reason: str | None) -> None:
    """It would be polled after its end, and shown as under way forever."""
    store.append([submitted("t1", "upscale"), submitted("t2")], AT)
    store.append([draft], AT + 5)
    row = found(tasks, "t1")
    assert (row.state, row.reason, row.task_type, row.due_at, row.ended_at) == (state, reason, "UPSCALE", None, AT + 5)
    assert row.offsets == (1, 3)
    assert tasks.counts() == dict.fromkeys(tasks_module.STATES, 0) | {"submitted": 1, state: 1}


def test_everything_about_a_task_is_found_again(store: Store, tasks: Tasks) -> None:
    """What was said about a task could only be found by reading the whole journal."""
    store.append(
        [submitted("t1"), reported("t1", "TASK_STATUS_PROCESSING", progress_percent=5), submitted("other")], AT
    )
    store.append([reported("t1"), reported("other"), reported("t1", image="b")], AT)
    assert found(tasks, "t1").offsets == (1, 2, 4, 6)
    assert found(tasks, "t1").state == "succeeded"


def test_an_ending_in_the_same_group_counts_in_any_order(store: Store, tasks: Tasks) -> None:
    """A synchronous answer, submitted and ended at once, would be polled."""
    store.append([submitted("t1"), reported("t1")], AT)
    store.append([reported("t2"), submitted("t2")], AT)
    assert [found(tasks, task).state for task in ("t1", "t2")] == ["succeeded", "succeeded"]
    assert tasks.next_due() is None


def test_tasks_that_nobody_submitted_leave_no_trace(store: Store, tasks: Tasks) -> None:
    """Each webhook of a relay that only receives would cost a row."""
    store.append([reported("t1"), reported("t1", image="b")], AT)
    assert tasks.find("t1") is None
    assert tasks.counts() == dict.fromkeys(tasks_module.STATES, 0)


def test_a_replay_for_one_sink_changes_nothing(store: Store, tasks: Tasks) -> None:
    """A dead letter that is replayed would bring a task back that ended long ago."""
    store.append([submitted("t1")._replace(sink="kafka"), reported("t2")._replace(sink="kafka")], AT)
    assert tasks.find("t1") is None


def statements(store: Store, tasks: Tasks, drafts: list[Draft]) -> set[str]:
    """The statements on the registry that a group costs; SQLite reports one again for each trigger in it."""
    seen: set[str] = set()
    tasks._db.set_trace_callback(seen.add)
    store.append(drafts, AT)
    tasks._db.set_trace_callback(None)
    return {statement for statement in seen if re.search(r"(INSERT INTO|UPDATE|FROM) tasks\b", statement)}


def test_webhooks_cost_nothing_while_no_task_waits_and_one_statement_otherwise(store: Store, tasks: Tasks) -> None:
    """Every delivery would pay for a registry that it does not concern."""
    webhooks = [reported(f"w{n}") for n in range(200)]
    assert statements(store, tasks, webhooks[:100]) == set()
    store.append([submitted("t1")], AT)
    assert len(statements(store, tasks, [*webhooks[100:], reported("t1")])) == 1
    assert tasks.next_due() is None
    assert statements(store, tasks, [reported("w201")]) == set()


def test_the_search_for_due_tasks_for_a_group_and_by_prefix_goes_by_index(tasks: Tasks) -> None:
    """A million tasks that are not due would be looked through every second."""
    sql = tasks_module._SQL
    for name, parameters, index in (
        ("due", {"now": 1, "limit": 1, "far": 2}, "tasks_due"),
        ("next_due", (), "tasks_due"),
        ("overdue", (1,), "tasks_due"),
        ("any_pending", (), "tasks_due"),
        ("expire", (1, 1), "tasks_ended"),
        ("follow", {"rows": "[]", "now": 1}, "sqlite_autoindex_tasks_1"),
        ("polled", {"rows": "[]"}, "sqlite_autoindex_tasks_1"),
        ("find", ("t",), "sqlite_autoindex_tasks_1"),
        (
            "beginning_with",
            {"prefix": "t", "beyond": "u", "limit": 1},
            "sqlite_autoindex_tasks_1 (task_id>? AND task_id<?)",
        ),
    ):
        plan = " / ".join(row[3] for row in tasks._db.execute("EXPLAIN QUERY PLAN " + sql[name], parameters))
        assert index in plan, (name, plan)
        assert "SCAN tasks" not in plan.replace(f"SCAN tasks USING COVERING INDEX {index}", ""), (name, plan)


def test_what_a_poll_brought_is_noted(store: Store, tasks: Tasks) -> None:
    """A restart would poll everything at once, and count the deadline of what is unknown again."""
    store.append([submitted("t1"), submitted("t2")], AT)
    seen = PollAgain(AT + 9, "running", state="running", task_type="UPSCALE")
    missing = PollAgain(AT + 8, "unknown_task", trouble="unknown_task", trouble_since=AT, counts=False)
    store.execute(tasks.polled, [("t1", seen), ("t2", missing)])
    one, two = tasks.due(AT + 9, 10, FAR)[::-1]
    assert (one.task_id, one.task_type, one.polls, one.trouble) == ("t1", "UPSCALE", 1, None)
    assert (two.task_id, two.polls, two.trouble, two.trouble_since) == ("t2", 0, "unknown_task", AT)
    assert found(tasks, "t1").state == "running"
    assert tasks.counts()["running"] == 1


def test_what_a_clock_that_was_ahead_put_far_off_is_due(store: Store, tasks: Tasks) -> None:
    """Broken: after the clock was set right, tasks would wait for the hour that it had shown."""
    for task_id, at in (("ahead", AT + FAR + 1), ("in-time", AT + FAR), ("due", AT)):
        store.append([submitted(task_id)], AT)
        store.execute(tasks.polled, [(task_id, PollAgain(at, "running"))])
    assert [task.task_id for task in tasks.due(AT, 10, FAR)] == ["due", "ahead"]
    assert [task.task_id for task in tasks.due(AT, 1, FAR)] == ["due"]


def test_a_poll_brings_no_task_back(store: Store, tasks: Tasks) -> None:
    """A webhook that comes during a poll would be undone by it."""
    store.append([submitted("t1")], AT)
    store.append([reported("t1")], AT)
    store.execute(tasks.polled, [("t1", PollAgain(AT, "running", state="running"))])
    assert (found(tasks, "t1").state, found(tasks, "t1").due_at) == ("succeeded", None)


def test_a_task_of_elsewhere_is_watched_once_and_polled_at_once(store: Store, tasks: Tasks) -> None:
    """Asking twice would start its time again, or poll it twice as often."""
    assert store.execute(tasks.watch, "t1", AT)
    assert not store.execute(tasks.watch, "t1", AT + 99)
    assert (found(tasks, "t1").submitted_at, found(tasks, "t1").due_at) == (AT, AT)
    store.append([submitted("t1"), reported("t1")], AT)
    assert (found(tasks, "t1").state, found(tasks, "t1").offsets) == ("succeeded", (1, 2))


def test_an_ending_from_before_is_entered_later(store: Store, tasks: Tasks) -> None:
    """A task whose webhook was faster than the upstream's answer would be polled until its deadline."""
    store.append([reported("t1")], AT)
    store.append([submitted("t1")], AT + 5)
    store.execute(tasks.end, "t1", "succeeded", AT, 1)
    row = found(tasks, "t1")
    assert (row.state, row.due_at, row.ended_at, row.offsets) == ("succeeded", None, AT, (1, 2))


def test_the_first_poll_follows_the_configured_timing(store: Store, tasks: Tasks) -> None:
    """reconcile.first_after would have no effect."""
    tasks.timing = Timing(first_after=1.0)
    store.append([submitted("t1"), submitted("t2", "TXT_TO_VIDEO")], AT)
    first, video = (found(tasks, task).due_at for task in ("t1", "t2"))
    assert first is not None
    assert video is not None
    assert AT + 1_000 <= first <= AT + 1_200
    assert AT + 4_000 <= video <= AT + 4_800


def test_ended_tasks_go_after_a_while_and_pending_ones_never(store: Store, tasks: Tasks) -> None:
    """The registry would grow forever, or forget what still has to end."""
    store.append([submitted(f"t{n}") for n in range(5)], AT)
    store.append([reported("t0"), reported("t1")], AT + 10)
    store.append([reported("t2")], AT + 20)
    assert store.execute(tasks.expire, AT + 20, 1) == 1
    assert store.execute(tasks.expire, AT + 20, 10) == 1
    assert store.execute(tasks.expire, AT + 20, 10) == 0
    assert [row.task_id for row in tasks.newest(99, 10, Wanted()).rows] == ["t4", "t3", "t2"]
    assert tasks.counts()["succeeded"] == 1


def test_pages_lead_on_and_hold_what_is_wanted(store: Store, tasks: Tasks) -> None:
    """`relay tasks` would show one task twice, or end before the last."""
    store.append([submitted(f"t{n}", "UPSCALE" if n % 2 else None) for n in range(10)], AT)
    store.append([submitted("late")], AT + 50)
    store.append([reported("t1"), reported("t4")], AT + 60)
    seen: list[str] = []
    before: int | None = 99
    while before is not None:
        rows, before, _ = tasks.newest(before, 4, Wanted())
        seen += [row.task_id for row in rows]
    assert seen == ["late", *(f"t{n}" for n in reversed(range(10)))]

    def ids(wanted: Wanted) -> list[str]:
        return [row.task_id for row in tasks.newest(99, 100, wanted).rows]

    assert ids(Wanted(states={"succeeded"})) == ["t4", "t1"]
    assert ids(Wanted(states={"submitted"}, task_type="UPSCALE")) == ["t9", "t7", "t5", "t3"]
    assert len(ids(Wanted(until=AT + 49))) == 10
    assert ids(Wanted(since=AT + 50)) == ["late"]
    assert len(ids(Wanted(since=AT, until=AT + 50))) == 11


def test_a_rare_kind_is_looked_for_in_steps(store: Store, tasks: Tasks) -> None:
    """One question about a large registry would hold up every commit."""
    for start in range(0, 2500, 500):
        store.append([submitted(f"t{start + n}") for n in range(500)], AT)
    store.append([reported("t0")], AT + 1)
    rows, before, _ = tasks.newest(10_000, 10, Wanted(states={"succeeded"}), scans=1)
    assert (rows, before) == ([], 1501)
    rows, before, reached = tasks.newest(1501, 10, Wanted(states={"succeeded"}), scans=2)
    assert ([row.task_id for row in rows], before, reached) == (["t0"], None, AT)


def test_overdue_tasks_are_listed_without_looking_at_the_others(
    store: Store, tasks: Tasks, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A few late tasks among a million would be found after fifty questions, or the question hold up the commits."""
    store.append([submitted(f"t{n}") for n in range(10)], AT)
    store.execute(tasks.polled, [(f"t{n}", PollAgain(AT + 9 - n, "running")) for n in (3, 5, 8)])
    wanted = Wanted(states=tasks_module.PENDING, overdue_at=AT + 9)
    assert [row.task_id for row in tasks.newest(99, 10, wanted).rows] == ["t8", "t5", "t3"]
    first, before, _ = tasks.newest(99, 2, wanted)
    assert before is not None
    assert [row.task_id for row in (*first, *tasks.newest(before, 2, wanted).rows)] == ["t8", "t5", "t3"]
    monkeypatch.setattr(tasks_module, "_MOST_OVERDUE", 2)
    assert [row.task_id for row in tasks.newest(99, 10, wanted).rows] == ["t8", "t5"]


def test_the_longest_are_found_among_the_newest(store: Store, tasks: Tasks, monkeypatch: pytest.MonkeyPatch) -> None:
    """A task that hangs would have to be looked for page by page, or a large registry be sorted as a whole."""
    for n in range(6):
        store.append([submitted(f"t{n}", "UPSCALE" if n % 2 else None)], AT + n * 100)
    store.append([reported("t0"), reported("t4")], AT + 590)  # after 590 and 190; the others go on
    now = AT + 600

    def longest(wanted: Wanted, below: tuple[int, ...] | None = None, limit: int = 9) -> list[str]:
        return [row.task_id for row in tasks.longest(now, limit, wanted, below).rows]

    assert longest(Wanted()) == ["t0", "t1", "t2", "t3", "t4", "t5"]
    assert longest(Wanted(), limit=2) == ["t0", "t1"]
    assert longest(Wanted(), (500, 1, 2)) == ["t2", "t3", "t4", "t5"]  # behind t1
    assert longest(Wanted(), (400, 0, 7)) == ["t3", "t4", "t5"]  # behind another that lasted as long as t2
    assert longest(Wanted(states={"submitted"}, task_type="UPSCALE")) == ["t1", "t3", "t5"]
    assert longest(Wanted(since=AT + 100, until=AT + 300)) == ["t1", "t2", "t3"]
    assert longest(Wanted(overdue_at=now)) == []
    assert tasks.longest(now, 1, Wanted()).since is None
    monkeypatch.setattr(tasks_module, "MOST_SORTED", 4)
    assert longest(Wanted()) == ["t2", "t3", "t4", "t5"]
    assert tasks.longest(now, 1, Wanted()).since == AT + 200
    assert tasks.longest(now, 1, Wanted(since=AT + 200)).since is None
    monkeypatch.setattr(tasks_module, "MOST_SORTED", 6)
    assert tasks.longest(now, 1, Wanted()).since is None


def test_overdue_tasks_are_counted(store: Store, tasks: Tasks) -> None:
    """Nobody would see that polling does not keep up."""
    store.append([submitted(f"t{n}") for n in range(3)], AT)
    store.execute(tasks.polled, [("t1", PollAgain(AT + 5, "running"))])
    assert (tasks.overdue(AT + 4), tasks.overdue(AT + 5), tasks.overdue(AT + 10**6)) == (0, 1, 3)


def test_the_registry_survives_the_process(store: Store, path: Path) -> None:
    """After a crash every task under way would be forgotten."""
    store.append([submitted("t1")], AT)
    store.close()
    again = Store(path)
    tasks = again.projection(Tasks)
    assert tasks.counts()["submitted"] == 1
    again.append([reported("t1")], AT)
    assert found(tasks, "t1").state == "succeeded"
    again.close()


def test_a_group_that_is_rolled_back_leaves_the_registry_as_it_was(path: Path) -> None:
    """A full disk would leave a task without its event, or counts that are wrong from then on."""
    store = Store(path, max_pages=60)
    tasks = store.projection(Tasks)
    store.append([submitted("t1")], AT)
    huge = reported("t2")
    with pytest.raises(Exception, match="full"):
        store.append(
            [
                submitted("t3"),
                reported("t1"),
                huge._replace(event=huge.event._replace(data=huge.event.data + b" " * 10**6)),
            ],
            AT,
        )
    assert (found(tasks, "t1").state, tasks.find("t3")) == ("submitted", None)
    assert tasks.counts()["submitted"] == 1
    store.append([reported("t1")], AT)
    assert found(tasks, "t1").state == "succeeded"
    store.close()


def test_an_older_journal_gets_its_registry(path: Path) -> None:
    """A journal of the release before could not be opened any more."""
    Store(path).close()
    with_tasks = Store(path)
    with_tasks.append([submitted("t1")], AT)
    with_tasks.close()
    with closing(sqlite3.connect(path)) as db:
        names = {name for (name,) in db.execute("SELECT name FROM sqlite_master")}
    assert {"tasks", "task_states", "tasks_due", "tasks_ended", "task_entered", "task_moved", "task_left"} <= names


def test_the_type_is_read_from_the_head_of_any_event(store: Store, tasks: Tasks) -> None:
    """A list by type would be empty as soon as the keys of the data change their order."""
    data = bare_task("t1", "submitted", via="submit", received_at=AT)
    assert list(data)[:2] == ["task_id", "task_type"]
    odd = replace(Timing(), first_after=1.0)
    tasks.timing = odd
    store.append([submitted("t1", 'a "quoted" type'), submitted("t2", "x" * 81), submitted("t3", "KLING_V16")], AT)
    assert [found(tasks, task).task_type for task in ("t1", "t2", "t3")] == [None, None, "KLING_V16"]
