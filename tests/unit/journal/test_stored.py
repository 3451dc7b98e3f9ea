"""The journals that releases have left on people's disks: this relay goes on with each of them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import orjson
import pytest

from relay import __version__
from relay.core.event import Entry
from relay.journal.inspect import figures, open_existing, verify
from relay.journal.journal import Journal, Policy, open_journal
from relay.journal.projections.history import History
from relay.journal.publications import Publications
from relay.journal.store import Store
from relay.telemetry.signals.journal import JournalSignals
from relay.telemetry.telemetry import Telemetry
from tests.unit.journal import stored
from tests.unit.journal.stored import AT, FOLDER, NAMES, drafts_of, held_by, main, make, portrait, released, unpack

RELEASES = sorted(path.name for path in FOLDER.iterdir())

each_release = pytest.mark.parametrize("release", RELEASES)
each_state = pytest.mark.parametrize("state", ["killed", "closed"])


def as_stored(found: Any) -> Any:
    """The same after a way through JSON."""
    return orjson.loads(orjson.dumps(found, option=orjson.OPT_NON_STR_KEYS))


@pytest.fixture
def left(path: Path, release: str, state: str) -> Path:
    """Where the journal of that release lies."""
    unpack(release, state, path)
    return path


def test_each_release_has_left_its_journals() -> None:
    """A release would go out whose journal no later test opens. ``python -m tests.unit.journal.stored`` makes it."""
    assert [version for version in {*released(), __version__} if version not in RELEASES] == []


@each_release
@each_state
def test_it_opens_with_all_that_it_held(left: Path, release: str) -> None:
    """After an update, events, dead letters, tasks, open chats or places would be gone or be others."""
    held = held_by(release)
    del held["deliveries"]
    for _ in range(2):  # as it was left, and as this relay has left it
        with closing(Store(left)) as store:
            assert as_stored(portrait(store)) == held
    with closing(open_existing(left)) as stopped:
        assert verify(stopped)[1] == []
        assert figures(stopped).events == len(held["events"])


@each_release
@each_state
def test_what_it_has_seen_is_recognized(left: Path, release: str) -> None:
    """After an update every delivery that is repeated would be published again."""
    with closing(Store(left)) as store:
        for delivery in held_by(release)["deliveries"]:
            [receipt] = store.append(drafts_of(delivery["body"]), AT + 100_000).receipts
            assert receipt == ("duplicate", delivery["event_id"], delivery["offset"])
        [receipt] = store.append(drafts_of(delivery["body"].replace("t-elsewhere", "t-new")), AT + 100_000).receipts
        assert receipt == ("accepted", "t-new:succeeded", held_by(release)["last_offset"] + 1)


@each_release
@each_state
async def test_the_sinks_go_on_where_they_were(left: Path, release: str) -> None:
    """After an update a sink would get events again, or would not get the ones that wait for it."""
    held = held_by(release)
    journal = await open_journal(left, list(NAMES.sinks), Policy(), JournalSignals(Telemetry()), names=NAMES)
    try:
        for sink, saved in held["checkpoints"].items():
            assert journal.progress.position(sink) == saved["offset"]
            waiting = [each for each in held["events"] if each["offset"] > saved["offset"]]
            assert journal.progress.pending(sink) == sum(each.get("sink", sink) == sink for each in waiting)
        assert await _places(journal) == _places_of(held)
    finally:
        await journal.close()


async def _places(journal: Journal) -> set[tuple[int, str, str]]:
    entries: list[Entry] = await journal.events.read(0, 1000)
    places = Publications(journal.events, journal.progress, journal.projection(History))
    return {(each.offset, each.sink, each.state) for each in await places.of(entries)}


def _places_of(held: dict[str, Any]) -> set[tuple[int, str, str]]:
    return set(_states(held))


def _states(held: dict[str, Any]) -> Iterator[tuple[int, str, str]]:
    """By what is stored: settled up to the checkpoint, and published there where no exception is noted."""
    for sink, saved in held["checkpoints"].items():
        exceptions = {offset: settled_as for offset, _, settled_as in held["places"][sink] if settled_as}
        for event in held["events"]:
            offset = event["offset"]
            if event.get("sink", sink) == sink:
                settled = exceptions.get(offset, "published")
                yield offset, sink, settled if offset <= saved["offset"] else "pending"


def test_the_journals_hold_what_a_journal_can_hold(tmp_path: Path) -> None:
    """The tests above would let everything pass, since nothing of some kind is there that could be lost."""
    make(tmp_path)
    held = orjson.loads((tmp_path / "holds.json").read_bytes())
    assert [name for name, part in held.items() if not part] == []
    assert {event["type"] for event in held["events"]} == {
        *(
            f"relay.task.{step}"
            for step in ("submitted", "progressed", "succeeded", "failed", "abandoned", "conflicted")
        ),
        *(f"relay.chat.{step}" for step in ("started", "chunk", "failed")),
        "relay.delivery.dead",
    }
    assert {letter["reason"] for letter in held["dead_letters"]} == {"unknown_status", "too_large"}
    assert (tmp_path / "killed.db-wal.gz").stat().st_size > 10_000, "most of it is still in the log"


def test_the_journal_of_a_release_stays_as_it_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """What people have on their disks would be replaced by what the present code writes."""
    monkeypatch.setattr(stored, "FOLDER", tmp_path)
    assert main("0.9.0", known=["0.9.0"]) == 1
    assert list(tmp_path.iterdir()) == []
    assert main("0.9.0", known=["0.8.0"]) == 0
    assert sorted(path.name for path in (tmp_path / "0.9.0").iterdir())[0] == "closed.db.gz"
