"""Who is asked before every dead letter goes. The commands run in tests/integration/test_cli.py."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import typer

from relay.cli.client import Client
from relay.cli.dead_letters import _chosen


class Holding(Client):
    """A client of a relay that holds two dead letters."""

    def dead_letters(self) -> Iterator[dict[str, Any]]:
        yield from ({"id": "dead-1"}, {"id": "dead-2"})


CLIENT = Holding("http://127.0.0.1:1")


def test_all_of_them_go_only_with_consent() -> None:
    """A script without a terminal would delete everything by mistake, or wait for an answer forever."""
    with pytest.raises(typer.BadParameter, match="--yes"):
        _chosen(CLIENT, "Delete", None, True, False)
    assert _chosen(CLIENT, "Delete", None, True, True) == ["dead-1", "dead-2"]


def test_named_letters_need_no_consent() -> None:
    """Replaying one letter in a script would fail."""
    assert _chosen(CLIENT, "Replay", ["dead-9"], False, False) == ["dead-9"]


@pytest.mark.parametrize(("ids", "all_"), [(None, False), ([], False), (["dead-1"], True)])
def test_it_must_be_clear_which_are_meant(ids: list[str] | None, all_: bool) -> None:
    """`delete --all dead-1` would delete more than one of its two readings says."""
    with pytest.raises(typer.BadParameter):
        _chosen(CLIENT, "Delete", ids, all_, True)
