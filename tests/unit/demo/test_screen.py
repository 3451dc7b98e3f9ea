from __future__ import annotations

import io

from rich.console import Console

from relay.demo.chats import FAILED
from relay.demo.scenario import NO_TROUBLE, TROUBLES, Trouble
from relay.demo.screen import conclusion, dead_letter_line, event_line, on_the_sink, table
from relay.demo.toy_sink import Account
from relay.demo.verdict import Expected, Json, judge

TASK = Expected("0123456789", "relay.task.succeeded", TROUBLES[0], 2)


def event(**data: object) -> Json:
    known = {"task_type": "[TXT_TO_IMG]", "outputs": [], "reason": "", "observed_via": "webhook", **data}
    return {"type": "relay.task.succeeded", "subject": "0123456789", "data": known}


def test_an_event_is_one_line_without_markup_read_into_it() -> None:
    """Names of the upstream in square brackets would vanish, or colour the screen."""
    output = {"kind": "image", "format": "png"}
    line = event_line(17, event(outputs=[output]), TROUBLES[0]).plain
    assert "\n" not in line
    for part in ("17", "relay.task.succeeded", "[TXT_TO_IMG]", "01234567", "image png", TROUBLES[0].description):
        assert part in line


def test_a_failure_shows_its_reason_and_no_trouble_where_there_was_none() -> None:
    """A failed task would be a line without a cause."""
    line = event_line(1, event(reason="worker error", task_type=None), NO_TROUBLE).plain
    assert line.rstrip().endswith("worker error")
    assert NO_TROUBLE.description not in line


def test_what_polling_found_is_shown() -> None:
    """Nobody would see that a task has its end although its webhook never came."""
    assert "found by polling" in event_line(1, event(observed_via="poll"), NO_TROUBLE).plain
    assert "found by polling" not in event_line(1, event(), NO_TROUBLE).plain


def test_the_table_counts_by_trouble() -> None:
    """What was injected could not be held against what came out."""
    console = Console(file=io.StringIO(), width=120)
    bad = Expected("t2", "relay.task.succeeded", TROUBLES[0], 3)
    console.print(table(judge([TASK, bad], [event()])))
    shown = console.file.getvalue()  # type: ignore[attr-defined]
    row = next(line for line in shown.splitlines() if TROUBLES[0].description in line)
    assert [cell.strip() for cell in row.strip("│").split("│")] == [TROUBLES[0].description, "2", "5", "1"]


def test_a_chat_has_no_deliveries() -> None:
    """The table would say that webhooks were tried for a chat, and none of them came."""
    console = Console(file=io.StringIO(), width=120)
    chat = Expected("c1", FAILED, Trouble("reset", "reset"))
    console.print(table(judge([chat], [{"type": FAILED, "subject": "c1", "data": {}}])))
    row = next(line for line in console.file.getvalue().splitlines() if "reset" in line)  # type: ignore[attr-defined]
    assert [cell.strip() for cell in row.strip("│").split("│")] == ["reset", "1", "-", "1"]


def test_the_conclusion_names_every_task_that_is_wrong() -> None:
    """A failing demo would not say which task to look at."""
    good = [line.plain for line in conclusion(judge([TASK], [event()]))]
    bad = [line.plain for line in conclusion(judge([TASK], [event(), event()]))]
    assert good[-1] == "Every task and every chat has exactly one terminal event."
    assert bad[-1] == "doubled: 0123456789"


def test_a_dead_letter_says_where_it_is_kept() -> None:
    """A newcomer would see that something is dead, and not that nothing is lost."""
    dead = {"type": "relay.delivery.dead", "subject": "dead-1", "data": {"reason": "unknown_event_type"}}
    line = dead_letter_line(9, dead).plain
    for part in ("relay.delivery.dead", "unknown_event_type", "dead-1", "relay dead-letters list"):
        assert part in line


def test_a_demo_that_did_nothing_claims_nothing() -> None:
    """Ctrl-C in the first second would read as a success."""
    (line,) = conclusion(judge([], []))
    assert "nothing was checked" in line.plain


def test_what_is_wrong_on_the_sink_is_named() -> None:
    """A demo that lost or doubled an event on its way to the sink would look like one that went well."""
    good = [line.plain for line in on_the_sink(Account(9, (), (), True, 2, 3))]
    assert good == [
        "Toy sink: 9 events; 2 replies lost, and 3 tries refused while it was away.",
        "The sink has every event exactly once, in order.",
    ]
    _, *bad = (line.plain for line in on_the_sink(Account(9, ("e1",), ("e2",), False, 0, 0)))
    assert bad == [
        "missing on the sink: e1",
        "repeated on the sink: e2",
        "The events on the sink are not in the order of the journal.",
    ]
