"""The mistakes that reviews found unnoticed are noticed now."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.mutants.known import KNOWN, Known
from tests.mutants.trial import Copy

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Copy:
    """The tree, to be broken."""
    return Copy(ROOT, tmp_path_factory.mktemp("tree"))


@pytest.mark.parametrize("known", KNOWN, ids=lambda known: known.what)
def test_a_known_mistake_is_noticed(copy: Copy, known: Known) -> None:
    """A mistake that went unnoticed once would do so again: the test that was written for it does not bite."""
    assert copy.try_out(*known.planted(ROOT), [known.node(ROOT)], each=5) == "killed"
