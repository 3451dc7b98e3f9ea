"""What is written, and how."""

from __future__ import annotations

import os
import sys

import pytest

from relay.cli import output
from relay.cli.doctor.findings import Finding

ESCAPE = "\x1b[31m"


def test_control_characters_never_reach_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    """A task's failure reason could rewrite the operator's screen."""
    output.write_line((f"a{ESCAPE}\r\nb\x9b", ""))
    output.write_block(f"a\n\tb{ESCAPE}")
    shown = capsys.readouterr().out
    assert shown == "a [31m  b\na\n\tb [31m\n"


def test_a_terminal_gets_colour(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """People would read a grey wall of text."""
    from rich.console import Console

    monkeypatch.setattr(output, "is_terminal", lambda: True)
    monkeypatch.setattr(output, "console", lambda: Console(force_terminal=True, color_system="standard", width=80))
    output.write_line(("bad", "red"))
    assert ESCAPE + "bad" in capsys.readouterr().out


def test_what_was_found_has_what_to_do_below_it(capsys: pytest.CaptureFixture[str]) -> None:
    """An operator would read what is wrong, and not how to fix it."""
    output.write_finding(Finding("disk", "failed", "is full", "Make room."))
    output.write_finding(Finding("journal", "ok", "nothing wrong"))
    assert capsys.readouterr().out == "failed   disk: is full\n         Make room.\nok       journal: nothing wrong\n"


def test_an_event_is_coloured_by_what_came_of_it() -> None:
    """A failure would look like a success in a long list."""
    assert output.style_of("relay.task.failed") != output.style_of("relay.task.succeeded")
    assert output.style_of("relay.unknown") == ""


def test_a_reader_that_has_gone_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """`relay tail | head -1` would stay until the next event comes, perhaps for days."""
    reading, writing = os.pipe()
    with os.fdopen(writing, "w") as stdout:
        monkeypatch.setattr(sys, "stdout", stdout)
        assert not output.reader_has_gone()
        os.close(reading)
        assert output.reader_has_gone()
