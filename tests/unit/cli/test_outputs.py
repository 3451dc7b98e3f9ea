"""How outputs are listed. The commands run in tests/integration/test_archive.py."""

from __future__ import annotations

from typing import Any

import pytest
import typer

from relay.cli.outputs import _place_of, row
from relay.core.clock import rfc3339

OUTPUT: dict[str, Any] = {
    **dict.fromkeys(("reason", "deadline", "url", "size")),
    "task_id": "t1",
    "index": 2,
    "kind": "image",
    "state": "waiting",
    "accepted_at": rfc3339(0),
    "attempts": 3,
}


def test_a_line_says_where_an_output_is_or_why_it_is_not() -> None:
    """Each output would have to be looked up on its own."""
    assert row(OUTPUT | {"url": "s3://b/k", "reason": "timeout"})[-1] == "s3://b/k"
    assert row(OUTPUT | {"reason": "timeout"})[-1] == "timeout"
    assert row(OUTPUT)[-1] is None


def test_a_line_names_an_output_as_retry_takes_it() -> None:
    """What the list shows could not be given to relay outputs retry."""
    assert row(OUTPUT)[0] == "t1/2"
    assert row(OUTPUT | {"size": 2048})[6] == "2.0 KiB"


@pytest.mark.parametrize("name", ["t1", "t1/", "/2", "t1/x", "t1/²", "t1/-1"])
def test_what_names_no_output_is_refused(name: str) -> None:
    """The command would ask for another output than was meant, or fail where nobody sees why."""
    assert _place_of("t/1/2") == ("t/1", 2)
    with pytest.raises(typer.BadParameter, match="is not TASK/INDEX"):
        _place_of(name)
