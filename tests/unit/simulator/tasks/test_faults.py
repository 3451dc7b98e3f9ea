from __future__ import annotations

from random import Random

import pytest

from relay.simulator.directives import UnknownFault
from relay.simulator.rates import Faults
from relay.simulator.tasks.faults import DIRECTIVES, Fate, draw, parse


def test_a_rate_of_what_is_no_fault_is_refused() -> None:
    """A typing error in a rate would silently simulate nothing."""
    with pytest.raises(ValueError, match="no fault losd"):
        draw(Random(1), Faults({"losd": 1.0}))


@pytest.mark.parametrize("word", DIRECTIVES)
def test_every_word_alone_switches_its_fault_on_and_no_other(word: str) -> None:
    """A word that does nothing, or does something else, makes a test of a receiver pass for the wrong reason."""
    fate = parse(word.replace("_", "-"), Faults())
    assert fate.directives() == (word.replace("_", "-"),)


@pytest.mark.parametrize(
    ("header", "fate"),
    [
        ("", Fate()),
        ("none", Fate()),
        ("late=250ms", Fate(late=0.25)),
        ("late=2s, doubled", Fate(late=2.0, doubled=2)),
        ("late=1.5m", Fate(late=90.0)),
        ("Late = 3", Fate(late=3.0)),
        ("slow", Fate(slow=7.0)),
        ("dropped=2,unanswered,doubled=3", Fate(dropped=2, unanswered=1, doubled=3)),
        ("contradict", Fate(contradict="status")),
        ("contradict=outputs", Fate(contradict="outputs")),
        ("error", Fate(error=500)),
        ("error=429,unknown_status", Fate(error=429, unknown_status=True)),
    ],
)
def test_the_header_is_read_as_documented(header: str, fate: Fate) -> None:
    """A scenario written for the header would not be the one that is played."""
    assert parse(header, Faults(slow_by=7.0)) == fate


@pytest.mark.parametrize(
    ("header", "message"),
    [
        ("vanish", "never-ends"),
        ("late=soon", "250ms"),
        ("dropped=0", "1 to 100"),
        ("lost=maybe", "alone"),
        ("error=418", "429"),
        ("contradict=everything", "outputs"),
    ],
)
def test_a_word_that_means_nothing_is_refused_with_what_would(header: str, message: str) -> None:
    """A typing error in the header would silently simulate nothing."""
    with pytest.raises(UnknownFault, match=message):
        parse(header, Faults())


def test_a_rate_of_one_always_strikes_and_a_rate_of_zero_never() -> None:
    """Rates at their ends are what tests and staging rely on."""
    fates = [draw(Random(seed), Faults({"lost": 1.0})) for seed in range(50)]
    assert {fate.directives() for fate in fates} == {("lost",)}


def test_a_changed_rate_moves_no_other_fault() -> None:
    """Two runs that differ in one rate could not be compared."""
    few, many = Faults({"fail": 0.5}), Faults({"fail": 0.5, "doubled": 0.5})
    failing = [[draw(Random(seed), faults).fail for seed in range(50)] for faults in (few, many)]
    assert failing[0] == failing[1]
    assert 10 < sum(failing[0]) < 40


def test_a_rate_outside_zero_to_one_is_refused() -> None:
    """A percentage given by mistake would mean: always."""
    with pytest.raises(ValueError, match="from 0 to 1"):
        Faults({"late": 20})
