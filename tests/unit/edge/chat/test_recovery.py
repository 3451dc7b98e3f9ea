"""What was open when the relay was killed."""

from __future__ import annotations

import asyncio
from pathlib import Path

import orjson
import pytest

from relay.apis import apis
from relay.core.chat.events import Opening, chunk_draft, chunk_key, started_draft
from relay.edge.chat import recovery
from relay.edge.chat.recovery import end_open_chats
from relay.journal.errors import JournalUnavailable
from relay.journal.journal import Journal
from relay.journal.projections.chats import Chats
from relay.telemetry.signals.chats import ChatSignals
from relay.telemetry.telemetry import Telemetry
from tests.unit.edge.serving import opened

CHUNK = b'{"id":"c","model":"a/m","choices":[{"index":0,"delta":{"content":"%s"},"finish_reason":null}]}'


async def left_open(journal: Journal, *chat_ids: str) -> None:
    """Chats that began, said something, and never ended."""
    for chat_id in chat_ids:
        await journal.append(started_draft(Opening(chat_id, 1, 0.0, model="a/m", client="web")))
        for n, text in enumerate((b"Hel", b"lo")):
            piece = CHUNK.replace(b"%s", text)
            await journal.append(chunk_draft(chat_id, chunk_key(chat_id), n, [piece], time="2026-01-01T00:00:00.000Z"))


async def test_each_open_stream_gets_one_ending_with_what_was_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A consumer would wait for the end of a conversation forever, or get it twice."""
    monkeypatch.setattr(recovery, "_AT_ONCE", 2)
    telemetry = Telemetry()
    async with opened(tmp_path) as journal:
        await left_open(journal, "a", "b", "c")
    for _ in range(2):
        async with opened(tmp_path) as journal:
            await end_open_chats(journal, apis(), ChatSignals(telemetry))
            endings = [entry.event for entry in await journal.events.read(9, 100)]
        telemetry = Telemetry()
    assert [(event.type, event.subject) for event in endings] == [("relay.chat.failed", name) for name in "abc"]
    data = orjson.loads(endings[0].data)
    assert (data["reason"], data["client"], data["gaps"]) == ("relay_restarted", "web", 0)
    assert data["choices"][0]["content"] == "Hello"


async def test_the_tokens_of_what_was_said_before_a_kill_are_counted_once(tmp_path: Path) -> None:
    """Broken: a bill or a limit by tokens misses what was used before a kill, or has it again after the next one."""
    usage = b'{"id":"c","model":"a/m","choices":[],"usage":{"prompt_tokens":5,"completion_tokens":7}}'
    who = {"api": "chat_completions", "client": "web", "model": "a/m"}
    counted = []
    async with opened(tmp_path) as journal:
        await left_open(journal, "a", "b")
        used = chunk_draft("a", chunk_key("a"), 2, [usage], time="2026-01-01T00:00:00.000Z")
        await journal.append(used)
    for _ in range(2):
        telemetry = Telemetry()
        async with opened(tmp_path) as journal:
            await end_open_chats(journal, apis(), ChatSignals(telemetry))
        value = telemetry.metrics.registry.get_sample_value
        counted.append([value("relay_chat_tokens_total", who | {"kind": kind}) for kind in ("input", "output")])
    assert counted == [[5, 7], [None, None]]


async def test_a_stream_whose_beginning_was_pruned_ends_too(tmp_path: Path) -> None:
    """It would be closed at each start, and never."""
    async with opened(tmp_path) as journal:
        await left_open(journal, "a")
        await journal.projection(Chats).execute(
            lambda table: table._db.execute('DELETE FROM events WHERE "offset" = 1')
        )
        telemetry = Telemetry()
        await end_open_chats(journal, apis(), ChatSignals(telemetry))
        ending = (await journal.events.read(3, 10))[0].event
    data = orjson.loads(ending.data)
    assert (ending.type, data["chat_id"], data["client"]) == ("relay.chat.failed", "a", None)
    assert data["choices"][0]["content"] == "Hello"
    labels = {"api": "", "outcome": "failed", "reason": "relay_restarted"}
    assert telemetry.metrics.registry.get_sample_value("relay_chats_total", labels) == 1


async def test_a_start_waits_once_for_a_disk_that_takes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Broken: a start with a thousand open chats on a full disk takes minutes, in which no webhook is answered."""
    monkeypatch.setattr(recovery, "_AT_ONCE", 1)
    monkeypatch.setattr(recovery, "_TIMEOUT", 0.2)
    monkeypatch.setattr(recovery, "_AGAIN", 0.01)
    telemetry = Telemetry()
    names = [f"stream-{n}" for n in range(100)]
    async with opened(tmp_path) as journal:
        await left_open(journal, *names)
    async with opened(tmp_path) as journal:
        journal.condition.full = JournalUnavailable("disk_full", "Full.", hint="")
        async with asyncio.timeout(10):  # to wait for each would take 20 s
            going_on = await end_open_chats(journal, apis(), ChatSignals(telemetry))
        assert going_on is not None
        journal.condition.full = None
        async with asyncio.timeout(20):
            await going_on
        endings = [entry.event.subject for entry in await journal.events.read(3 * len(names), len(names))]
    assert endings == names
