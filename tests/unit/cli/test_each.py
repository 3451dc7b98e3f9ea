from __future__ import annotations

import json
from typing import Any

import pytest
import typer

from relay.cli.client import Unreachable
from relay.cli.each import each
from relay.core.errors import RelayError


def done(name: str) -> dict[str, Any]:
    if name == "bad":
        raise RelayError("not_found", "There is no such thing.", hint="Look again.")
    return {"status": "replayed", "event_id": "e-1"}


def test_one_that_fails_keeps_no_other_from_its_turn(capsys: pytest.CaptureFixture[str]) -> None:
    """A script would learn of one failure and leave the rest undone, or of none."""
    with pytest.raises(typer.Exit) as ended:
        each(["bad", "good"], done, False)
    assert ended.value.exit_code == 1
    said = capsys.readouterr()
    assert said.out == "good: replayed, event e-1\n"
    assert said.err == "bad: There is no such thing.\n     Look again.\n"


def test_what_came_of_each_is_there_for_programs(capsys: pytest.CaptureFixture[str]) -> None:
    """A program could not tell which one failed, or why."""
    with pytest.raises(typer.Exit):
        each(["bad", "good"], done, True, key="output")
    failed, replayed = json.loads(capsys.readouterr().out)["results"]
    assert (failed["output"], failed["status"], failed["code"]) == ("bad", "failed", "not_found")
    assert replayed == {"output": "good", "status": "replayed", "event_id": "e-1"}


def test_a_relay_that_is_away_is_not_waited_for_by_each() -> None:
    """A hundred dead letters would wait out a hundred time-outs."""
    asked = []

    def away(name: str) -> dict[str, Any]:
        asked.append(name)
        raise Unreachable("http://127.0.0.1:1", OSError())

    with pytest.raises(Unreachable):
        each(["a", "b"], away, False)
    assert asked == ["a"]
