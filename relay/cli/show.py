"""``relay show``: all that a running relay knows about one task or chat."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, Final

import typer

from relay.cli import completion, options
from relay.cli.client import Client
from relay.cli.connection import connect
from relay.cli.format import duration, size
from relay.cli.outcome import complain
from relay.cli.output import write_facts, write_json, write_line
from relay.core.errors import RelayError

Json = Mapping[str, Any]
Fact = tuple[str, str]

MOST_PAGES: Final = 20
"""Of a thousand events each; what is longer says so."""
LEAST_PREFIX: Final = 4
_ENDS: Final = ("succeeded", "failed", "abandoned")


def show(
    subject: Annotated[
        str,
        typer.Argument(
            metavar="ID",
            autocompletion=completion.subjects,
            help="The id of a task or chat, or the first characters of one of the newest.",
        ),
    ],
    config: options.Config = None,
    url: options.Url = None,
    token: options.Token = None,
    token_file: options.TokenFile = None,
    json: options.Json = False,
) -> None:
    """Show all about one task or chat.

    How it ended and what it made or said, then everything that happened: its events, when each sink got them, absorbed
    duplicates, dead letters. --json writes the answer of GET /v1/subjects/ID.
    """
    timeline = timeline_of(connect(config, url, token, token_file), subject)
    if json:
        write_json(timeline)
    else:
        _write(timeline)
    if timeline["truncated"]:
        complain(f"There is more than this: `relay tail --no-follow --subject {timeline['subject']}` shows all events.")


def timeline_of(client: Client, subject: str) -> Json:
    """The timeline of an id, or of the only one among the newest that begins so. Raises ``RelayError``."""
    try:
        return client.timeline(subject, MOST_PAGES)
    except RelayError as error:
        if error.code != "not_found":
            raise
    newest = [str(task["task_id"]) for task in next(client.tasks({}))["tasks"]]
    newest += [str(chat["chat_id"]) for chat in next(client.chats({}))["chats"]]
    matching = [id for id in dict.fromkeys(newest) if id.startswith(subject) and len(subject) >= LEAST_PREFIX]
    if not matching:
        message = f"No task, chat or delivery has the id {subject}, or the journal holds no event about it any more."
        raise RelayError("unknown_subject", message, hint="`relay tasks` and `relay chats` list them.")
    if len(matching) > 1:
        message = f"{len(matching)} of the newest ids begin with {subject}."
        raise RelayError("ambiguous_id", message, hint=", ".join(matching[:10]))
    return client.timeline(matching[0], MOST_PAGES)


def facts(timeline: Json) -> Iterator[Fact]:
    """What it is and how it ended, name by name, and what it made. Pure."""
    events = [each["event"] for each in timeline["events"]]
    yield timeline["kind"], timeline["subject"]
    if timeline["kind"] == "chat":
        yield from _chat(events)
    elif timeline["kind"] == "task":
        yield from _task(timeline["task"] or {}, events)
        yield from (
            (f"{copy['kind']} {copy['index'] + 1} {copy['state']}", _copy(copy))
            for copy in timeline.get("outputs") or ()
        )


def _task(task: Json, events: Sequence[Json]) -> Iterator[Fact]:
    end: Json = next((event["data"] for event in events if event["type"].rpartition(".")[2] in _ENDS), {})
    latest = events[-1]["data"] if events else {}
    timings = end.get("timings") or {}
    submitted = task.get("submitted_at") or timings.get("submitted_at")
    finished = timings.get("finished_at") or end.get("received_at") or task.get("ended_at")
    yield "state", task.get("state") or end.get("status") or latest.get("status") or "unknown"
    named = {
        "reason": end.get("reason") or task.get("reason"),
        "type": end.get("task_type") or task.get("task_type") or latest.get("task_type"),
        "submitted": submitted,
        "finished": finished,
        "duration": _between(submitted, finished),
        "known via": task.get("known_via"),
        "polls": str(task["polls"]) if task.get("polls") else None,
        "next poll": task.get("next_poll_at"),
        "polling problem": task.get("trouble"),
    }
    yield from ((name, value) for name, value in named.items() if value)
    made = [event["data"]["outputs"] for event in events if event["data"].get("outputs")]
    # Of several events, the last one: a contradiction brings other outputs.
    yield from ((str(output["kind"]), _output(output)) for output in (made[-1] if made else ()))


def _output(output: Json) -> str:
    expires = output.get("expires_at")
    return f"{output['url']}" + (f"  (until {expires})" if expires else "")


def _copy(output: Json) -> str:
    """Where an output is archived, or why it is not."""
    if output["url"]:
        return f"{output['url']}  ({size(output['size'])}, sha256 {output['sha256']})"
    return str(output["reason"] or "it waits")


def _chat(events: Sequence[Json]) -> Iterator[Fact]:
    started: Json = next((event["data"] for event in events if event["type"] == "relay.chat.started"), {})
    end: Json = next((event["data"] for event in events if event["data"].get("outcome")), {})
    timings, counts = end.get("timings") or {}, end.get("tokens") or {}
    yield "state", end.get("outcome") or "open"
    tokens = ", ".join(f"{number} {kind}" for kind, number in counts.items() if number is not None)
    named = {
        "reason": end.get("reason"),
        "error": (end.get("error") or {}).get("message"),
        "api": end.get("api") or started.get("api"),
        "model": end.get("model") or started.get("model"),
        "client": end.get("client") or started.get("client"),
        "started": timings.get("started_at") or started.get("started_at"),
        "first token": _milliseconds(timings.get("first_token_ms")),
        "duration": _milliseconds(timings.get("duration_ms")),
        "tokens": tokens,
    }
    yield from ((name, str(value)) for name, value in named.items() if value)
    yield from (part for choice in end.get("choices") or () for part in _choice(choice))


def _choice(choice: Json) -> Iterator[Fact]:
    if choice.get("reasoning_content"):
        yield "reasoning", choice["reasoning_content"]
    if choice.get("content"):
        yield "text", choice["content"]
    for call in choice.get("tool_calls") or ():
        function = call.get("function") or {}
        yield "call", f"{function.get('name') or '?'}({function.get('arguments') or ''})"


def _milliseconds(value: int | None) -> str | None:
    return None if value is None else duration(value / 1000)


def _between(begin: str | None, end: str | None) -> str | None:
    from relay.core.clock import parse_rfc3339

    return duration((parse_rfc3339(end) - parse_rfc3339(begin)) / 1000) if begin and end else None


def _write(timeline: Json) -> None:
    from relay.cli.moments import moments

    write_facts(list(facts(timeline)))
    write_line()
    happened = moments(timeline)
    widest = max((len(moment.title) for moment in happened), default=0)
    before = None
    for moment in happened:
        gap = _between(before, moment.at)
        before = moment.at or before
        when = f"{moment.at or '-':<24}  {f'+{gap}' if gap else '':<8}  "
        write_line((when, "dim"), (f"{moment.title:<{widest}}  ", moment.style), (moment.text, ""))
