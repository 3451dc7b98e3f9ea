from __future__ import annotations

import pytest

from tests.faults.harness.matrix import Effort, Row, render
from tests.faults.harness.oracle import Verdict


def test_a_row_says_what_was_done_and_what_came_of_it() -> None:
    """Broken: a reader of the report could not distinguish a row that held from one that never ran."""
    row = Row("R1", "crash loop", "kafka", load="300/s")
    row.injected("kill -9", 3)
    row.judged(Verdict(lost=["a"], repeated=[], changed=[], reordered=["b", "c"], seen=9), acknowledged=10)
    row.judged(Verdict(lost=[], repeated=["d"], changed=[], reordered=[], seen=9), acknowledged=10)
    row.notes.append("ready in 1 s")
    row.result = "FAILED"
    assert Row.from_json(row.as_json()) == row
    assert row.cells() == [
        "R1", "crash loop", "kafka", "300/s", "3 kill -9", "20", "1", "1", "2", "0 s", "FAILED"
    ]  # fmt: skip
    untouched = Row("R9", "journal model").cells()
    assert untouched[4:] == ["none", "-", "-", "-", "-", "0 s", "not run"]
    assert "- R1 kafka: ready in 1 s" in render([row], "full")


@pytest.mark.parametrize(("effort", "times"), [(Effort("short"), 2), (Effort("full"), 20), (Effort("long"), 60)])
def test_a_long_run_does_three_times_as_much(effort: Effort, times: int) -> None:
    """Broken: the nightly run would prove no more than the one before each merge."""
    assert effort(short=2, full=20) == times


def test_a_long_run_does_not_wait_longer_where_that_finds_nothing() -> None:
    """Broken: outages of minutes would take the hour in which a part of the long matrix ends."""
    assert Effort("long")(short=5, full=60, long=60) == 60
