from __future__ import annotations

import subprocess
import sys

import pytest

from tests.faults.harness.failpoints import BY_NAME, OF_SINK, Failpoint
from tests.faults.harness.places import NoSuchPlace, find, replace
from tests.faults.harness.planted import BUGS


def ended(*arguments: str) -> int:
    """The exit code of a relay that is broken in this way and has only its version to say."""
    command = [sys.executable, "-m", "tests.faults.harness.launch", *arguments, "version"]
    return subprocess.run(command, timeout=30, capture_output=True, check=False).returncode


@pytest.mark.parametrize("point", BY_NAME.values(), ids=lambda point: point.name)
def test_each_failpoint_is_a_place_of_the_program(point: Failpoint) -> None:
    """Broken: a refactoring would leave a crash test that crashes nothing."""
    assert callable(find(point.place))


def test_there_are_fourteen_failpoints_for_each_sink() -> None:
    """Broken: a step between a delivery and its mark would have no crash."""
    assert {sink: len({point.name for point in points}) for sink, points in OF_SINK.items()} == {
        "kafka": 14,
        "redis": 14,
    }


@pytest.mark.parametrize("bug", BUGS)
def test_each_bug_can_be_planted(bug: str) -> None:
    """Broken: the proof that the oracle can fail would plant nothing."""
    assert ended("--plant", bug) == 0


def test_a_place_that_is_gone_is_an_error() -> None:
    """Broken: a misspelt place would silently break nothing."""
    for place in (
        "relay.publishing.publisher:Publisher._gone",
        "relay.gone:x",
        "relay.publishing.publisher:Publisher.label.x",
    ):
        with pytest.raises(NoSuchPlace, match="gone"):
            find(place)
        with pytest.raises(NoSuchPlace):
            replace(place, lambda original: original)
    assert ended("--crash", "no such point:1") == 1
