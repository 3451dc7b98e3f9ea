"""``relay journal``: inspects the file of a stopped relay."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, BinaryIO

import typer

from relay.cli import configured, options
from relay.cli.format import duration, size
from relay.cli.outcome import FAILED, complain
from relay.cli.output import write_facts, write_json, write_line
from relay.cli.table import write_table
from relay.core.clock import rfc3339
from relay.core.errors import RelayError
from relay.core.event import Entry, one_line

if TYPE_CHECKING:
    from relay.journal.inspect import Figures, Finding, Stopped

app = typer.Typer(name="journal", help="Inspect the journal of a stopped relay.", no_args_is_help=True)

JournalPath = Annotated[
    Path | None,
    typer.Option(
        "--path", metavar="FILE", show_default="journal.path of the configuration", help="The journal's file."
    ),
]


@app.command()
def stats(config: options.Config = None, path: JournalPath = None, json: options.Json = False) -> None:
    """Show what the journal holds. For a running relay, see GET /metrics."""
    from relay.journal.inspect import figures

    with _opened(config, path) as (store, _):
        found = figures(store)
        place = store.path
    if json:
        write_json({"path": str(place), **asdict(found)})
        return
    write_facts(list(_facts(place, found)))
    if found.sinks:
        write_line()
        _write_sinks(found)


@app.command()
def verify(config: options.Config = None, path: JournalPath = None, json: options.Json = False) -> None:
    """Check that the file is intact and no event was lost on its way to a sink. Exit code 1 if anything is wrong."""
    from relay.journal import inspect

    with _opened(config, path) as (store, sinks):
        found, findings = inspect.verify(store, sinks)
        place = store.path
    if json:
        write_json({"path": str(place), "ok": not findings, "findings": [asdict(each) for each in findings]})
    else:
        _write_verdict(place, found, findings)
    raise typer.Exit(FAILED if findings else 0)


@app.command()
def export(
    config: options.Config = None,
    path: JournalPath = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FILE", show_default="standard output", help="A new file to write."),
    ] = None,
    after: Annotated[int, typer.Option(metavar="OFFSET", min=0, help="Start after this offset.")] = 0,
    topic: options.Topic = None,
    json: Annotated[bool, typer.Option("--json", help="JSON lines, the only format.")] = False,
) -> None:
    """Write each event as a line of JSON.

    Each is a structured CloudEvent with the extensions offset and topic (and sink, for a replay to one sink).
    """
    options.check_filters(topic, None)
    with _opened(config, path) as (store, _), _target(output) as target:
        written = 0
        for entry in store.each(after, topic):
            target.write(exported(entry))
            written += 1
        target.flush()
    if output is not None:
        complain(f"{written} events written to {output}.")


@contextmanager
def _opened(config: Path | None, path: Path | None) -> Iterator[tuple[Stopped, list[str] | None]]:
    """The journal, and the labels of the configured sinks where the configuration was asked."""
    sinks = None
    if path is None:
        settings = configured.load(config)
        path, sinks = settings.journal.path, [sink.label for sink in settings.sinks]
    with opened_journal(path) as store:
        yield store, sinks


@contextmanager
def opened_journal(path: Path) -> Iterator[Stopped]:
    """The journal of a relay that is stopped. Raises ``RelayError`` where there is none, or its relay runs."""
    from relay.journal.errors import JournalInUse
    from relay.journal.inspect import open_existing

    try:
        store = open_existing(path)
    except JournalInUse as error:
        hint = "Stop the relay first; while it runs, GET /metrics and `relay tail` show its state."
        raise RelayError(error.code, error.message, hint=hint) from None
    with closing(store):
        yield store


@contextmanager
def _target(output: Path | None) -> Iterator[BinaryIO]:
    if output is None:
        yield sys.stdout.buffer
        return
    try:
        # Never over a file that is there: it may be the only copy of a journal that is gone.
        file = output.open("xb")
    except FileExistsError:
        raise RelayError("exists", f"{output} already exists.", hint="Choose another file.") from None
    with file:
        yield file


def exported(entry: Entry) -> bytes:
    """One line of an export. ``sink`` is there where the event was meant for one sink only (a replay)."""
    import orjson

    extensions: dict[str, Any] = {"offset": entry.offset, "topic": entry.event.topic}
    if entry.sink is not None:
        extensions["sink"] = entry.sink
    document = {**dict(entry.event.attributes()), **extensions, "data": orjson.Fragment(one_line(entry.event.data))}
    return orjson.dumps(document, option=orjson.OPT_APPEND_NEWLINE)


def _facts(path: Path, found: Figures) -> Iterator[tuple[str, str]]:
    yield "path", str(path)
    yield "journal", found.journal_id
    yield "events", str(found.events)
    yield (
        "offsets",
        f"{found.first_offset} to {found.last_offset}" if found.events else f"none held, last {found.last_offset}",
    )
    yield "oldest event", _age(found.oldest_at) if found.oldest_at is not None else "none"
    yield "size", size(found.size)
    yield "dedup keys", str(found.dedup_keys)
    yield "dead letters", str(found.dead_letters)


def _write_verdict(place: Path, found: Figures | None, findings: list[Finding]) -> None:
    if found is not None and found.sinks:
        _write_sinks(found)
    for finding in findings:
        write_line(("wrong  ", "red"), (finding.message, ""))
    for hint in dict.fromkeys(finding.hint for finding in findings):
        write_line((f"       {hint}", ""))
    if found is not None and not findings:
        write_line(("ok     ", "green"), (f"{place}: {found.events} events, nothing wrong", ""))


def _age(at: int, now: Callable[[], float] = time.time) -> str:
    return f"{duration(now() - at / 1000)} ago ({rfc3339(at)})"


def _write_sinks(found: Figures) -> None:
    columns = ("SINK", "CHECKPOINT", "ACCEPTED", "= PUBLISHED", "+ PENDING", "+ DEAD", "+ ABSORBED")
    rows = [(s.sink, s.offset, s.accepted, s.published, s.pending, s.dead, s.absorbed) for s in found.sinks]
    write_table(columns, rows)
