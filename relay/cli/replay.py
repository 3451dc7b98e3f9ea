"""``relay replay``: publishes a range of the journal again, to a topic of your choice."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Final
from uuid import uuid4

import typer

from relay.cli import completion, configured, options
from relay.cli.client import Client, Unreachable
from relay.cli.connection import connect
from relay.cli.outcome import FAILED, complain
from relay.cli.output import progress_bar, write_json, write_line
from relay.cli.serve import run_loop
from relay.cli.table import write_table
from relay.core.errors import RelayError

if TYPE_CHECKING:
    from relay.cli.history import History
    from relay.core.event_filter import EventFilter
    from relay.core.publishing.replay import Request
    from relay.core.sink import Identity, SinkConfig
    from relay.publishing.replay import Report
    from relay.settings import Settings

Limits = tuple[int | None, int | None]
"""The first and the last offset, where they were given as such."""

_NEWEST: Final = "latest"
_GOES_ON: Final = "Run the same command again to resume."


@dataclass(frozen=True, slots=True)
class Target:
    """A sink by its configuration, and as whom it is published to."""

    config: SinkConfig
    identity: Identity


# Long by its options alone: typer reads them from the signature.
def replay(
    begin: Annotated[
        str,
        typer.Option("--from", metavar="OFFSET|TIME", help="The first event: its offset, or a time (RFC 3339)."),
    ],
    end: Annotated[
        str,
        typer.Option("--to", metavar="OFFSET|TIME", help="The last event, inclusive; or latest, the newest one now."),
    ],
    sink: Annotated[
        str,
        typer.Option("--sink", metavar="LABEL", autocompletion=completion.sink_labels, help="The sink to publish to."),
    ],
    topic: Annotated[
        str | None,
        typer.Option(
            "--topic",
            metavar="NAME",
            help="The topic to publish to, like tasks-again, without the sink's prefix.",
        ),
    ] = None,
    same_topic: Annotated[
        bool,
        typer.Option(
            "--same-topic", help="Publish to the events' original topics instead, so that consumers get them again."
        ),
    ] = False,
    only_topic: Annotated[
        str | None,
        typer.Option(
            "--only-topic",
            metavar="TOPIC",
            autocompletion=completion.topics,
            help="Only events of this topic: tasks, chat, chat-chunks, outputs, dead-letters.",
        ),
    ] = None,
    kind: options.Type = None,
    subject: options.Subject = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Count what would be published; publish nothing.")] = False,
    again: Annotated[bool, typer.Option("--again", help="Publish even if this replay was already done.")] = False,
    abandon: Annotated[bool, typer.Option("--abandon", help="Give up another unfinished replay.")] = False,
    stopped: Annotated[bool, typer.Option("--stopped", help="Read the journal's file of a stopped relay.")] = False,
    yes: options.Yes = False,
    config: options.Config = None,
    url: options.Url = None,
    token: options.Token = None,
    token_file: options.TokenFile = None,
    json: options.Json = False,
) -> None:
    """Publish a range of the journal again.

    The events keep their ids. The sink keeps a checkpoint under IDENTITY-replay: after an interruption, the same
    command resumes without repeating anything. Times are the events' own. Exit code 1 if the sink refused events.
    """
    from relay.core.publishing.replay import Request

    settings = configured.load(config)
    wanted, limits = _selected(begin, end, topic, only_topic, kind, subject, same_topic=same_topic)
    target = _target(settings, sink, topic)

    def serve() -> Client:
        return connect(config, url, token, token_file)

    with _history(settings, wanted, None if stopped else serve) as history:
        request = Request(history.journal(), begin, end, wanted, topic)
        span = _span(limits, history)
        if dry_run:
            _count(request, target, span, history, json)
            return
        if not yes:
            _agree(request, target, span)
        report = _run(request, target, span, history, again=again, abandon=abandon)
    _tell(report, request, target, json)


def _selected(
    begin: str,
    end: str,
    topic: str | None,
    only_topic: str | None,
    kind: str | None,
    subject: str | None,
    *,
    same_topic: bool,
) -> tuple[EventFilter, Limits]:
    """Which events are asked for, by offsets and by the rest. Raises ``typer.BadParameter``."""
    from relay.core.event_filter import EventFilter

    if (topic is None) != same_topic:
        raise typer.BadParameter("choose the target: --topic NAME or --same-topic", param_hint="'--topic'")
    options.check_filters(only_topic, kind, "--only-topic")
    first, not_before = _bound(begin, "--from")
    last, not_after = (None, None) if end == _NEWEST else _bound(end, "--to")
    topics, types = (None if word is None else (word,) for word in (only_topic, kind))
    return EventFilter(topics, types, subject, not_before, not_after), (first, last)


def _bound(text: str, option: str) -> tuple[int | None, int | None]:
    """An offset, or an instant."""
    from relay.core.clock import parse_rfc3339

    if text.isascii() and text.isdigit() and 0 < len(text) < 19:
        return max(1, int(text)), None
    try:
        return None, parse_rfc3339(text)
    except ValueError:
        message = "must be an offset like 17, or a time like 2026-01-31T09:00:00Z"
        raise typer.BadParameter(message, param_hint=f"'{option}'") from None


def _target(settings: Settings, label: str, topic: str | None) -> Target:
    from relay.core.publishing.replay import IDENTITY_SUFFIX, why_no_topic
    from relay.core.sink import Identity
    from relay.settings.errors import nearest

    config = next((each for each in settings.sinks if each.label == label), None)
    if config is None:
        known = nearest(label, [each.label for each in settings.sinks])
        raise typer.BadParameter(f"no sink is configured as {label!r}; {known}", param_hint="'--sink'")
    wrong = why_no_topic(topic, config.name_of("")) if topic is not None else None
    if wrong is not None:
        raise typer.BadParameter(wrong, param_hint="'--topic'")
    return Target(config, Identity(settings.identity_name + IDENTITY_SUFFIX, uuid4().hex))


@contextmanager
def _history(settings: Settings, wanted: EventFilter, serve: Callable[[], Client] | None) -> Iterator[History]:
    """A running relay's, or that of the file where there is nobody to serve it."""
    from relay.cli.history import Served, Stored
    from relay.cli.journal import opened_journal

    if serve is None:
        with opened_journal(settings.journal.path) as store:
            yield Stored(store, wanted)
        return
    try:
        yield Served(serve(), wanted)
    except Unreachable as error:
        hint = "Is it running? Pass another address with --url, or read the journal of a stopped relay with --stopped."
        raise RelayError(error.code, error.message, hint=hint) from None


def _span(limits: Limits, history: History) -> tuple[int, int]:
    """The offsets to go through. Raises ``RelayError`` where there are none."""
    newest = history.newest()
    first, last = limits[0] or 1, limits[1] or newest
    if not newest:
        raise RelayError("no_events", "The journal holds no event yet.", hint="Is it the right relay, or journal.path?")
    if last > newest:
        message = f"--to {last} is beyond the newest event, which has offset {newest}."
        raise RelayError("no_events", message, hint="Use --to latest.")
    oldest = history.oldest(first - 1) if first <= last else None
    if oldest is None or oldest > last:
        message = f"The journal holds no event from {first} to {last}; the newest has offset {newest}."
        raise RelayError("no_events", message, hint="`relay tail --no-follow --json` shows what it holds.")
    # A time does not claim that something is held from there.
    if oldest > first and limits[0] is not None:
        complain(f"relay: the journal holds nothing from {first} to {oldest - 1} (any more).")
    return max(first, oldest), last


def _count(request: Request, target: Target, span: tuple[int, int], history: History, json: bool) -> None:
    """What would be published, by type."""
    counts: Counter[tuple[str, str]] = Counter()
    after = span[0] - 1
    while after < span[1]:
        page = history.page(after)
        counts.update((e.event.topic, e.event.type) for e in page.entries if e.offset <= span[1])
        after = page.upto
    name_of = target.config.name_of
    rows = [(topic, kind, n, name_of(request.topic or topic)) for (topic, kind), n in sorted(counts.items())]
    if json:
        named = [dict(zip(("topic", "type", "events", "to"), row, strict=True)) for row in rows]
        write_json({"sink": target.config.label, "first": span[0], "last": span[1], "would_publish": named})
        return
    if rows:
        write_table(("TOPIC", "TYPE", "EVENTS", "TO"), rows)
    complain(f"{counts.total()} events of offsets {span[0]} to {span[1]} would be published; nothing was published.")


def _agree(request: Request, target: Target, span: tuple[int, int]) -> None:
    if not sys.stdin.isatty():
        raise typer.BadParameter("is needed without a terminal", param_hint="'--yes'")
    where = (
        target.config.name_of(request.topic) if request.topic else "their own topics, where consumers read them again"
    )
    number = span[1] - span[0] + 1
    typer.confirm(
        f"Publish the selected events of offsets {span[0]} to {span[1]} (at most {number} events) to {where}"
        f" on {target.config.label}?",
        abort=True,
        err=True,
    )


def _run(
    request: Request, target: Target, span: tuple[int, int], history: History, *, again: bool, abandon: bool
) -> Report:
    from relay.app.plugins import connect
    from relay.core.sink import SinkUnavailable
    from relay.publishing.replay import Replay

    sink = connect(target.config, target.identity, request.topics)
    with progress_bar("replaying") as moved:

        def show(report: Report) -> None:
            run = report.run
            moved(report.at - run.first + 1, run.last - run.first + 1, f"{report.published} published")

        replaying = Replay(sink, target.config.label, request, span, history.page, show)
        try:
            return run_loop(replaying.run(again=again, abandon=abandon))
        except SinkUnavailable as error:
            raise RelayError(error.code, error.message, hint=f"{error.hint} {_GOES_ON}".strip()) from None
        except KeyboardInterrupt:
            complain(f"relay: interrupted. {_GOES_ON}")
            raise typer.Exit(FAILED) from None


def _tell(report: Report, request: Request, target: Target, json: bool) -> None:
    refused = [
        {"offset": entry.offset, "id": entry.event.id, "code": reason.code, "detail": reason.detail}
        for entry, reason in report.refused
    ]
    if json:
        document: dict[str, Any] = {"sink": target.config.label, "first": report.run.first, "last": report.run.last}
        document |= {"to": target.config.name_of(request.topic) if request.topic else None}
        document |= {"finished_before": report.finished_before, "resumed_after": report.resumed_after}
        write_json(document | {"published": report.published, "refused": refused})
    else:
        _say(report, request, target)
    for each in refused:
        complain(f"refused  offset {each['offset']}, {each['id']}: {each['detail']} ({each['code']})")
    if refused:
        raise typer.Exit(FAILED)


def _say(report: Report, request: Request, target: Target) -> None:
    where = target.config.name_of(request.topic) if request.topic else "their own topics"
    offsets = f"offsets {report.run.first} to {report.run.last}"
    if report.finished_before:
        write_line(("done     ", "green"), (f"before: {offsets} to {where}; --again publishes them again", ""))
        return
    before = "" if report.resumed_after is None else f", going on after offset {report.resumed_after}"
    write_line(("done     ", "green"), (f"{report.published} events of {offsets} to {where}{before}", ""))
