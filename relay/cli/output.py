"""How commands print: tables and colour on a terminal, tab-separated text in a pipe, JSON on request.

``NO_COLOR`` and ``TERM=dumb`` are respected (by rich). Text that came from elsewhere never reaches a terminal with
control characters in it.
"""

from __future__ import annotations

import select
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from rich.console import Console

    from relay.cli.doctor.findings import Finding, Status

Segment = tuple[str, str]
"""Text and its rich style."""

STYLES: Final[dict[Status, str]] = {"ok": "green", "warning": "yellow", "failed": "red"}
"""How what was found is coloured."""

_EVENT_STYLES: Final = {
    "succeeded": "green",
    "completed": "green",
    "failed": "red",
    "dead": "bold red",
    "abandoned": "yellow",
    "cancelled": "yellow",
    "conflicted": "bold yellow",
}
_KEPT_IN_BLOCKS = "\n\t"


def is_terminal() -> bool:
    """Whether people are looking at standard output."""
    return sys.stdout.isatty()


def reader_has_gone() -> bool:
    """Whether nobody will ever read what is written next: asked where nothing may be written for long."""
    poll = select.poll()
    poll.register(sys.stdout.fileno(), 0)
    return any(events & (select.POLLERR | select.POLLHUP) for _, events in poll.poll(0))


@cache
def console() -> Console:
    """Standard output as rich sees it."""
    from rich.console import Console

    return Console(highlight=False, markup=False, emoji=False)


def clean(text: object, kept: str = "") -> str:
    """Text without control characters: one in an upstream's message could rewrite what is on the screen."""
    return "".join(char if char.isprintable() or char in kept else " " for char in str(text))


def write_line(*segments: Segment) -> None:
    """A line, at once; with colour on a terminal."""
    cleaned = [(clean(text), style) for text, style in segments]
    if is_terminal():
        from rich.text import Text

        console().print(Text.assemble(*cleaned), soft_wrap=True)
    else:
        sys.stdout.write("".join(text for text, _ in cleaned).rstrip() + "\n")
        sys.stdout.flush()


def style_of(event_type: str) -> str:
    """How an event is coloured: by the last word of its type."""
    return _EVENT_STYLES.get(event_type.rpartition(".")[2], "")


def write_facts(facts: Sequence[tuple[str, str]]) -> None:
    """A line for each name and its value, with the values in a column."""
    longest = max((len(name) for name, _ in facts), default=0)
    for name, value in facts:
        write_line((f"{name:<{longest}}  ", "bold"), (value, ""))


def write_finding(found: Finding) -> None:
    """What was found in one line, and below it what to do."""
    write_line((f"{found.status:<9}", STYLES[found.status]), (f"{found.check}: ", "bold"), (found.message, ""))
    if found.hint:
        write_line((f"         {found.hint}", "dim"))


def write_block(text: str) -> None:
    """Text of several lines, as it is but for its control characters."""
    sys.stdout.write(clean(text, _KEPT_IN_BLOCKS).rstrip("\n") + "\n")


def write_json(document: object) -> None:
    """One JSON document, indented."""
    import orjson

    write_json_line(orjson.dumps(document, option=orjson.OPT_INDENT_2))


def write_json_line(document: bytes) -> None:
    """JSON that is serialized already, at once."""
    sys.stdout.flush()
    sys.stdout.buffer.write(document + b"\n")
    sys.stdout.buffer.flush()


Moved = Callable[[int, int, str], None]
"""Called with how much is done, of how much, and a text beside it."""


@contextmanager
def progress_bar(what: str) -> Iterator[Moved]:
    """A bar on standard error while somebody looks at it; nothing where nobody does."""
    if not sys.stderr.isatty():
        yield lambda done, total, note: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TextColumn("{task.fields[note]}"))
    with Progress(*columns, TimeRemainingColumn(), console=Console(stderr=True)) as bar:
        task = bar.add_task(what, total=None, note="")
        yield lambda done, total, note: bar.update(task, completed=done, total=total, note=note)
