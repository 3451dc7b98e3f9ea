"""``relay tail``: shows the journal's events as they arrive, for people or as JSON lines."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Annotated, Any, Final

import typer

from relay.cli import options
from relay.cli.client import Client, Frame
from relay.cli.connection import connect
from relay.cli.format import duration
from relay.cli.outcome import complain
from relay.cli.output import Segment, reader_has_gone, style_of, write_json_line, write_line
from relay.core.errors import RelayError
from relay.core.retry import Backoff

_WIDEST_TYPE: Final = len("relay.task.conflicted")
_LONGEST_TEXT: Final = 100

Json = dict[str, Any]


def tail(
    config: options.Config = None,
    url: options.Url = None,
    token: options.Token = None,
    token_file: options.TokenFile = None,
    topic: options.Topic = None,
    kind: options.Type = None,
    subject: options.Subject = None,
    after: Annotated[
        str | None,
        typer.Option(metavar="OFFSET", show_default="latest", help="Start after this offset, or at 'latest'."),
    ] = None,
    from_start: Annotated[
        bool, typer.Option("--from-start", help="Start with the oldest event in the journal.")
    ] = False,
    follow: Annotated[
        bool, typer.Option("--follow/--no-follow", help="Keep following new events, or stop after the newest one.")
    ] = True,
    json: options.Json = False,
) -> None:
    """Show events as they arrive; Ctrl-C stops.

    Reconnects by itself and misses nothing. --json writes one CloudEvent per line. --no-follow starts with the oldest
    event by default.
    """
    options.check_filters(topic, kind)
    start = _start(after, from_start=from_start, follow=follow)
    client = connect(config, url, token, token_file)
    wanted = options.given(topic=topic, type=kind, subject=subject)
    try:
        newest = client.latest()  # asked in any case: a wrong address or token shows at once
        start = newest if start is None else start
        if follow:
            for frame in Following(client, wanted).frames(start):
                if frame is not None:
                    _show_frame(frame, json)
                elif reader_has_gone():
                    return
        else:
            for entry in client.events(start, wanted, _tell_pruned):
                _show(entry["event"], json)
    except KeyboardInterrupt:
        return  # how people end it


def _start(after: str | None, *, from_start: bool, follow: bool) -> int | None:
    """The offset to begin after; ``None``: the newest."""
    if from_start:
        if after is not None:
            raise typer.BadParameter("excludes --after", param_hint="'--from-start'")
        return 0
    if after is None:
        return None if follow else 0
    if after == "latest":
        return None
    if not (after.isascii() and after.isdigit() and len(after) <= 19):
        raise typer.BadParameter("must be an offset like 17, or 'latest'", param_hint="'--after'")
    return int(after)


@dataclass(slots=True)
class Following:
    """A live stream that outlives its connections: each goes on after the last event of the one before."""

    client: Client
    wanted: dict[str, str]
    backoff: Backoff = field(default_factory=lambda: Backoff(first=0.5, most=15.0))

    def frames(self, after: int) -> Iterator[Frame | None]:
        """Events beyond an offset and heartbeats, forever. Raises ``RelayError`` when the relay refuses."""
        failures = 0
        while True:
            reason = "the relay ended the stream"
            try:
                for frame in self.client.follow(after, self.wanted):
                    after, failures = after if frame is None else frame.offset, 0
                    yield frame
            except RelayError as error:
                if not error.retriable:
                    raise
                reason = error.message
            failures += 1
            # The dice only spread retries over time.
            delay = self.backoff.delay(failures, random.random())  # noqa: S311
            complain(f"relay: {reason}; next try in {delay:.1f} s, after offset {after}")
            time.sleep(delay)


def _show_frame(frame: Frame, json: bool) -> None:
    import orjson

    from relay.core.pruned import PRUNED

    if frame.kind == PRUNED:
        _tell_pruned(orjson.loads(frame.data)["data"])
    elif json:
        write_json_line(frame.data)
    else:
        _show(orjson.loads(frame.data), json)


def _tell_pruned(offsets: dict[str, Any]) -> None:
    """On standard error: standard output is for events."""
    complain(f"relay: the offsets {offsets['first']} to {offsets['last']} are no longer retained and were skipped")


def _show(event: dict[str, Any], json: bool) -> None:
    if json:
        import orjson

        write_json_line(orjson.dumps(event))
        return
    write_line(*event_line(event))


def event_line(event: dict[str, Any]) -> list[Segment]:
    """An event in one line: when, what, about which subject, and what came of it."""
    kind = str(event["type"])
    return [
        (f"{event['time']}  ", "dim"),
        (f"{kind:<{_WIDEST_TYPE}}  ", style_of(kind)),
        (f"{event['subject']}  ", "bold"),
        (_details(event["data"]), ""),
    ]


def _details(data: Json) -> str:
    kinds = [str(output["kind"]) for output in data.get("outputs") or ()]
    outputs = [f"{kinds.count(kind)} {kind}" for kind in dict.fromkeys(kinds)]
    counts, lasted = data.get("tokens") or {}, (data.get("timings") or {}).get("duration_ms")
    tokens = (counts.get("input") or 0) + (counts.get("output") or 0)
    named = [
        data.get("task_type") or data.get("model"),
        ", ".join(outputs),
        data.get("reason"),
        data.get("detail"),
        f"{tokens} tokens" if tokens else None,
        None if lasted is None else duration(lasted / 1000),
        _shortened(_text(data)),
    ]
    return "  ".join(str(part) for part in named if part)


def _text(data: Json) -> str:
    """What a chat said in this event, if it was captured: content, else reasoning, else what it calls."""
    chunks = data.get("chunks")  # as the upstream sent them; the last event of a chat has their number
    said = _said(chunks) if isinstance(chunks, list) else _objects(data.get("choices"))
    for name in ("content", "reasoning_content"):
        if text := "".join(part for each in said if isinstance(part := each.get(name), str)):
            return text
    calls = _objects([call.get("function") for each in said for call in _objects(each.get("tool_calls"))])
    return ", ".join(f"{call['name']}()" for call in calls if call.get("name"))


def _said(chunks: list[Any]) -> list[Json]:
    from relay.apis import apis
    from relay.core.chat.said import said

    return [dict(choice) for choice in said(chunks, apis().values())]


def _objects(value: object) -> list[Json]:
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []


def _shortened(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= _LONGEST_TEXT else text[: _LONGEST_TEXT - 1] + "…"
