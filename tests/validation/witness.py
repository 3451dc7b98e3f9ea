"""Sees every event on its way into a journal, in this process and in those that tests start, and reports the faults.

It looks and never interferes.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from relay.core.event import Event
from tests.validation.events import fault_of

Look = Callable[[Sequence[Event]], None]

FOLDER = "EVENT_WITNESS"
"""The environment variable that names the folder of a started process's notes; without it nothing is watched."""


def faults_in(events: Sequence[Event]) -> list[dict[str, Any]]:
    """What is wrong with which of these events, and in which test."""
    test = os.environ.get("PYTEST_CURRENT_TEST", "")
    return [
        {"type": event.type, "id": event.id, "dataschema": event.dataschema, "fault": fault, "test": test}
        for event in events
        if (fault := fault_of(event))
    ]


class Notes:
    """A process's notes for the one that started it: a byte for each event in ``seen``, a line for each fault."""

    def __init__(self, folder: Path) -> None:
        how = os.O_WRONLY | os.O_APPEND | os.O_CREAT
        self._seen, self._faults = (os.open(folder / f"{os.getpid()}.{kind}", how) for kind in ("seen", "faults"))

    def look(self, events: Sequence[Event]) -> None:
        """Validates these events. Nothing is buffered: a kill takes no note away."""
        os.write(self._seen, b"." * len(events))
        for fault in faults_in(events):
            os.write(self._faults, json.dumps(fault).encode() + b"\n")


def watch(store: type[Any], look: Look) -> None:
    """Has ``look`` called before a journal's one statement that writes events."""
    insert = store._insert

    def witnessed(self: Any, entries: Any) -> None:
        look([entry.event for entry in entries])
        insert(self, entries)

    store._insert = witnessed
