"""Which ``traceparent`` is believed, by the clauses of W3C Trace Context, and how an event gets it."""

from __future__ import annotations

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.core.tasks.events import abandoned_draft
from relay.core.trace import continued, is_sampled, traceparent_of

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
VALID = f"00-{TRACE}-{SPAN}-01"


@pytest.mark.parametrize("value", [VALID, f"00-{TRACE}-{SPAN}-00", f"00-{TRACE}-{SPAN}-03", f"\t {VALID} "])
def test_a_valid_traceparent_goes_on_as_it_came(value: str) -> None:
    """A sender would not find its trace again."""
    assert traceparent_of([value]) == value.strip()


@pytest.mark.parametrize(
    "value",
    [
        "",
        "00",
        TRACE,
        VALID.upper(),
        VALID[:-1],
        f"{VALID}0",
        f"{VALID}-00",
        f"{VALID}\n",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE[:-1]}g-{SPAN}-01",
        f"00-{TRACE}-{SPAN[:-1]}-01",
        f"00_{TRACE}_{SPAN}_01",
        f"ff-{TRACE}-{SPAN}-01",
        f"0-{TRACE}-{SPAN}-01",
        f"cc-{TRACE}-{SPAN}-01x",
        f"cc-{'0' * 32}-{SPAN}-01",
        f"cc-{TRACE}-{SPAN}",
        f"00-{TRACE}-{SPAN}-0x",
        f"00-{TRACE}-{SPAN}-٠١",
        f"{VALID}, {VALID}",
    ],
)
def test_what_is_not_valid_is_ignored(value: str) -> None:
    """Consumers and the upstream would get what no tracing system can read, or whatever somebody smuggles in."""
    assert traceparent_of([value]) is None


@pytest.mark.parametrize("fields", [[], [VALID, VALID], [VALID, ""]])
def test_no_trace_and_several_traces_are_ignored(fields: list[str]) -> None:
    """The relay would choose between two traces at random (section 3.2: the header appears once)."""
    assert traceparent_of(fields) is None


@pytest.mark.parametrize(("flags", "passed_on"), [("00", "00"), ("01", "01"), ("ff", "01"), ("fe", "00")])
@pytest.mark.parametrize("rest", ["", "-what-the-future-will-be-like", "-"])
def test_a_later_version_is_passed_on_as_the_one_we_know(flags: str, passed_on: str, rest: str) -> None:
    """A trace would break off here as soon as a sender is upgraded (section 4.2.2)."""
    assert traceparent_of([f"cc-{TRACE}-{SPAN}-{flags}{rest}"]) == f"00-{TRACE}-{SPAN}-{passed_on}"


@given(st.text(string.hexdigits + "-", max_size=60) | st.text(max_size=60) | st.from_regex(r"..-\w{32}-\w{16}-.."))
def test_whatever_is_believed_is_valid(value: str) -> None:
    """A value would get into headers that is no trace, or even no header."""
    believed = traceparent_of([value])
    assert believed is None or (len(believed) == 55 and traceparent_of([believed]) == believed)


@pytest.mark.parametrize(
    ("flags", "sampled"), [("00", False), ("01", True), ("02", False), ("0f", True), ("fe", False)]
)
def test_only_the_last_bit_says_that_a_trace_is_recorded(flags: str, sampled: bool) -> None:
    """Batches would be linked to traces that nobody records, or not to those that somebody does."""
    assert is_sampled(f"00-{TRACE}-{SPAN}-{flags}") is sampled


def test_an_event_gets_its_trace_and_keeps_everything_else() -> None:
    """A trace would change what an event is known by, and a repetition be published again."""
    draft = abandoned_draft("t1", None, "deadline", now=1)
    traced = continued(draft, VALID)
    assert traced.event.traceparent == VALID
    assert traced._replace(event=traced.event._replace(traceparent=None)) == draft
    assert continued(traced, None) is traced
