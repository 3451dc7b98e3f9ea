from __future__ import annotations

import re
from pathlib import Path

from relay.edge.http.problems import KINDS

PAGE = Path(__file__).parents[3] / "docs" / "webhooks.md"
ELSEWHERE = {
    "model_not_allowed",
    "rate_limited",
    "too_many_chats",
    "too_many_consumers",
    "upstream_reset",
    "upstream_unreachable",
    "upstream_timeout",
    "submission_outcome_unknown",
    "not_replayable",
    "not_retriable",
    "internal",
}
"""Codes of other routes, and of a bug."""


def test_the_page_names_each_refusal_with_its_status() -> None:
    """Broken: a sender would meet an answer that is documented nowhere, or under another status."""
    rows = re.findall(r"^\| `([a-z_]+)` \| (\d{3}) \|", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    assert {code: int(status) for code, status in rows} == {
        code: kind.status for code, kind in KINDS.items() if code not in ELSEWHERE
    }
