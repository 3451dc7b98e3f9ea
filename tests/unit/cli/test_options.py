"""What options refuse."""

from __future__ import annotations

import pytest
import typer

from relay.cli.options import check_filters, check_word, given
from relay.contract.asyncapi import SUMMARIES
from relay.core.event import TOPICS


def test_a_word_that_is_not_known_names_the_nearest() -> None:
    """A list would be empty because of a typing mistake, and look as if all were well."""
    check_word("open", ("open", "ended"), "--state")
    with pytest.raises(typer.BadParameter, match="did you mean 'open'"):
        check_word("opne", ("open", "ended"), "--state")
    with pytest.raises(typer.BadParameter, match="known here: open, ended"):
        check_word("zzz", ("open", "ended"), "--state")


def test_a_filter_that_can_match_nothing_is_refused() -> None:
    """`relay tail --type relay.task.suceeded` would wait forever."""
    for topic in TOPICS:
        check_filters(topic, None)
    for kind in SUMMARIES:
        check_filters(None, kind)
    with pytest.raises(typer.BadParameter, match=r"did you mean 'relay\.task\.succeeded'"):
        check_filters(None, "relay.task.suceeded")
    with pytest.raises(typer.BadParameter, match="did you mean 'tasks'"):
        check_filters("task", None)


def test_only_what_was_given_is_asked_for() -> None:
    """An option that was left out would be sent as an empty filter."""
    assert given(state="open", model=None) == {"state": "open"}
