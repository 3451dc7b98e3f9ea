from __future__ import annotations

from dataclasses import fields
from random import Random

import pytest

from relay.simulator.chat.behaviour import CHAT_FAULTS, DIRECTIVES, Behaviour, draw, parse
from relay.simulator.directives import UnknownFault
from relay.simulator.rates import Faults


def test_every_rate_is_that_of_a_word() -> None:
    """A fault could be asked for by rate and not by header, or by two names."""
    assert set(CHAT_FAULTS) < set(DIRECTIVES) == {field.name for field in fields(Behaviour)}


@pytest.mark.parametrize("word", DIRECTIVES)
def test_every_word_alone_switches_on_what_it_names_and_nothing_else(word: str) -> None:
    """A word that does nothing, or does something else, makes a test of a proxy pass for the wrong reason."""
    behaviour = parse(word.replace("_", "-"), Faults())
    assert behaviour.directives() == (word.replace("_", "-"),)


@pytest.mark.parametrize(
    ("header", "behaviour"),
    [
        ("", Behaviour()),
        ("none", Behaviour()),
        ("chunks=1000, pace=50ms", Behaviour(chunks=1000, pace=0.05)),
        ("reset, at=7", Behaviour(reset=True, at=7)),
        ("slow", Behaviour(slow=9.0)),
        ("stall", Behaviour(stall=8.0)),
        ("stall=250ms", Behaviour(stall=0.25)),
        ("bytes", Behaviour(bytes=1)),
        ("error", Behaviour(error=503)),
        ("error=429, error-body=openai, retry-after=3", Behaviour(error=429, error_body="openai", retry_after="3")),
        ("should-retry=false", Behaviour(should_retry="false")),
        ("reasoning=both, finish=joined, usage=finish", Behaviour(reasoning="both", finish="joined", usage="finish")),
    ],
)
def test_the_header_is_read_as_documented(header: str, behaviour: Behaviour) -> None:
    """A scenario written for the header would not be the one that is played."""
    assert parse(header, Faults(slow_by=9.0, stall_by=8.0)) == behaviour


@pytest.mark.parametrize(
    ("header", "message"),
    [
        ("lost", "truncated"),
        ("error=418", "429"),
        ("error-frame=novel", "openrouter"),
        ("at=0", "1 to"),
        ("cut=2", "alone"),
    ],
)
def test_what_means_nothing_is_refused(header: str, message: str) -> None:
    """A typing error would silently give a healthy stream."""
    with pytest.raises(UnknownFault, match=message):
        parse(header, Faults())


def test_a_rate_of_one_always_strikes_and_a_changed_rate_moves_no_other_fault() -> None:
    """Two runs that differ in one rate could not be compared."""
    few, many = Faults({"cut": 0.5}), Faults({"cut": 0.5, "reset": 1.0})
    drawn = [[draw(Random(seed), faults) for seed in range(50)] for faults in (few, many)]
    assert [behaviour.cut for behaviour in drawn[0]] == [behaviour.cut for behaviour in drawn[1]]
    assert 10 < sum(behaviour.cut for behaviour in drawn[0]) < 40
    assert all(behaviour.reset for behaviour in drawn[1])
    assert not any(behaviour.reset for behaviour in drawn[0])


def test_a_rate_outside_zero_to_one_is_refused() -> None:
    """A percentage given by mistake would mean: always."""
    with pytest.raises(ValueError, match="from 0 to 1"):
        Faults({"hang": 5})
