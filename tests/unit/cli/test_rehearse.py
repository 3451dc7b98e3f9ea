"""The options of `relay simulate` and `relay demo`; both run for real in tests/integration/test_cli.py."""

from __future__ import annotations

from relay.cli.rehearse import _faults, _seconds
from relay.simulator.faults import WORDS, Faults


def test_every_fault_can_be_asked_for_by_its_word() -> None:
    """A fault that requests can name would not be there as a flag."""
    chosen = _faults([f"{word.replace('_', '-')}=0.5" for word in WORDS])
    assert chosen == Faults(**dict.fromkeys(WORDS, 0.5))


def test_durations_are_written_as_in_the_configuration() -> None:
    """The same text would mean another time on the command line."""
    assert _seconds("250ms") == 0.25
