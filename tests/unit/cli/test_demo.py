"""The options of `relay simulate` and `relay demo`; both run for real in tests/integration/test_cli.py."""

from __future__ import annotations

import pytest
import typer
from typer.testing import CliRunner

from relay.cli.commands import app
from relay.cli.demo import _faults, _outage
from relay.cli.options import seconds
from relay.simulator.chat.behaviour import CHAT_FAULTS
from relay.simulator.outages import TROUBLES, Outage
from relay.simulator.rates import Faults
from relay.simulator.tasks.faults import DIRECTIVES


def test_every_fault_can_be_asked_for_by_its_word() -> None:
    """A fault that requests can name would not be there as a flag."""
    given = [f"{word.replace('_', '-')}=0.5" for word in DIRECTIVES]
    chosen = _faults(DIRECTIVES, given, "--fault", late_by=7.0, slow_by=3.0)
    assert chosen == Faults(dict.fromkeys(DIRECTIVES, 0.5), late_by=7.0, slow_by=3.0)


def test_every_fault_of_a_chat_can_be_asked_for_by_its_word() -> None:
    """A staging upstream could break tasks, but no stream."""
    given = [f"{word.replace('_', '-')}=0.5" for word in CHAT_FAULTS]
    chosen = _faults(CHAT_FAULTS, given, "--chat-fault")
    assert chosen == Faults(dict.fromkeys(CHAT_FAULTS, 0.5))


@pytest.mark.parametrize(
    ("given", "message"), [("lost=1", "known: error"), ("cut=often", "cut=0.1"), ("cut=3", "0 to 1")]
)
def test_a_fault_of_a_chat_that_means_nothing_is_refused(given: str, message: str) -> None:
    """A typing error would silently simulate a healthy upstream, or end in a traceback."""
    with pytest.raises(typer.BadParameter, match=message):
        _faults(CHAT_FAULTS, [given], "--chat-fault")


def test_durations_are_written_as_in_the_configuration() -> None:
    """The same text would mean another time on the command line."""
    assert seconds("250ms") == 0.25


def test_every_trouble_can_be_given_its_time() -> None:
    """An outage in the middle of a rehearsal could only be made by hand."""
    assert [_outage(f"{trouble}@30s+1m") for trouble in TROUBLES] == [Outage(each, 30.0, 60.0) for each in TROUBLES]


@pytest.mark.parametrize("given", ["rain@1s+1s", "down", "down@1s", "down+1s", "down@1s+0s", "down@x+1s"])
def test_a_trouble_that_means_nothing_is_refused(given: str) -> None:
    """A rehearsal would run without the outage that it was made for."""
    with pytest.raises(typer.BadParameter):
        _outage(given)


@pytest.mark.parametrize(("option", "given"), [("--fault", "x=1"), ("--chat-fault", "x=1"), ("--outage", "rain@1s+1s")])
def test_an_error_names_the_option_that_was_given(option: str, given: str) -> None:
    """A user who follows the message, or the page on the simulator, would read: no such option."""
    result = CliRunner().invoke(app, ["simulate", option, given])
    assert result.exit_code == 2
    assert f"Invalid value for '{option}'" in result.stderr
