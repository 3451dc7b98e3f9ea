from __future__ import annotations

from collections.abc import Callable

import pytest

from relay.simulator.directives import UnknownFault, choice, count, directives_in, duration, flag, made, status
from relay.simulator.tasks.faults import Fate


def test_words_are_read_in_any_case_and_order() -> None:
    """A header written as its documentation has it would ask for something else."""
    assert directives_in(" Late = 2s ,doubled,, error-frame=flat") == {
        "late": "2s",
        "doubled": None,
        "error_frame": "flat",
    }


@pytest.mark.parametrize("header", ["", "none", " None "])
def test_nothing_can_be_asked_for(header: str) -> None:
    """One request could not be kept free of the faults that strike the others."""
    assert directives_in(header) == {}


def test_the_refusal_of_an_unknown_word_lists_what_is_known() -> None:
    """A typing error in the header would silently simulate nothing."""
    with pytest.raises(UnknownFault, match=r"'vanish-now'.*none, never-ends"):
        made(Fate, {"vanish_now": None}, {"never_ends": lambda value, _: flag(value)}, None)


@pytest.mark.parametrize(
    ("read", "value"),
    [
        (lambda: flag(None), True),
        (lambda: flag("false"), False),
        (lambda: count(None, 2), 2),
        (lambda: count("7"), 7),
        (lambda: duration("1.5m", 0.0), 90.0),
        (lambda: duration("3", 0.0), 3.0),
        (lambda: duration(None, 4.0), 4.0),
        (lambda: choice(None, ("a", "b")), "a"),
        (lambda: choice("b", ("a", "b")), "b"),
        (lambda: status("404", (404,), 500), 404),
        (lambda: status(None, (404,), 500), 500),
    ],
)
def test_values_are_read(read: Callable[[], object], value: object) -> None:
    """A scenario written for the header would not be the one that is played."""
    assert read() == value


@pytest.mark.parametrize(
    ("read", "message"),
    [
        (lambda: flag("maybe"), "alone"),
        (lambda: count("0"), "1 to 100"),
        (lambda: count("6", most=5), "1 to 5"),
        (lambda: count("²"), "1 to 100"),
        (lambda: duration("soon", 1.0), "250ms"),
        (lambda: choice("c", ("a", "b")), "a, b"),
        (lambda: status("418", (404, 429), 404), "404, 429"),
        (lambda: status("x", (404,), 404), "404"),
    ],
)
def test_a_value_that_means_nothing_is_refused_with_what_would(read: Callable[[], object], message: str) -> None:
    """A value that cannot be read would be taken for another one, or fail without an answer."""
    with pytest.raises(UnknownFault, match=message):
        read()
