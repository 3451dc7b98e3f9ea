"""What is written, and how."""

from __future__ import annotations

import os
import sys

import pytest

from relay.cli import output

ESCAPE = "\x1b[31m"


def test_control_characters_never_reach_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    """A task's failure reason could rewrite the operator's screen."""
    output.write_line((f"a{ESCAPE}\r\nb\x9b", ""))
    output.write_block(f"a\n\tb{ESCAPE}")
    output.write_table(("X", "Y"), [("a\tb", None), (1, f"c{ESCAPE}")])
    shown = capsys.readouterr().out
    assert shown == "a [31m  b\na\n\tb [31m\nX\tY\na b\t\n1\tc [31m\n"


def test_a_terminal_gets_a_table_with_colour(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """People would read tab-separated text."""
    from rich.console import Console

    monkeypatch.setattr(output, "is_terminal", lambda: True)
    monkeypatch.setattr(output, "console", lambda: Console(force_terminal=True, color_system="standard", width=80))
    output.write_table(("ID", "WHY"), [("a", "[b]")])
    output.write_line(("bad", "red"))
    shown = capsys.readouterr().out
    assert "─" in shown
    output.write_table(("ID", "WHY"), [("x" * 100, "long " * 40)])
    assert capsys.readouterr().out.count("x") == 100, "people need the whole name"
    assert "[b]" in shown, "text must not be taken for markup"
    assert ESCAPE + "bad" in shown


def test_a_reader_that_has_gone_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """`relay tail | head -1` would stay until the next event comes, perhaps for days."""
    reading, writing = os.pipe()
    with os.fdopen(writing, "w") as stdout:
        monkeypatch.setattr(sys, "stdout", stdout)
        assert not output.reader_has_gone()
        os.close(reading)
        assert output.reader_has_gone()
