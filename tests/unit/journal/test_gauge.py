from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from relay.journal.gauge import Gauge
from relay.journal.store import Store
from relay.journal.volume import log_of
from relay.journal.wal import FRAME_HEADER, HEADER
from tests.unit.drafts import draft

FRAME = FRAME_HEADER + 4096


@pytest.fixture
def gauge(path: Path, store: Store) -> Iterator[Gauge]:
    gauge = Gauge(log_of(path), 4096)
    yield gauge
    gauge.close()


def frames_in_use(path: Path) -> int:
    """Those with the salts of the header, counted one by one."""
    log, count = log_of(path).read_bytes(), 0
    while log[HEADER + count * FRAME + 8 : HEADER + count * FRAME + 16] == log[16:24]:
        count += 1
    return count


def append(store: Store, count: int) -> None:
    for _ in range(count):
        append.made += 1  # type: ignore[attr-defined]
        store.append([draft(str(append.made), data=b'"' + b"x" * 20_000 + b'"')], 1)  # type: ignore[attr-defined]


append.made = 0  # type: ignore[attr-defined]


def test_what_is_written_is_measured_by_its_bytes(path: Path, store: Store, gauge: Gauge) -> None:
    """Broken: half a megabyte would count as one page, and the log of large events grow to hundreds of them."""
    append(store, 20)
    used = frames_in_use(path)
    assert used > 100
    assert gauge.reaches(used * FRAME)
    assert not gauge.reaches((used + 1) * FRAME)


def test_a_log_that_starts_over_is_short_although_its_file_is_not(path: Path, store: Store, gauge: Gauge) -> None:
    """Broken: after the first long log every commit would be followed by a checkpoint."""
    append(store, 20)
    before = frames_in_use(path)
    store.checkpoint_wal()
    gauge.note(before)
    assert not gauge.grown(FRAME)
    append(store, 1)
    used = frames_in_use(path)
    assert used < before
    assert gauge.grown(used * FRAME)
    assert not gauge.grown((used + 1) * FRAME)
    assert not gauge.reaches(before * FRAME)


def test_what_was_noted_is_counted_from_there(path: Path, store: Store, gauge: Gauge) -> None:
    """Broken: with a reader in the way each commit would try, and sync, again."""
    append(store, 10)
    gauge.note(frames_in_use(path))
    before = frames_in_use(path)
    assert not gauge.grown(FRAME)
    append(store, 2)
    assert gauge.grown((frames_in_use(path) - before) * FRAME)
    assert not gauge.grown((frames_in_use(path) - before + 1) * FRAME)
