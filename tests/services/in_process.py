"""A whole relay in this process, without sinks, on free loopback ports."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from relay.app.relay import Relay
from relay.settings import Settings
from relay.telemetry.telemetry import Telemetry
from tests.services.relay import TOKEN

PATH = f"/webhooks/novita/{TOKEN}"


def settings(directory: Path, **sections: Any) -> Settings:
    """A configuration with one webhook token; ``sections`` add to it or change it."""
    config: dict[str, Any] = {
        "server": {"port": 0},
        "admin": {"port": 0},
        "journal": {"path": str(directory / "relay.db")},
        "webhooks": {"novita": {"tokens": [TOKEN]}},
        "reconcile": {"enabled": False},
        "identity": "test-relay",
    }
    for name, section in sections.items():
        config[name] = {**config[name], **section} if isinstance(config.get(name), dict) else section
    return Settings.model_validate(config)


@asynccontextmanager
async def running(directory: Path, telemetry: Telemetry | None = None, **sections: Any) -> AsyncIterator[Relay]:
    """A relay that is started here and stopped at the end."""
    relay = Relay(settings(directory, **sections), telemetry)
    await relay.start()
    try:
        yield relay
    finally:
        await relay.stop()


def task(task_id: str, status: str = "TASK_STATUS_SUCCEED", **more: Any) -> bytes:
    """A webhook as Novita sends it."""
    result = {"task": {"task_id": task_id, "status": status}, **more}
    return json.dumps({"event_type": "ASYNC_TASK_RESULT", "payload": result}).encode()
