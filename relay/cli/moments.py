"""The timeline of a task or chat, moment by moment, as the console shows it. Pure: ``GET /v1/subjects`` in, values out.

Only what people look for has a line: chunks in a row are one moment, and so is what a sink got at one time.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any, Final, NamedTuple

from relay.cli.format import counted, duration
from relay.cli.output import style_of
from relay.core.clock import parse_rfc3339, rfc3339

Json = Mapping[str, Any]

_CHUNK: Final = "relay.chat.chunk"
_GOOD, _BAD, _CALM = "green", "red", "dim"
_PUBLICATIONS: Final = {
    "published": ("published on", _GOOD),
    "pending": ("waits for", ""),
    "dead": ("refused by", _BAD),
    "absorbed": ("published by another replica, skipped on", _CALM),
}


class Moment(NamedTuple):
    """``at`` is RFC 3339; ``None`` of what has not happened yet, or at a time that was not recorded. It comes last."""

    at: str | None
    title: str
    style: str
    text: str = ""


def moments(timeline: Json) -> list[Moment]:
    """All of them in their order."""
    found = [
        *_upstream(timeline["events"]),
        *_events(timeline["events"]),
        *_publications(timeline),
        *(_duplicates(each) for each in timeline["duplicates"]),
        *(_dead_letter(each) for each in timeline["dead_letters"]),
    ]
    return sorted(found, key=lambda moment: float("inf") if moment.at is None else parse_rfc3339(moment.at))


def _upstream(events: Sequence[Json]) -> Iterator[Moment]:
    """What the upstream says of its own times; relay gets them with the end of the task."""
    timings = [timings for each in events if "finished_at" in (timings := each["event"]["data"].get("timings") or {})]
    if timings and timings[-1]["started_at"]:
        yield Moment(timings[-1]["started_at"], "upstream began", _CALM)
    if timings and timings[-1]["finished_at"]:
        yield Moment(timings[-1]["finished_at"], "upstream finished", _CALM)


def _events(events: Sequence[Json]) -> Iterator[Moment]:
    for is_chunk, run in groupby(events, key=lambda each: each["event"]["type"] == _CHUNK):
        if is_chunk:
            yield _chunks([each["event"] for each in run])
        else:
            yield from (_event(each["offset"], each["event"]) for each in run)


def _chunks(events: Sequence[Json]) -> Moment:
    chunks = sum(len(event["data"]["chunks"]) for event in events)
    lasted = duration((parse_rfc3339(events[-1]["time"]) - parse_rfc3339(events[0]["time"])) / 1000)
    text = f"{counted(chunks, 'chunk')} in {counted(len(events), 'event')}, within {lasted}"
    return Moment(events[0]["time"], "chunks", _CALM, text)


def _event(offset: int, event: Json) -> Moment:
    kind, data = str(event["type"]), event["data"]
    via = data.get("observed_via") if data.get("status") != "submitted" else None
    text = ", ".join(filter(None, (via and f"via {via}", data.get("reason"), f"offset {offset}")))
    at = data.get("received_at") or _end_of(data) or event["time"]
    return Moment(at, kind, style_of(kind), text)


def _end_of(data: Json) -> str | None:
    """A chat's end is in its event as its start and its duration."""
    timings = data.get("timings") or {}
    start, lasted = timings.get("started_at"), timings.get("duration_ms")
    return rfc3339(parse_rfc3339(start) + lasted) if start and lasted is not None else None


def _publications(timeline: Json) -> Iterator[Moment]:
    """One moment for what one sink got at one time: a chat has many events, and a batch holds many of them."""
    titles = {each["offset"]: each["event"]["type"] for each in timeline["events"]}
    groups = _grouped(timeline["publications"], lambda each: (each["sink"], each["state"], each["published_at"]))
    for (sink, state, at), group in groups.items():
        types = Counter(titles.get(each["offset"], f"offset {each['offset']}") for each in group)
        title, style = _PUBLICATIONS[state]
        text = ", ".join(kind if number == 1 else f"{number} {kind}" for kind, number in types.items())
        yield Moment(at, f"{title} {sink}", style, text)


def _grouped(items: Sequence[Json], key: Callable[[Json], Hashable]) -> dict[Any, list[Json]]:
    groups: dict[Any, list[Json]] = {}
    for item in items:
        groups.setdefault(key(item), []).append(item)
    return groups


def _duplicates(duplicate: Json) -> Moment:
    text = ", ".join(f"{times} via {way}" for way, times in duplicate["observed_via"].items())
    return Moment(duplicate["first_at"], f"{counted(duplicate['count'], 'duplicate')} absorbed", _CALM, text)


def _dead_letter(letter: Json) -> Moment:
    return Moment(letter["accepted_at"], "dead letter", _BAD, f"{letter['reason']}, {letter['id']}")
