"""What may begin while relay drains."""

from __future__ import annotations

import pytest

from relay.edge.http.problems import ProblemError
from relay.edge.intake import Intake


def refuses(intake: Intake, *, chat: bool) -> bool:
    try:
        intake.require(chat=chat)
    except ProblemError as problem:
        return problem.code == "draining"
    return False


@pytest.mark.parametrize(
    ("chats", "open_", "refused"),
    [(True, True, (False, False)), (False, True, (True, False)), (True, False, (True, True))],
)
def test_chats_end_before_the_rest(chats: bool, open_: bool, refused: tuple[bool, bool]) -> None:
    """A chat would begin that nobody waits for, or a delivery be refused that could be published."""
    intake = Intake()
    intake.chats, intake.open = chats, open_
    assert (refuses(intake, chat=True), refuses(intake, chat=False)) == refused


def test_what_was_let_in_is_counted_however_it_ends() -> None:
    """A relay would count as drained while a request is about to append, or never again."""
    intake = Intake()
    with pytest.raises(KeyError), intake.entered(chat=True):
        assert intake.under_way == 1
        raise KeyError
    assert intake.under_way == 0


def test_what_is_refused_does_not_count() -> None:
    """A sender that does not stop could keep a drain from ending."""
    intake = Intake()
    with intake.entered():
        intake.open = False
        with pytest.raises(ProblemError), intake.entered():
            pytest.fail("it was let in")
        assert intake.under_way == 1
