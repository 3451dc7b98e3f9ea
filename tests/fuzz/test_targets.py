"""The targets of the fuzzer on their seeds, and on every input that once showed a fault."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fuzz.__main__ import NAMES
from tests.fuzz.targets import TARGETS

FINDS = Path(__file__).parent / "finds"


def test_every_target_can_be_asked_for() -> None:
    """A parser would not be fuzzed, and nobody would notice."""
    assert tuple(TARGETS) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_what_must_hold_holds_for_the_seeds(name: str) -> None:
    """The fuzzer would stop at its first input, or check nothing."""
    target = TARGETS[name]
    seeds = list(target.seeds())
    assert seeds
    for seed in seeds:
        target.holds(seed[: target.longest])


@pytest.mark.parametrize("find", sorted(FINDS.glob("*/*")), ids=lambda path: f"{path.parent.name}-{path.name}")
def test_what_was_found_once_is_no_fault_any_more(find: Path) -> None:
    """A fault that the fuzzer has found would be back."""
    TARGETS[find.parent.name].holds(find.read_bytes())
