"""Tables that fit: on a terminal of 40 columns as on one of 200, and never with an id or a number cut.

Prose in the last column is shortened, then the least needed columns are left out; where even the needed ones do not
fit, each row becomes a few lines. A pipe gets all of it, separated by tabs.
"""

from __future__ import annotations

import sys
from collections.abc import Collection, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final

from relay.cli.output import clean, console, is_terminal, write_line

if TYPE_CHECKING:
    from rich.console import Console

_GAP: Final = 2
"""Characters between two columns."""
_LEAST_PROSE: Final = 16
"""Characters of prose that are worth their place."""

Rows = Sequence[Sequence[str]]


def write_table(
    columns: Sequence[str], rows: Sequence[Sequence[Any]], spare: Sequence[str] = (), *, prose: bool = False
) -> None:
    """Rows under their headings. ``None`` shows as nothing.

    ``spare``: the columns that a narrow terminal can do without, the least needed first.
    ``prose``: the last column holds sentences, which may be shortened.
    """
    cells = [["" if value is None else clean(value) for value in row] for row in rows]
    if not is_terminal():
        sys.stdout.write("".join("\t".join(line) + "\n" for line in (columns, *cells)))
        return
    wide = widths(columns, cells)
    needed = [*wide[:-1], min(wide[-1], _LEAST_PROSE)] if prose else wide
    shown = fitting(columns, needed, console().width, spare)
    if shown is None:
        for line in stacked(columns, cells):
            write_line((line, "" if line.startswith(" ") else "bold"))
    else:
        _print([columns[place] for place in shown], [[row[place] for place in shown] for row in cells], console())


def widths(columns: Sequence[str], cells: Rows) -> list[int]:
    """How many characters wide each column is on a terminal; a Chinese one is two."""
    from rich.cells import cell_len

    return [max(map(cell_len, column)) for column in zip(columns, *cells, strict=True)]


def fitting(columns: Sequence[str], needed: Sequence[int], width: int, spare: Collection[str]) -> list[int] | None:
    """The places of the columns that fit into a width, each with what it needs; ``None``: not even the others do."""
    places = list(range(len(columns)))
    for name in (None, *spare):
        if name is not None:
            places.remove(columns.index(name))
        if sum(needed[place] for place in places) + _GAP * (len(places) - 1) <= width:
            return places
    return None


def stacked(columns: Sequence[str], cells: Rows) -> Iterator[str]:
    """A line for the first column of each row, and one below it for each other column that holds something."""
    longest = max(map(len, columns[1:]), default=0)
    for first, *others in cells:
        yield first
        named = zip(columns[1:], others, strict=True)
        yield from (f"  {name.lower():<{longest}}  {value}" for name, value in named if value)


def _print(columns: Sequence[str], cells: Rows, console: Console) -> None:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), header_style="bold", pad_edge=False, show_edge=False)
    for column in columns[:-1]:
        table.add_column(column, no_wrap=True)
    table.add_column(columns[-1])
    for row in cells:
        # One line each: prose that does not fit ends in an ellipsis, and --json has all of it.
        table.add_row(*(Text(value, no_wrap=True, overflow="ellipsis") for value in row))
    console.print(table)
