from __future__ import annotations

import pytest

from relay.core.event import Entry
from relay.core.publishing.settle import Advance, SplitBatch, ToDeadLetters, settle
from relay.core.sink import Published, Refused, Withheld
from tests.unit.drafts import draft

ENTRIES = [Entry(n, 0, draft(str(n)).event) for n in (1, 2, 3, 4)]
SUSPECT = Withheld(suspect=True, code="record_too_large", detail="?")


def test_all_published_advances() -> None:
    """Broken: the checkpoint would never move, and everything would be published forever."""
    assert settle(ENTRIES, [Published()] * 4) == Advance()


def test_an_empty_batch_advances() -> None:
    """Broken: a page that holds nothing for this sink would stop it for good."""
    assert settle([], []) == Advance()


def test_a_refused_event_becomes_a_dead_letter_alone() -> None:
    """Broken: innocent events of the same batch would become dead letters with it."""
    refused = Refused("record_too_large", "9 MB")
    assert settle(ENTRIES, [Withheld(), refused, Withheld(), Withheld()]) == ToDeadLetters(((ENTRIES[1], refused),))


def test_among_several_suspects_the_batch_narrows() -> None:
    """Broken: the sink could not say which event it refuses, and the relay would guess."""
    assert settle(ENTRIES, [Withheld(), SUSPECT, SUSPECT, Withheld()]) == SplitBatch(2)


def test_a_lone_suspect_is_the_culprit() -> None:
    """Broken: narrowing would go on forever once the refused event stands alone."""
    assert settle(ENTRIES[:1], [SUSPECT]) == ToDeadLetters(((ENTRIES[0], Refused("record_too_large", "?")),))


@pytest.mark.parametrize(
    "outcomes",
    [[Published()] * 3, [Published(), Withheld(), Published(), Published()], []],
    ids=["too few", "a part", "none"],
)
def test_a_sink_that_breaks_its_contract_is_not_believed(outcomes: list[Published | Withheld]) -> None:
    """Broken: going on after an impossible answer could move the checkpoint past events that were never published."""
    with pytest.raises(ValueError, match="a sink"):
        settle(ENTRIES, outcomes)


def test_a_lone_event_withheld_for_nobody_is_an_error() -> None:
    """Broken: the publisher would publish the same event in a tight loop without end."""
    with pytest.raises(ValueError, match="withheld"):
        settle(ENTRIES[:1], [Withheld()])
