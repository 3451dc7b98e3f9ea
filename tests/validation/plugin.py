"""Every event of every test is valid, or the test fails: see ``tests.validation.witness``.

Events that name no schema of the contract are for tests of parts that do not care what an event says. The files of such
tests are listed in ``SYNTHETIC``; what names a schema has to follow it there, too.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import pytest

from relay.core.event import Event
from relay.journal.store import Store
from tests.validation.events import CONTRACT
from tests.validation.witness import FOLDER, faults_in, watch

SITE = Path(__file__).parent / "site"

Fault = dict[str, Any]

SYNTHETIC: Final = {
    "tests/unit/journal/": "the journal keeps events, whatever they say",
    "tests/unit/publishing/test_publisher.py": "the publisher moves events, whatever they say",
    "tests/unit/publishing/test_publisher_claims.py": "the publisher moves events, whatever they say",
    "tests/unit/reconciler/test_watch.py": "the watch looks at what expires, whatever else they say",
    "tests/faults/test_corrupt_journal.py": "damage is done to events, whatever they say",
    "tests/faults/test_journal_model.py": "so it is where the journal is compared with a model",
    "tests/fuzz/": "and so it is by the fuzzer",
    "tests/faults/test_power_loss.py": "and where its power is cut",
    "tests/integration/test_replicas.py": "replicas agree on facts, whatever is said of them",
    "tests/unit/edge/api/test_events.py": "the consumers' API shows events, whatever they say",
    "tests/unit/edge/api/test_event_reader.py": "so does what reads the journal for it",
    "tests/unit/edge/api/test_consumers.py": "and what sends them to a consumer",
    "tests/integration/test_slow_consumers.py": "and consumers who do not read them",
    "tests/unit/edge/api/test_dead_letters.py": "so it is with dead letters",
    "tests/unit/edge/api/test_status.py": "the status counts events, whatever they say",
}
"""Test files and folders, and why their events need not say anything."""


class Court:
    """What the witnesses saw: the one in this process, and those that left notes in the folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._seen_here = _notes(folder)
        self._faults_here: list[Fault] = []
        self._read: Counter[Path] = Counter()

    def move(self) -> Path:
        """Sits in a folder of this process alone, whose tests are not to fail for the relays of others; that folder."""
        self._folder = self._folder / str(os.getpid())
        self._folder.mkdir()
        self._seen_here = _notes(self._folder)
        return self._folder

    def look(self, events: Sequence[Event]) -> None:
        """The witness in this process."""
        os.write(self._seen_here, b"." * len(events))
        self._faults_here += faults_in(events)

    @property
    def seen(self) -> int:
        """How many events were looked at."""
        return sum(path.stat().st_size for path in self._folder.rglob("*.seen"))

    def news(self) -> list[Fault]:
        """The faults since it was asked last."""
        found, self._faults_here = self._faults_here, []
        for path in self._folder.glob("*.faults"):
            if path.stat().st_size > self._read[path]:
                lines = path.read_bytes()[self._read[path] :]
                whole = lines[: lines.rfind(b"\n") + 1]
                self._read[path] += len(whole)
                found += map(json.loads, whole.splitlines())
        return [fault for fault in found if not _allowed(fault)]


def _notes(folder: Path) -> int:
    return os.open(folder / "here.seen", os.O_WRONLY | os.O_APPEND | os.O_CREAT)


def _allowed(fault: Fault) -> bool:
    return fault["dataschema"] not in CONTRACT and fault["test"].startswith(tuple(SYNTHETIC))


COURT: Final = pytest.StashKey[Court]()


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Lets the witnesses in: here, and by the environment in each Python that is started from here."""
    folder = tempfile.TemporaryDirectory(prefix="events-")
    court = config.stash[COURT] = Court(Path(folder.name))
    config.add_cleanup(folder.cleanup)
    patch = pytest.MonkeyPatch()
    config.add_cleanup(patch.undo)
    patch.setattr(Store, "_insert", Store._insert)  # undone with the rest
    watch(Store, court.look)
    patch.setenv(FOLDER, folder.name)
    patch.setenv("PYTHONPATH", os.pathsep.join(filter(None, [str(SITE), os.environ.get("PYTHONPATH")])))


@pytest.hookimpl(optionalhook=True)
def pytest_forked(config: pytest.Config) -> None:
    """One of several processes: it judges what its own tests record."""
    os.environ[FOLDER] = str(config.stash[COURT].move())


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item: pytest.Item) -> Iterator[None]:
    """Fails a test whose relays recorded an event that the contract does not allow."""
    yield
    if news := item.config.stash[COURT].news():
        lines = "\n".join(f"  {each['type']} {each['id']}: {each['fault']} (by {each['test']})" for each in news[:10])
        pytest.fail(f"{len(news)} events are not as the contract has them:\n{lines}", pytrace=False)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """How many events were looked at."""
    terminalreporter.write_line(f"{config.stash[COURT].seen} events validated against their schemas")
