"""The lines of an export. The commands run on real files in tests/integration/test_cli.py."""

from __future__ import annotations

import json

from relay.cli.journal import exported
from relay.core.event import Entry
from tests.unit.drafts import draft


def test_a_line_of_an_export_is_a_cloudevent_with_its_place() -> None:
    """An export could not be read as CloudEvents, or not be put in order again."""
    event = draft().event
    line = exported(Entry(17, 0, event))
    assert line.endswith(b"\n")
    assert json.loads(line) == {**dict(event.attributes()), "offset": 17, "topic": "tasks", "data": {"n": 1}}


def test_a_replay_for_one_sink_says_so() -> None:
    """An event that was replayed would look like one that happened twice."""
    assert json.loads(exported(Entry(17, 0, draft().event, "kafka")))["sink"] == "kafka"


def test_an_event_with_line_breaks_in_an_older_journal_is_one_line_of_the_export() -> None:
    """The export would not be JSON lines."""
    line = exported(Entry(17, 0, draft(data=b'{\n"n":\r1}').event))
    assert line.splitlines(keepends=True) == [line]
    assert json.loads(line)["data"] == {"n": 1}
