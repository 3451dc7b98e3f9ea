from __future__ import annotations

from relay.demo.scenario import CONTRADICTED, NO_TROUBLE, TROUBLES, script
from relay.simulator.rates import Faults
from relay.simulator.tasks.catalog import kind_of
from relay.simulator.tasks.faults import parse


def test_a_round_has_every_trouble_and_kind_and_one_contradiction() -> None:
    """The demo would claim to survive what it never tries."""
    steps = list(script(30, 1))
    troubles = [step.trouble for step in steps]
    assert len(steps) == 30
    assert set(troubles) == {NO_TROUBLE, CONTRADICTED, *TROUBLES}
    assert troubles.count(CONTRADICTED) == 1
    assert {kind_of(step.path.rpartition("/")[2]) for step in steps} == {"image", "video", "audio"}


def test_every_trouble_is_one_that_the_simulator_knows() -> None:
    """A submission would be refused in the middle of the demo."""
    for trouble in (NO_TROUBLE, CONTRADICTED, *TROUBLES):
        assert bool(parse(trouble.simulate, Faults()).directives()) is (trouble != NO_TROUBLE)


def test_webhooks_are_really_lost() -> None:
    """The demo would show what any receiver of webhooks can do, and not what this one is for."""
    fates = [parse(trouble.simulate, Faults()) for trouble in TROUBLES]
    assert {fate.fail for fate in fates if fate.lost} == {True, False}
    assert not any(fate.never_ends for fate in fates)


def test_a_small_round_is_as_small_as_asked() -> None:
    """``--tasks 3`` would submit more than three."""
    assert [len(list(script(tasks, 1))) for tasks in (0, 1, 3)] == [0, 1, 3]


def test_prompts_differ_and_no_submission_names_a_webhook() -> None:
    """Equal submissions share their luck, and a webhook in the body would hide that the relay adds none."""
    steps = [*script(30, 1), *script(30, 2)]
    assert len({step.prompt for step in steps}) == 60
    assert not any("extra" in step.body for step in steps)


def test_a_seed_is_a_scenario() -> None:
    """A demo that failed once could not be seen failing again."""
    assert list(script(30, 1)) == list(script(30, 1)) != list(script(30, 2))
