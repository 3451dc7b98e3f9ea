from __future__ import annotations

from random import Random

import pytest

from relay.simulator.options import Options
from relay.simulator.tasks.catalog import endpoint
from relay.simulator.tasks.faults import Fate
from relay.simulator.tasks.task import FAILED, PROCESSING, QUEUED, SUCCEED, UNKNOWN, Phase, life_of
from tests.unit.simulator.tasks.tasks_made import make_task


def test_a_task_waits_runs_and_ends() -> None:
    """Polling would show a status that the webhook contradicts, or skip one."""
    task = make_task("img2video")
    phases = [task.at(elapsed) for elapsed in (0.0, 1.0, 3.0, 4.999, 5.0, 1e9)]
    assert phases == [
        Phase(QUEUED, eta=5),
        Phase(PROCESSING, progress=0, eta=4),
        Phase(PROCESSING, progress=50, eta=2),
        Phase(PROCESSING, progress=99, eta=0),
        Phase(SUCCEED, progress=100),
        Phase(SUCCEED, progress=100),
    ]


def test_an_image_that_succeeded_reports_no_progress() -> None:
    """A receiver that takes 0 percent for unfinished would never be found out."""
    assert make_task("txt2img").at(9.0) == Phase(SUCCEED, progress=0)


def test_only_a_failed_task_gives_a_reason() -> None:
    """The vendor leaves the reason of a success empty."""
    assert make_task(ends_in=FAILED).at(9.0) == Phase(FAILED, reason="worker error")
    assert make_task().at(9.0).reason == ""


def test_a_task_that_never_ends_goes_on_processing() -> None:
    """The reconciler's deadline could not be tried."""
    assert make_task(ends_in=None).at(1e6).status == PROCESSING


@pytest.mark.parametrize(
    ("fate", "end"),
    [
        (Fate(), SUCCEED),
        (Fate(fail=True), FAILED),
        (Fate(unknown_status=True), UNKNOWN),
        (Fate(never_ends=True), None),
    ],
)
def test_the_fate_decides_the_end(fate: Fate, end: str | None) -> None:
    """A fault that is reported in the ledger would not have happened."""
    assert life_of(Random(1), endpoint("txt2img", {}), fate, Options()).ends_in == end


def test_times_stay_within_half_and_one_and_a_half_of_the_mean() -> None:
    """A staging run configured to take two seconds would take any time."""
    options = Options(queue_seconds=2.0, run_seconds=10.0)
    for seed in range(50):
        life = life_of(Random(seed), endpoint("txt2img", {}), Fate(), options)
        assert 1.0 <= life.queued_for <= 3.0
        assert 5.0 <= life.runs_for <= 15.0


def test_test_mode_and_an_early_webhook_take_no_time() -> None:
    """The answer to the submission would have to wait until the task has run."""
    image = endpoint("txt2img", {})
    assert life_of(Random(1), image, Fate(before=True), Options()).ends_after == 0.0
    mock = life_of(Random(1), image, Fate(), Options(), FAILED)
    assert (mock.ends_after, mock.ends_in) == (0.0, FAILED)
