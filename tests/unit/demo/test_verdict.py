from __future__ import annotations

from dataclasses import replace

import pytest

from relay.demo.scenario import CONTRADICTED, NO_TROUBLE
from relay.demo.toy_sink import Account
from relay.demo.verdict import FAULTS, Expected, Json, judge, summary

PLAIN = Expected("t1", "relay.task.succeeded", NO_TROUBLE, 1)
STAGED = Expected("t2", "relay.task.failed", CONTRADICTED, 2)
SUNK = Account(3, (), (), True, 1, 2)
GOOD = ("t1 succeeded", "t2 failed", "t2 conflicted")


def events(*short: str) -> list[Json]:
    parts = (text.split() for text in short)
    return [{"subject": subject, "type": f"relay.task.{kind}"} for subject, kind in parts]


def test_one_terminal_event_each_and_the_staged_conflict_is_good() -> None:
    """The demo would fail although the relay did right."""
    verdict = judge([PLAIN, STAGED], events(*GOOD))
    assert (verdict.bad, verdict.terminals, verdict.conflicted) == (frozenset(), 2, ("t2",))


@pytest.mark.parametrize(
    ("fault", "task_id", "came"),
    [
        ("missing", "t1", GOOD[1:]),
        ("doubled", "t1", (*GOOD, "t1 succeeded")),
        ("doubled", "t2", (*GOOD, "t2 conflicted")),
        ("doubled", "t1", (*GOOD, "t1 abandoned")),
        ("wrong", "t1", ("t1 failed", *GOOD[1:])),
        ("unnoticed", "t2", GOOD[:2]),
        ("unforeseen", "t1", (*GOOD, "t1 conflicted")),
        ("unforeseen", "t3", (*GOOD, "t3 succeeded")),
    ],
)
def test_each_departure_is_found_and_named(fault: str, task_id: str, came: tuple[str, ...]) -> None:
    """The demo would say that all is well while events are missing, doubled or wrong."""
    verdict = judge([PLAIN, STAGED], events(*came))
    assert {name: getattr(verdict, name) for name in FAULTS if getattr(verdict, name)} == {fault: (task_id,)}
    assert verdict.bad == {task_id}


def test_a_chat_is_judged_like_a_task() -> None:
    """A chat without an end, or with two, would pass."""
    chat = Expected("c1", "relay.chat.cancelled", NO_TROUBLE)
    ends = [{"subject": "c1", "type": f"relay.chat.{kind}"} for kind in ("started", "cancelled", "completed")]
    assert not judge([chat], ends[:2]).bad
    assert judge([chat], ends[:1]).missing == ("c1",)
    assert judge([chat], ends).doubled == ("c1",)
    assert judge([chat], ends[2:]).wrong == ("c1",)
    assert summary(judge([PLAIN, chat], []), SUNK)["chats"] == 1


def test_events_under_way_count_for_nothing() -> None:
    """A submitted or progressed event would be taken for an end."""
    verdict = judge([PLAIN, STAGED], events(*GOOD, "t1 submitted", "t1 progressed"))
    assert (verdict.bad, verdict.terminals) == (frozenset(), 2)


def test_the_summary_says_what_was_injected_and_what_came_out() -> None:
    """A script could not distinguish a demo that tried something from one that tried nothing."""
    assert summary(judge([PLAIN, STAGED], events(*GOOD[1:])), SUNK) == {
        "tasks": 2,
        "chats": 0,
        "deliveries_tried": 3,
        "terminal_events": 1,
        "injected": {"none": 1, "contradict": 1},
        "conflicted": ("t2",),
        "missing": ("t1",),
        "doubled": (),
        "wrong": (),
        "unnoticed": (),
        "unforeseen": (),
        "sink": {
            "events": 3,
            "missing": (),
            "repeated": (),
            "in_order": True,
            "lost_replies": 1,
            "refused": 2,
            "good": True,
        },
        "good": False,
    }


def test_nothing_is_not_good() -> None:
    """A demo that was interrupted before anything ended would exit as one that succeeded."""
    assert not judge([], []).good
    assert summary(judge([], []), SUNK)["good"] is False
    assert judge([PLAIN, STAGED], events(*GOOD)).good


def test_a_sink_that_repeats_is_not_good() -> None:
    """A script would read of a demo that succeeded although an event is on the sink twice."""
    verdict = judge([PLAIN, STAGED], events(*GOOD))
    assert summary(verdict, SUNK)["good"] is True
    assert summary(verdict, replace(SUNK, repeated=("e1",)))["good"] is False
