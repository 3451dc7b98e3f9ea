"""How a chat ended: the contract's table, row by row."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import pytest

from relay.core.chat.events import Reason
from relay.core.chat.outcome import Ending, Seen, verdict

ENDINGS: tuple[Ending, ...] = get_args(Ending)
PAGE = Path(__file__).parents[4] / "docs" / "chat-events.md"
OPEN = Seen(200, empty=False)
FINISHED = Seen(200, finished=True, empty=False)
DONE = Seen(200, done=True, finished=True, empty=False)
ERROR = Seen(200, error=True, empty=False)
LATER = [ending for ending in ENDINGS if ending != "relay_restarted"]


@pytest.mark.parametrize(
    ("seen", "ending", "outcome", "reason"),
    [
        pytest.param(DONE, "end", "completed", None, id="done"),
        pytest.param(FINISHED, "end", "completed", None, id="clean end after a finish reason"),
        pytest.param(Seen(200, done=True), "end", "completed", "empty", id="done and nothing else"),
        pytest.param(OPEN, "end", "failed", "truncated", id="clean end in the middle"),
        pytest.param(Seen(200), "end", "failed", "truncated", id="clean end before anything"),
        pytest.param(Seen(200, unreadable=True), "end", "failed", "not_json", id="a body that is not JSON"),
        pytest.param(FINISHED, "client_gone", "cancelled", "client_gone", id="gone before the end was sent"),
        pytest.param(OPEN, "client_gone", "cancelled", "client_gone", id="gone in the middle"),
        pytest.param(Seen(), "client_gone", "cancelled", "client_gone", id="gone before the first byte"),
        pytest.param(FINISHED, "upstream_reset", "failed", "upstream_reset", id="reset after a finish reason"),
        pytest.param(Seen(), "upstream_unreachable", "failed", "upstream_unreachable", id="unreachable"),
        pytest.param(Seen(), "upstream_timeout", "failed", "upstream_timeout", id="no answer in time"),
        pytest.param(OPEN, "slow_client", "failed", "slow_client", id="the client does not read"),
        pytest.param(OPEN, "relay_shutdown", "failed", "relay_shutdown", id="the relay stops"),
    ],
)
def test_a_row(seen: Seen, ending: Ending, outcome: str, reason: str | None) -> None:
    """Consumers would get another ending than the contract promises."""
    assert verdict(seen, ending) == (outcome, reason)


@pytest.mark.parametrize("ending", LATER)
def test_whatever_happens_after_done_the_stream_has_completed(ending: Ending) -> None:
    """Clients that close at ``[DONE]``, as the SDKs do, would be counted as lost or their streams as broken."""
    assert verdict(DONE, ending) == ("completed", None)


@pytest.mark.parametrize("ending", LATER)
def test_whatever_happens_after_an_error_the_stream_has_failed(ending: Ending) -> None:
    """A client that hangs up because of the error would be blamed for the end of the stream."""
    assert verdict(ERROR, ending) == ("failed", "upstream_error")
    assert verdict(ERROR._replace(done=True), ending) == ("failed", "upstream_error")


@pytest.mark.parametrize("ending", LATER)
@pytest.mark.parametrize("status", [302, 400, 401, 429, 500, 503])
def test_an_error_status_is_a_failure_however_its_body_ended(ending: Ending, status: int) -> None:
    """A refused request would count as cancelled, or as completed since its body was JSON."""
    assert verdict(Seen(status, done=True, error=True), ending) == ("failed", "error_status")


@pytest.mark.parametrize("seen", [Seen(), OPEN, FINISHED, DONE, ERROR])
def test_after_a_restart_every_open_stream_has_failed(seen: Seen) -> None:
    """A stream cut by the death of the relay would be reported as complete."""
    assert verdict(seen, "relay_restarted") == ("failed", "relay_restarted")


def test_the_page_names_every_reason_with_its_outcome() -> None:
    """Consumers would meet a reason that no document explains."""
    rows = [line.split("|")[1:3] for line in PAGE.read_text("utf-8").splitlines() if line.startswith("| ")]
    documented = {(outcome.strip(), reason.strip().strip("`")) for outcome, reason in rows[2:]}
    seen = [OPEN, FINISHED, DONE, ERROR, Seen(), Seen(500), Seen(200, done=True), Seen(200, unreadable=True)]
    ends = {verdict(each, ending) for each in seen for ending in ENDINGS}
    assert documented == {(end.outcome, end.reason or "null") for end in ends}
    assert {reason for _, reason in documented} == {*get_args(Reason), "null"}
