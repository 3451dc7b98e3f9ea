"""Reading a live stream, and lists. The whole client runs in tests/integration/test_cli.py."""

from __future__ import annotations

from typing import Any

import pytest

from relay.cli.client import Client, Frame, frames, gathered


def test_heartbeats_are_not_taken_for_events() -> None:
    """An event would be lost or read twice, or a dead stream taken for a quiet one."""
    lines = [b": hello\n", b"\n", b"id: 7\n", b"event: x\n", b'data: {"a": ": "}\n', b"\n"]
    assert list(frames(lines)) == [None, Frame(7, "x", b'{"a": ": "}')]


def test_an_event_that_was_cut_off_is_not_given_out() -> None:
    """Half an event would be written, and the whole one skipped after the reconnect."""
    assert list(frames([b"id: 7\n", b'data: {"a"'])) == []


@pytest.mark.parametrize("url", ["", "127.0.0.1:8080", "ftp://x", "http://", "http://x?y=1"])
def test_what_is_no_address_is_refused(url: str) -> None:
    """A wrong --url would end in an error about something else."""
    with pytest.raises(ValueError, match="must look like"):
        Client(url)


def test_a_list_is_gathered_over_pages_of_which_some_hold_nothing() -> None:
    """A rare kind of task would not be found in a large registry."""
    pages: list[dict[str, Any]] = [{"tasks": [{"n": 1}, {"n": 2}]}, {"tasks": []}, {"tasks": [{"n": 3}], "last": True}]
    found, last = gathered(iter(pages), "tasks", 100)
    assert [task["n"] for task in found] == [1, 2, 3]
    assert last["last"]
    assert gathered([], "tasks", 1) == ([], {})


def test_no_more_is_asked_for_than_is_shown() -> None:
    """`relay tasks --limit 1` would read a million tasks."""
    pages = iter([{"tasks": [{"n": 1}, {"n": 2}]}, {"tasks": [{"n": 3}]}])
    assert gathered(pages, "tasks", 2)[0] == [{"n": 1}, {"n": 2}]
    assert next(pages) == {"tasks": [{"n": 3}]}, "the second page was not taken"
