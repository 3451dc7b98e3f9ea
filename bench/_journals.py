"""Journals that are filled beforehand through the relay's own store, and a relay over such a journal."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bench._under_test import TOKEN, Server
from relay.core.event import Draft
from relay.journal.store import Store
from tests.services.ports import free_port


def fill(store: Store, drafts: Sequence[Draft], now: int) -> None:
    """Commits a group and does what the relay does between groups. ``now``: epoch milliseconds."""
    store.append(drafts, now)
    while store.merge_is_due() and store.merge_dedup():
        pass
    if store.wal_is_long():
        store.checkpoint_wal()


@contextmanager
def relay_over(folder: Path, settings: dict[str, Any]) -> Iterator[tuple[Server, float]]:
    """A relay over the journal in a folder, and the seconds until it was ready; ended by ``kill -9``.

    ``settings`` are sections of its configuration beside those that every such relay has.
    """
    port, admin = free_port(), free_port()
    config = folder / "relay.yaml"
    sections: dict[str, Any] = {
        "server": {"port": port},
        "admin": {"port": admin},
        "journal": {"path": str(folder / "relay.db")},
        "webhooks": {"novita": {"tokens": [TOKEN]}},
        "log": {"level": "error"},
    }
    for name, section in settings.items():
        sections[name] = {**sections.get(name, {}), **section} if isinstance(section, dict) else section
    config.write_text(json.dumps(sections))
    started = time.monotonic()
    server = Server("relay", ["relay", str(config)], port, admin)
    try:
        server.wait()
        yield server, time.monotonic() - started
    finally:
        server.process.kill()
        server.process.wait()
