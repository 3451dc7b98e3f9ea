"""The mistakes that reviews found unnoticed are noticed now."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults.harness.matrix import Row
from tests.mutants.known import KNOWN, Known, unnoticed
from tests.mutants.trial import Copy

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("known", KNOWN, ids=lambda known: known.what)
def test_a_known_mistake_can_still_be_planted(known: Known) -> None:
    """If this fails, code was changed or a test renamed, and it would show only when the fault matrix is run."""
    path, mistaken = known.planted(ROOT)
    assert mistaken != (ROOT / path).read_text()
    assert known.node(ROOT)


@pytest.mark.matrix  # 50 s of CPU time: each of them starts a Python of its own
@pytest.mark.row("-", "planted: mistakes that reviews found")
def test_known_mistakes_are_noticed(row: Row, tmp_path: Path) -> None:
    """A mistake that went unnoticed once would do so again: the test that was written for it does not catch it."""
    row.planted = True
    row.injected("mistake in one line", len(KNOWN))
    assert unnoticed(ROOT, Copy(ROOT, tmp_path / "tree")) == []
