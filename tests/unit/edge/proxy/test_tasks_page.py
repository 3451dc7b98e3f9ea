"""``docs/tasks.md`` says what the submission proxy does, and how every task ends."""

from __future__ import annotations

import re
from pathlib import Path
from typing import get_args

from relay.core.tasks.reconcile import GROWTH, LONGEST, MAX_RETRY_AFTER, VIDEO_FACTOR, Reason
from relay.edge.http.problems import KINDS
from relay.edge.proxy import submissions
from relay.edge.proxy.task_writer import RECORD_TIMEOUT
from relay.journal.projections.tasks import STATES
from relay.reconciler.poll import ANSWER_WITHIN
from relay.settings import Settings
from relay.telemetry.signals.submissions import RESULTS

TEXT = (Path(__file__).parents[4] / "docs" / "tasks.md").read_text(encoding="utf-8")
UNWRAPPED = re.sub(r"\s+", " ", TEXT)
ELSEWHERE = {
    "bad_signature",
    "bad_timestamp",
    "forbidden_address",
    "head_too_large",
    "header_timeout",
    "internal",
    "method_not_allowed",
    "missing_signature",
    "not_found",
    "not_json",
    "not_replayable",
    "not_retriable",
    "stale_timestamp",
    "too_many_chats",
    "too_many_consumers",
    "wrong_task",
    "unsupported_encoding",
    "upstream_reset",
    "upstream_timeout",
}
"""Codes that no submission meets; the last two belong to requests for a result."""


def test_the_page_names_each_refusal_with_its_status() -> None:
    """A client would meet an answer that is documented nowhere, or not know whether it may submit again."""
    rows = re.findall(r"^\| `([a-z_]+)` \| (\d{3}) \| .+ \| .+ \|$", TEXT, re.MULTILINE)
    assert {code: int(status) for code, status in rows} == {
        code: kind.status for code, kind in KINDS.items() if code not in ELSEWHERE
    }
    for code in ("upstream_reset", "upstream_timeout"):
        assert re.search(rf"`{code}`[^|]*\({KINDS[code].status}\)", TEXT)


def test_the_page_names_each_figure() -> None:
    """An operator would see a figure that is explained nowhere."""
    figures = TEXT.partition("`relay_submissions_total{result}`:")[2]
    assert set(re.findall(r"^\| `([a-z]+)` \| [^|]+ \|$", figures, re.MULTILINE)) == set(RESULTS)


def test_the_page_names_each_reason_to_abandon_a_task_and_each_state() -> None:
    """A consumer would read a reason that is explained nowhere."""
    reasons = TEXT.partition("### How a task is abandoned")[2].partition("## Metrics")[0]
    assert set(re.findall(r"^\| `([a-z_]+)` \| [^|]+ \|$", reasons, re.MULTILINE)) == set(get_args(Reason))
    registry = TEXT.partition("## The registry")[2].partition("## Polling")[0]
    assert set(STATES) <= set(re.findall(r"`([a-z]+)`", registry))


def test_the_page_says_how_tasks_are_polled() -> None:
    """Somebody would count on a poll, or on a pause, that comes at another time."""
    assert VIDEO_FACTOR == 4
    assert "videos four times as late" in UNWRAPPED
    assert GROWTH == 1.5
    assert "grows by half each time" in UNWRAPPED
    assert f"up to {LONGEST / 60:g} minutes" in UNWRAPPED
    assert MAX_RETRY_AFTER == 3600
    assert "for that long (an hour at most)" in TEXT
    assert f"no answer within {ANSWER_WITHIN:g} s" in TEXT


def test_the_page_gives_the_limits_and_headers_that_there_are() -> None:
    """Somebody would wait for a header, or rely on a limit, that is another one."""
    proxy = Settings().proxy
    assert f"`proxy.max_body` ({proxy.max_body >> 20} MiB)" in TEXT
    assert f"`proxy.max_inflight_bytes` ({proxy.max_inflight_bytes >> 20} MiB)" in TEXT
    assert f"{RECORD_TIMEOUT:g} seconds" in TEXT
    assert f"`{submissions.RECORDED.decode().title()}: false`" in TEXT
