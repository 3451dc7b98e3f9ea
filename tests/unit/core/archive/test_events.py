"""The events about outputs."""

from __future__ import annotations

from dataclasses import replace

import orjson
import pytest

from relay.core.archive.events import Copy, archived_draft, lost_draft, without_query
from relay.core.archive.job import Job

LINK = "https://user:pass@out.example/1.png?X-Amz-Signature=secret#fragment"
JOB = Job("t-1", 2, "video", "mp4", LINK, "2026-12-01", 0, 0)
COPY = Copy("k", "s3://outputs/k", 5, "0" * 64, "video/mp4")


def test_an_archived_output_says_where_it_is_and_nothing_that_grants_access() -> None:
    """A consumer would not find the copy, or get a signature that is not for it."""
    event = archived_draft(JOB, COPY, now=1000).event
    assert (event.type, event.topic, event.subject) == ("relay.output.archived", "outputs", "t-1")
    assert (event.id, event.time) == ("t-1:output:2:archived", "1970-01-01T00:00:01.000Z")
    assert orjson.loads(event.data) == {
        "task_id": "t-1",
        "index": 2,
        "kind": "video",
        "store_key": "k",
        "url": "s3://outputs/k",
        "size": 5,
        "sha256": "0" * 64,
        "content_type": "video/mp4",
        "source_url": "https://out.example/1.png",
        "reason": None,
        "retried": False,
    }
    assert b"secret" not in event.data


def test_a_lost_output_says_why_and_has_no_copy() -> None:
    """Nobody could tell what to do about it."""
    data = orjson.loads(lost_draft(JOB, "link_expired", now=1000).event.data)
    assert data["reason"] == "link_expired"
    assert [data[key] for key in ("store_key", "url", "size", "sha256", "content_type")] == [None] * 5


def test_an_output_ends_once_but_for_what_was_tried_again() -> None:
    """A kill or another replica would give an output two ends; or a retry that worked would never be published."""
    archived, lost = archived_draft(JOB, COPY, now=1), lost_draft(JOB, "link_expired", now=2)
    assert archived.key == lost.key
    assert (archived.fingerprint, archived.conflict_type) == (b"", None)
    again = archived_draft(replace(JOB, retried=True), COPY, now=3)
    assert again.key != lost.key
    assert orjson.loads(again.event.data)["retried"] is True
    assert archived_draft(replace(JOB, index=1), COPY, now=1).key != archived.key


@pytest.mark.parametrize(
    ("link", "shown"),
    [
        (None, None),
        ("https://a.example/x?y=z", "https://a.example/x"),
        ("https://a.example", "https://a.example"),
        ("https://a.example/x@y#z", "https://a.example/x@y"),
        ("no link?secret", "no link"),
    ],
)
def test_a_link_is_shown_without_what_grants_access(link: str | None, shown: str | None) -> None:
    """A signature would be in events and on screens."""
    assert without_query(link) == shown
