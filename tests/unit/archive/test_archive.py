"""The archive as one relay runs it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from relay.archive import archive as module
from relay.archive.archive import Archive
from relay.archive.errors import StoreError
from relay.core.tasks.reconcile import Unanswered
from relay.journal.journal import Journal
from relay.settings import Settings
from relay.sources.novita_task import NovitaTask
from relay.telemetry.signals.outputs import OutputSignals
from relay.telemetry.telemetry import Telemetry
from tests.unit.archive.archiving import DOWN, Memory, World, play


async def no_poll(task_id: str) -> Unanswered:
    return Unanswered("timeout")


def archive_of(journal: Journal, folder: Path, telemetry: Telemetry | None = None, **chosen: object) -> Archive:
    settings = Settings.model_validate({"archive": {"url": folder.as_uri(), **chosen}, "journal": {"retention": "90s"}})
    return Archive(settings, journal, no_poll, NovitaTask(), OutputSignals(telemetry or Telemetry()))


def test_what_ended_longer_ago_than_the_retention_is_forgotten(tmp_path: Path) -> None:
    """The table of outputs would grow for good."""

    async def story(w: World) -> None:
        await w.succeed("t1")
        await w.until_ended()
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(module, "wall_ms", w.wall)
            patch.setattr(module, "store_at", lambda url, options: w.store)
            archive = archive_of(w.journal, tmp_path)
            [_, care] = running = archive.start()
            await asyncio.sleep(80)
            assert (await w.row("t1")).state == "archived"
            await asyncio.sleep(60)
        assert w.outputs.find("t1", 0) is None
        archive.archiver.stop()
        care.cancel()
        await asyncio.wait(running)

    play(tmp_path, story)


def test_a_store_that_is_not_there_is_reported_at_the_start_and_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A wrong bucket would show with the first output; or a store that is away for a moment end relay."""

    async def story(w: World) -> None:
        await w.stop()
        w.store.error = DOWN
        monkeypatch.setattr(module, "store_at", lambda url, options: w.store)
        archive = archive_of(w.journal, tmp_path, w.telemetry)
        running = archive.start()
        await asyncio.sleep(1)
        assert w.store.checks == 1
        assert w.metric("relay_outputs_failures_total", reason="store_unavailable") == 1
        assert not any(task.done() for task in running)
        archive.archiver.stop()
        running[1].cancel()
        await asyncio.wait(running)
        w.start()

    play(tmp_path, story)


def test_the_gauges_say_what_waits_and_until_when(tmp_path: Path) -> None:
    """An alert before links end would not fire."""

    async def story(w: World) -> None:
        await w.kill()
        await w.succeed("t1", ttl=600)
        archive = archive_of(w.journal, tmp_path, w.telemetry)
        await archive.update_gauges()
        assert w.metric("relay_outputs_waiting") == 1
        assert 590 <= w.metric("relay_outputs_nearest_deadline_seconds") <= 600
        w.start()

    play(tmp_path, story)


def test_changed_secrets_reach_the_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A rotated key would need a restart."""
    store = Memory()
    made: Callable[..., Memory] = lambda url, options: store  # noqa: E731
    monkeypatch.setattr(module, "store_at", made)

    async def story(w: World) -> None:
        archive = archive_of(w.journal, tmp_path)
        chosen = {"url": tmp_path.as_uri(), "options": {"region": "r"}, "secrets": {"secret_access_key": "new-secret"}}
        archive.reconfigure(Settings.model_validate({"archive": chosen}))
        assert store.options == [{"region": "r", "secret_access_key": "new-secret"}]

    play(tmp_path, story)


def test_a_store_that_cannot_work_ends_the_start(tmp_path: Path) -> None:
    """A typing error would show when the first output is lost."""

    async def story(w: World) -> None:
        settings = Settings.model_validate({"archive": {"url": "s3://outputs", "options": {"acess_key_id": "x"}}})
        with pytest.raises(StoreError, match="acess_key_id"):
            Archive(settings, w.journal, no_poll, NovitaTask(), OutputSignals(Telemetry()))

    play(tmp_path, story)
