"""``/v1/status``: how the relay is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from relay.core.chat.events import Opening, started_draft
from relay.core.errors import RelayError
from relay.core.tasks.events import bare_task, submitted_draft
from relay.edge.api.status import Process, StatusRoutes
from relay.journal.journal import Journal
from relay.journal.projections.tasks import Tasks
from relay.telemetry.signals.sinks import SinkSignals
from relay.telemetry.signals.upstream import UpstreamSignals
from relay.telemetry.telemetry import Telemetry
from tests.services.raw_http import ask, get
from tests.unit.drafts import dead_draft, draft
from tests.unit.edge.serving import opened, routed

NOT_DRAINING = {"state": "none", "since": None, "accepting": True, "accepting_chats": True}
AT = 1_700_000_000_000


async def status(
    journal: Journal, upstream: UpstreamSignals | None = None, *reasons: str, sinks: tuple[str, ...] = ()
) -> Any:
    """The answer of a relay with these sinks that is unready for these reasons."""
    telemetry = Telemetry()
    signals = {label: SinkSignals(telemetry, label, "kafka") for label in sinks}
    for label, signal in signals.items():
        if label == "down":
            signal.sink_lost(RelayError("unreachable", "No broker answers.", hint="Start one."), 1.0)
        elif label == "up":
            signal.sink_opened(0, 0)
    process = Process("1.2.3", "relay-0", AT)
    routes = StatusRoutes(
        process, journal, signals, upstream or UpstreamSignals(telemetry), lambda: reasons, lambda: NOT_DRAINING
    )
    async with routed(routes.routes()) as url:
        answer = await ask(url, get("/v1/status"))
    assert answer.status == 200
    return answer.json


async def test_it_says_which_relay_this_is_and_whether_it_accepts(tmp_path: Path) -> None:
    """Two relays could not be distinguished, nor could anyone see why one takes nothing."""
    async with opened(tmp_path) as journal:
        shown = await status(journal, None, "draining")
        assert (shown["version"], shown["identity"]) == ("1.2.3", "relay-0")
        assert shown["started_at"] == "2023-11-14T22:13:20.000Z"
        assert shown["now"] > shown["started_at"]
        assert shown["ready"] == {"ok": False, "reasons": ["draining"]}
        assert shown["drain"] == NOT_DRAINING
        assert (await status(journal))["ready"] == {"ok": True, "reasons": []}


async def test_it_counts_what_there_is(tmp_path: Path) -> None:
    """A backlog, an open chat or a task that nobody asks for would not be seen."""
    async with opened(tmp_path) as journal:
        submitted = [submitted_draft(bare_task(f"t{n}", "submitted", via="submit", received_at=AT)) for n in range(3)]
        for each in (*submitted, started_draft(Opening("s1", AT, 0.0)), dead_draft()):
            await journal.append(each)
        await journal.projection(Tasks).execute(Tasks.watch, "t4", AT)
        shown = await status(journal)
        assert shown["journal"].pop("disk_free_bytes") > 0
        assert shown["journal"] == {
            "id": journal.progress.journal_id,
            "events": 5,
            "bytes": journal.condition.size,
            "last_offset": 5,
            "dead_letters": 1,
        }
        assert shown["chats"] == {"open": 1}
        assert (shown["tasks"]["pending"], shown["tasks"]["overdue"]) == (4, 1)
        assert shown["tasks"]["counts"]["submitted"] == 4


async def test_it_says_of_each_sink_where_it_is_and_what_is_wrong(tmp_path: Path) -> None:
    """An operator would have to read metrics and the log to learn why nothing arrives."""
    async with opened(tmp_path, "up", "down", "new") as journal:
        for n in range(3):
            await journal.append(draft(f"t{n}"))
        journal.progress.advance("up", 2, published=1, dead=1)
        shown = await status(journal, sinks=("up", "down", "new"))
        up, down, new = shown["sinks"]
        lag = up.pop("lag_seconds")
        assert lag > 0
        assert up == {
            "label": "up",
            "type": "kafka",
            "up": True,
            "trouble": None,
            "offset": 2,
            "accepted": 3,
            "published": 1,
            "pending": 1,
            "dead": 1,
            "absorbed": 0,
        }
        since = down["trouble"].pop("since")
        assert since > "2026"
        assert down["trouble"] == {"code": "unreachable", "message": "No broker answers.", "hint": "Start one."}
        assert (down["up"], down["pending"]) == (False, 3)
        assert (new["up"], new["trouble"]) == (None, None)


async def test_the_upstream_is_unknown_until_somebody_tried(tmp_path: Path) -> None:
    """A console would show an upstream as well that has never been asked."""
    upstream = UpstreamSignals(Telemetry())
    async with opened(tmp_path) as journal:
        assert (await status(journal, upstream))["upstream"] == {"up": None}
        upstream.upstream_reached(True)
        assert (await status(journal, upstream))["upstream"] == {"up": True}
        upstream.polls_answered(False)
        assert (await status(journal, upstream))["upstream"] == {"up": False}
