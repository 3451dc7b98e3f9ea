"""How tasks are listed. The command runs in tests/integration/test_task_registry.py."""

from __future__ import annotations

import time
from collections.abc import Mapping
from itertools import islice
from typing import Any

import pytest

from relay.cli.client import Client
from relay.cli.tasks import Listing, _row, age, summary, until
from relay.core.clock import rfc3339


class Paging(Client):
    """A client of a relay whose second page holds nothing, and leads on."""

    asked: list[tuple[str, Mapping[str, str]]]

    def tasks(self, before: str, wanted: Mapping[str, str]) -> dict[str, Any]:
        self.asked.append((before, wanted))
        pages: dict[str, tuple[list[int], str | None]] = {"": ([1, 2], "7-9"), "7-9": ([], "3-0"), "3-0": ([3], None)}
        tasks, following = pages[before]
        return {"tasks": [{"n": n} for n in tasks], "next": following, "counts": {"running": 3}}


def paging() -> Paging:
    client = Paging("http://127.0.0.1:1")
    client.asked = []
    return client


def test_a_list_goes_on_to_the_last_page() -> None:
    """A rare kind of task would not be found in a large registry."""
    client = paging()
    listing = Listing(client, {"state": "failed"})
    assert [task["n"] for task in listing.tasks()] == [1, 2, 3]
    assert client.asked == [(place, {"state": "failed"}) for place in ("", "7-9", "3-0")]
    assert listing.counts == {"running": 3}


def test_no_more_is_asked_for_than_is_shown() -> None:
    """`relay tasks --limit 1` would read a million tasks."""
    client = paging()
    assert len(list(islice(Listing(client, {}).tasks(), 1))) == 1
    assert len(client.asked) == 1


@pytest.mark.parametrize(
    ("seconds", "text"), [(-5, "0s"), (0, "0s"), (59, "59s"), (61, "1m"), (7300, "2h"), (90_000, "1d"), (10**7, "115d")]
)
def test_an_age_is_one_number(seconds: int, text: str) -> None:
    """People would have to subtract timestamps."""
    assert age(rfc3339(round((time.time() - seconds) * 1000) - 200)) == text


def test_a_line_says_why_a_task_hangs_or_ended() -> None:
    """The reason would have to be looked up for each task."""
    task: dict[str, Any] = dict.fromkeys(("task_type", "reason", "trouble", "next_poll_at"))
    task |= {"task_id": "t1", "state": "running", "submitted_at": rfc3339(0), "polls": 2, "known_via": "submit"}
    assert _row(task | {"trouble": "unknown_task"})[-1] == "unknown_task"
    assert _row(task | {"trouble": "unknown_task", "reason": "deadline"})[-1] == "deadline"
    assert _row(task)[-1] is None


def test_a_summary_counts_all_states_that_there_are() -> None:
    """Somebody who lists what is pending would not see how many were abandoned."""
    assert (
        summary(1, {"submitted": 1, "running": 0, "abandoned": 2})
        == "1 shown; submitted or watched: 1 submitted, 2 abandoned."
    )
    assert summary(0, {"submitted": 0}) == "0 shown; submitted or watched: none."


@pytest.mark.parametrize(("seconds", "text"), [(90.5, "in 1m"), (28.5, "in 28s"), (0, "now"), (-5, "now")])
def test_the_next_poll_is_counted_from_now(seconds: float, text: str) -> None:
    """People would have to subtract the time of day to learn how long they have to wait."""
    assert until(rfc3339(round((time.time() + seconds) * 1000))) == text
