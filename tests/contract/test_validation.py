"""The validation that every event of every test goes through: what it finds, and that nothing goes past it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import aiohttp
import orjson
import pytest

from relay.contract.examples import SUCCEEDED, events
from relay.core.event import Event
from relay.journal.store import Store
from tests.services.relay import RelayProcess
from tests.unit.drafts import draft
from tests.validation.events import CONTRACT, fault_of
from tests.validation.plugin import COURT, SYNTHETIC, Court
from tests.validation.witness import FOLDER

ROOT = Path(__file__).resolve().parents[2]
EXAMPLE = events()["relay.task.succeeded"]


def saying(**data: Any) -> Event:
    """The example with something else in its data."""
    return EXAMPLE._replace(data=orjson.dumps(orjson.loads(EXAMPLE.data) | data))


def test_the_examples_are_valid_and_of_every_type() -> None:
    """Valid events would fail tests, or a type would never be looked at."""
    assert {type: fault_of(event) for type, event in events().items()} == dict.fromkeys(events())
    assert sorted(type for _, _, types in CONTRACT.values() for type in types) == sorted(events())


@pytest.mark.parametrize(
    ("event", "fault"),
    [
        (saying(seed=41), "data/seed: "),
        (saying(status="done"), "data/status: "),
        (EXAMPLE._replace(data=b'{"task_id":"t1"}'), "data: "),
        (EXAMPLE._replace(data=b"not JSON"), "no JSON"),
        (EXAMPLE._replace(time="2026-01-01T00:00:00+01:00"), "time: "),
        (EXAMPLE._replace(time="yesterday"), "time: "),
        (EXAMPLE._replace(id=""), "id: "),
        (EXAMPLE._replace(topic="chat"), "topic: "),
        (EXAMPLE._replace(type="relay.chat.completed"), "type: "),
        (EXAMPLE._replace(traceparent="00-none"), "traceparent: "),
        (EXAMPLE._replace(dataschema=None), "dataschema is None"),
        (EXAMPLE._replace(dataschema="urn:relay:schema:task:2"), "which the contract does not have"),
    ],
)
def test_a_fault_is_named(event: Event, fault: str) -> None:
    """An event that breaks a consumer would pass every test."""
    assert fault in str(fault_of(event))


async def test_events_of_a_relay_in_its_own_process_are_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All tests that start a relay as users do would validate nothing."""
    monkeypatch.setenv(FOLDER, str(tmp_path))
    relay = RelayProcess(tmp_path / "relay")
    await relay.start("tests.validation.plant")
    async with aiohttp.ClientSession() as session:
        async with session.post(relay.webhook_url, json=SUCCEEDED) as response:
            assert response.status == 200
        relay.kill()
    court = Court(tmp_path)
    (fault,) = court.news()
    assert (fault["type"], court.seen) == ("relay.task.succeeded", 1)
    assert fault["fault"].startswith("data/seed: ")
    assert fault["test"].startswith("tests/contract/test_validation.py::")
    assert court.news() == []


def test_events_appended_in_this_process_are_seen(tmp_path: Path, pytestconfig: pytest.Config) -> None:
    """All tests of parts would validate nothing; outside of those listed, events without a schema are a fault."""
    court = pytestconfig.stash[COURT]
    before = court.seen
    store = Store(tmp_path / "relay.db")
    store.append([draft()], 1)
    store.close()
    (fault,) = court.news()
    assert (fault["type"], court.seen - before) == ("relay.task.succeeded", 1)


def test_what_may_be_synthetic_is_there() -> None:
    """The list would excuse files that nobody looks for any more."""
    assert [path for path in SYNTHETIC if not (ROOT / path).exists()] == []
