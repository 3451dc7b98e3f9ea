"""Names that were given up before the first release: none of them may come back."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from relay.settings.errors import variable_of
from relay.settings.renamed import RENAMED
from tests.unit.test_structure import ROOT, project_files

GIVEN_UP = {
    # A conversation turn is a chat, streamed or not.
    "event field": r"stream_ids?|StreamIds?|streamIds?|StreamID",
    "view": r"view-streams",
    "header": r"[Xx]-[Rr]elay-[Ss]tream-[Ii]d",
    "span attribute": r"relay\.stream\.id",
    "error code": r"too_many_streams",
    "metric of chats": r"relay_streams?_\w*",
    "alert": r"RelayStreamsFailing",
    "text": r"[Cc]hat streams\b|[Oo]pen streams\b|stream'?s? id\b",
    # Metrics that did not say what they count.
    "metric": r"relay_reconciled\w*|relay_outputs_expiring_unseen",
    # Settings whose last part is theirs alone. The others are looked for in full, below.
    "setting": r"max_streams|max_inflight|drain_time|(?<!max_)drain_size",
}
"""What had the name, and the name as a regular expression of whole words."""

SETTINGS = "|".join(
    re.escape(written)
    for old in RENAMED
    if "*" not in old  # of those with names inside the last part is above, or is a word of its own
    for written in (old, variable_of(old))
)
ROUTES = r"/v1/streams|#/streams"
PATTERN = re.compile(rf"(?:(?<!\w)(?:{'|'.join([*GIVEN_UP.values(), SETTINGS])})|{ROUTES})(?!\w)")

ALLOWED = {
    "relay/journal/migrations.sql": "renames the column that older journals have",
    "relay/settings/renamed.py": "gives the new name of each old setting",
    "tests/unit/journal/layout-0.sql": "is such a journal",
    "tests/unit/test_names.py": "this list",
}
"""Files in which an old name may stand, and why."""

LARGE = 2 << 20


def texts() -> Iterator[tuple[str, str]]:
    """Every file of the project that is text, by its path."""
    for path in project_files():
        name = path.as_posix()
        if name in ALLOWED or (ROOT / path).stat().st_size > LARGE:
            continue
        try:
            yield name, (ROOT / path).read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue


def test_a_name_that_was_given_up_does_not_come_back() -> None:
    """One thing would have two names again, and a dashboard, a consumer or a configuration the wrong one."""
    found = [
        f"{name}:{text.count(chr(10), 0, match.start()) + 1}: {match[0]}"
        for name, text in texts()
        for match in PATTERN.finditer(text)
    ]
    assert not found, "\n".join(found)


def test_the_names_are_found_where_they_are() -> None:
    """Broken: the pattern matches nothing, and any name could come back."""
    for text in (
        'data["stream_id"]',
        "http://localhost:8080/v1/streams?after=1",
        "X-Relay-Stream-Id: s1",
        "rate(relay_stream_first_token_seconds_bucket[5m])",
        "server.max_body",
        "RELAY_PROXY__COALESCE=1s",
        "  drain_size: 16MiB",
    ):
        assert PATTERN.search(text), text
    for text in ("max_drain_size", "upstream_id", "proxy.max_body", "server.max_connections", "max_inflight_bytes"):
        assert not PATTERN.search(text), text


def test_what_is_allowed_is_there_and_has_an_old_name() -> None:
    """The list of exceptions would grow old, and hide a name in a file that has none any more."""
    for name in ALLOWED:
        assert PATTERN.search(Path(ROOT / name).read_text(encoding="utf-8")), name
