"""What is paid for is recorded sooner or later, whatever state the journal is in."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from relay.core.event import Draft
from relay.core.tasks.events import bare_task, submitted_draft
from relay.edge.http.problems import ProblemError
from relay.edge.proxy.task_writer import TaskWriter
from relay.journal.errors import JournalBroken
from relay.journal.journal import Journal, Policy
from relay.telemetry.signals.submissions import SubmissionSignals
from relay.telemetry.telemetry import Telemetry
from tests.services.raw_http import ask, post
from tests.services.scripted_upstream import Call, ok
from tests.unit.edge.proxy.submitting import submitting
from tests.unit.edge.serving import opened

PATH = "/v3/async/txt2img"


@pytest.fixture
async def journal(tmp_path: Path) -> AsyncIterator[Journal]:
    """Full as soon as it holds one event that its sink has not got."""
    async with opened(tmp_path, "kafka", policy=Policy(max_backlog=1)) as journal:
        yield journal


class Said(SubmissionSignals):
    """Remembers what was said about which task."""

    def __init__(self) -> None:
        super().__init__(Telemetry())
        self.lost: list[str] = []

    def task_lost(self, task_id: str) -> None:
        super().task_lost(task_id)
        self.lost.append(task_id)


def draft(task_id: str) -> Draft:
    return submitted_draft(bare_task(task_id, "submitted", via="submit", received_at=1_700_000_000_000))


async def fill(journal: Journal) -> None:
    await journal.append(draft("filling"))


def drain(journal: Journal) -> None:
    journal.progress.advance("kafka", journal.events.last_offset, published=1, dead=0)


async def subjects(journal: Journal) -> list[str]:
    return [entry.event.subject for entry in await journal.events.read(0, 100)]


async def until(condition: Any) -> None:
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.005)


async def test_while_nothing_can_be_recorded_nothing_is_sent(journal: Journal) -> None:
    """Tasks would be paid for that nobody can watch."""
    writer = TaskWriter(journal, Said())
    writer.require_journal()
    await fill(journal)
    with pytest.raises(ProblemError) as problem:
        writer.require_journal()
    assert problem.value.code == "backlog_full"
    drain(journal)
    writer.require_journal()


async def test_what_the_journal_does_not_take_at_once_it_is_given_again(journal: Journal) -> None:
    """A task that was paid for while the journal was full would be forgotten."""
    writer = TaskWriter(journal, Said(), timeout=0.05)
    await fill(journal)
    assert not await writer.record([draft("t1"), draft("t2")])
    drain(journal)
    with pytest.raises(ProblemError) as problem:
        writer.require_journal()
    assert problem.value.code == "journal_unavailable"
    await until(lambda: not writer._late)
    drain(journal)
    writer.require_journal()
    assert await subjects(journal) == ["filling", "t1", "t2"]


async def test_a_short_trouble_is_not_reported(journal: Journal) -> None:
    """Clients would be alarmed by a second of a full disk."""
    writer = TaskWriter(journal, Said(), timeout=5.0)
    await fill(journal)
    recorded = asyncio.create_task(writer.record([draft("t1")]))
    await asyncio.sleep(0)
    drain(journal)
    assert await recorded


async def test_what_was_recorded_half_is_not_recorded_twice(journal: Journal) -> None:
    """A synchronous answer would be published as two submissions."""
    writer = TaskWriter(journal, Said(), timeout=0.05)
    await journal.append(draft("t1"))
    assert not await writer.record([draft("t1"), draft("t2")])
    drain(journal)
    await until(lambda: not writer._late)
    assert await subjects(journal) == ["t1", "t2"]


async def test_a_stop_gives_up_loudly(journal: Journal) -> None:
    """A task would be lost without a line in the log that names it."""
    said = Said()
    writer = TaskWriter(journal, said, timeout=0.01)
    await fill(journal)
    await writer.record([draft("t1")])
    await writer.finish(0.01)
    await until(lambda: said.lost)
    assert said.lost == ["t1"]


async def test_a_broken_journal_is_not_tried_again(journal: Journal) -> None:
    """The relay would wait for a journal that has to be opened again."""
    said = Said()
    writer = TaskWriter(journal, said)
    journal.broken.set_result(JournalBroken("journal_broken", "gone", hint="restart"))
    assert not await writer.record([draft("t1")])
    assert said.lost == ["t1"]
    with pytest.raises(ProblemError):
        writer.require_journal()


async def test_a_client_whose_task_is_not_on_disk_gets_its_id_and_the_reason(journal: Journal) -> None:
    """A 503 after the upstream took the task would make the client pay twice."""

    async def script(call: Call) -> None:
        await fill(journal)
        await call.send(ok(b'{"task_id":"t1"}', "X-Relay-Recorded: true"))

    async with submitting(journal, script, timeout=0.05) as relay:
        reply = await ask(relay.url, post(PATH, b"{}"))
        assert (reply.status, reply.body) == (200, b'{"task_id":"t1"}')
        assert reply.headers["x-relay-recorded"] == "false"
        refused = await ask(relay.url, post(PATH, b"{}"))
        assert (refused.status, refused.code, refused.headers["retry-after"]) == (503, "backlog_full", "5")
        assert len(relay.upstream.calls) == 1
        drain(journal)
        await relay.until(lambda: relay.count("unrecorded") and not relay.submissions._writer._late)
        assert await relay.types() == ["filling submitted", "t1 submitted"]


async def test_a_result_that_cannot_be_recorded_reaches_its_client_all_the_same(journal: Journal) -> None:
    """A full journal would keep clients from results that are at hand."""
    done = b'{"task":{"task_id":"t1","status":"TASK_STATUS_SUCCEED"}}'

    async def script(call: Call) -> None:
        await call.send(ok(done))

    await fill(journal)
    async with submitting(journal, script) as relay:
        reply = await ask(relay.url, b"GET /v3/async/task-result?task_id=t1 HTTP/1.1\r\nHost: a\r\n\r\n", "GET")
        assert (reply.status, reply.body) == (200, done)
