"""Tables for people and for programs."""

from __future__ import annotations

import pytest

from relay.cli import output, table

COLUMNS = ("TASK", "TYPE", "STATE", "NOTE")
SPARE = ("TYPE", "NOTE")
ID = "71dd988e-632e-4339-b217-74bcbe6db0ee"
ROWS = [
    (ID, "minimax-hailuo-02", "failed", "the model [bold] could not be loaded, since the machine is full"),
    (ID[::-1], None, "succeeded", None),
]


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> object:
    """What a terminal of so many columns shows."""
    from rich.console import Console

    monkeypatch.setenv("TERM", "xterm")  # one that is "dumb" has 80 columns, whatever it says

    def on(width: int) -> list[str]:
        console = Console(force_terminal=True, color_system=None, width=width, markup=False)
        for module in (output, table):
            monkeypatch.setattr(module, "is_terminal", lambda: True)
            monkeypatch.setattr(module, "console", lambda: console)
        table.write_table(COLUMNS, ROWS, SPARE, prose=True)
        return capsys.readouterr().out.splitlines()

    return on


@pytest.mark.parametrize("width", range(40, 201, 4))
def test_a_table_fits_and_breaks_no_id(width: int, shown: object) -> None:
    """An id could not be copied from the screen, or lines would be torn apart."""
    lines = shown(width)  # type: ignore[operator]
    assert all(any(id in line for line in lines) for id in (ID, ID[::-1]))
    assert any("failed" in line for line in lines)
    if width >= 60:
        assert max(map(len, lines)) <= width
        assert "─" in lines[1]


def test_a_narrow_terminal_gets_lines_instead_of_columns(shown: object) -> None:
    """On a phone, or in a split window, nothing could be read."""
    lines = shown(40)  # type: ignore[operator]
    assert lines[:3] == [ID, "  type   minimax-hailuo-02", "  state  failed"]
    assert lines[-2:] == [ID[::-1], "  state  succeeded"]


def test_prose_is_shortened_and_spare_columns_go_first(shown: object) -> None:
    """The reason of a failure would push out the state, or a type be cut in its middle."""
    heads, _, first, _ = shown(90)  # type: ignore[operator]
    assert heads.split() == ["TASK", "TYPE", "STATE", "NOTE"]
    assert first.rstrip().endswith("…")
    assert "[bold]" in shown(200)[2]  # type: ignore[operator]
    assert shown(70)[0].split() == ["TASK", "STATE", "NOTE"]  # type: ignore[operator]
    assert shown(60)[0].split() == ["TASK", "STATE"]  # type: ignore[operator]


def test_what_is_left_out_is_named_by_width() -> None:
    """Columns would go in another order than their need."""
    assert table.fitting(("A", "B", "C"), (5, 5, 5), 19, ("B", "C")) == [0, 1, 2]
    assert table.fitting(("A", "B", "C"), (5, 5, 5), 18, ("B", "C")) == [0, 2]
    assert table.fitting(("A", "B", "C"), (5, 5, 5), 5, ("B", "C")) == [0]
    assert table.fitting(("A", "B", "C"), (5, 5, 5), 4, ("B", "C")) is None


def test_wide_characters_count_twice() -> None:
    """A Chinese reason would run over the edge of the screen."""
    assert table.widths(("A", "NOTE"), [["1", "你好你好"]]) == [1, 8]


def test_programs_get_all_columns_behind_tabs(capsys: pytest.CaptureFixture[str]) -> None:
    """A script would have to know how wide somebody's terminal is, or read escape sequences."""
    table.write_table(("X", "Y"), [("a\tb", None), (1, "c\x1b[31m")], ("Y",))
    assert capsys.readouterr().out == "X\tY\na b\t\n1\tc [31m\n"


def test_lines_name_what_they_hold() -> None:
    """A value without its column's name could mean anything."""
    assert list(table.stacked(("ID", "A", "LONG"), [["x", "1", ""], ["y", "", "2"]])) == [
        "x",
        "  a     1",
        "y",
        "  long  2",
    ]
