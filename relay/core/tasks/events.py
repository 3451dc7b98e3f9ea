"""What is known about a task, as the ``data`` of a task event, and the drafts of those events.

``TaskData`` is a TypedDict: building one costs no more than a dict literal, mypy checks it, and its JSON Schema comes
from ``pydantic.TypeAdapter(TaskData).json_schema()``. Unknown is null, never absent.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from hashlib import blake2b
from typing import Annotated, Any, Final, Literal

import orjson
from pydantic import Field
from typing_extensions import TypedDict

from relay.core.clock import parse_rfc3339, rfc3339
from relay.core.dedup import KEY_BYTES, key_of
from relay.core.event import TASKS, Draft, Event
from relay.core.redact import publishable
from relay.core.source import Via

TASK_SCHEMA: Final = "urn:relay:schema:task:1"
"""``dataschema`` of every task event."""

TASK_SOURCE: Final = "/novita/tasks"
"""``source`` of every event about a Novita task, however it was observed."""

CONFLICTED: Final = "relay.task.conflicted"

TASK_ID: Final = re.compile(r"[A-Za-z0-9._:-]{1,128}", re.ASCII)
"""What the relay takes for a task's id. The upstream's are opaque; they become subjects, keys and parts of paths."""

TaskStatus = Literal["submitted", "running", "succeeded", "failed", "abandoned"]
TerminalStatus = Literal["succeeded", "failed", "abandoned"]
Kind = Literal["image", "video", "audio"]

Timestamp = Annotated[str, Field(json_schema_extra={"format": "date-time"})]
"""RFC 3339, UTC, milliseconds."""


class Nsfw(TypedDict):
    """The upstream's verdict on one output."""

    valid: Annotated[bool | None, Field(description="The upstream's `valid` flag.")]
    confidence: Annotated[float | None, Field(description="The upstream's confidence in it, on its own scale.")]


class Output(TypedDict):
    """One generated file."""

    kind: Annotated[Kind, Field(description="From the array that contained it, not from the task's type.")]
    url: Annotated[str | None, Field(description="Where to fetch it, as given; often presigned for about an hour.")]
    format: Annotated[str | None, Field(description="The file type as reported, such as `jpeg`, `mp4`, `wav`.")]
    ttl_seconds: Annotated[
        float | None,
        Field(gt=0, description="How long the URL is valid, in seconds, as reported; null if unknown (reported as 0)."),
    ]
    expires_at: Annotated[
        Timestamp | None,
        Field(description="When the URL expires: by its signature, else `ttl_seconds` after receipt, else unknown."),
    ]
    nsfw: Annotated[Nsfw | None, Field(description="The upstream's NSFW verdict; null if it gave none.")]
    metadata: Annotated[
        dict[str, Any] | None,
        Field(description="The upstream's metadata for this file; for audio `text`, `start_time`, `end_time` (s)."),
    ]


class Timings(TypedDict):
    """Times according to the upstream."""

    submitted_at: Annotated[Timestamp | None, Field(description="When the task was submitted.")]
    started_at: Annotated[Timestamp | None, Field(description="When work on it began.")]
    finished_at: Annotated[Timestamp | None, Field(description="When work on it ended.")]


class TaskData(TypedDict):
    """``data`` of the events `relay.task.*`. Unknown is null, never absent."""

    task_id: Annotated[str, Field(pattern=r"^[A-Za-z0-9._:-]{1,128}$", description="The upstream's id; opaque.")]
    task_type: Annotated[
        str | None,
        Field(description="The upstream's name of the type, an open set; the endpoint's name for a submitted task."),
    ]
    status: Annotated[TaskStatus, Field(description="The state of the task, as relay names it.")]
    upstream_status: Annotated[str | None, Field(description="The state as reported: `TASK_STATUS_SUCCEED`, ...")]
    reason: Annotated[
        str | None,
        Field(description="Why it failed, in the upstream's words; or why it was abandoned, as one of relay's codes."),
    ]
    progress_percent: Annotated[
        float | None, Field(ge=0, le=100, description="As reported; 0 is normal for an image that succeeded.")
    ]
    eta_seconds: Annotated[float | None, Field(ge=0, description="Expected time to the end, in seconds, as reported.")]
    outputs: Annotated[list[Output], Field(description="Images, then videos, then audios, each in upstream order.")]
    seed: Annotated[
        str | None,
        Field(pattern=r"^-?[0-9]+$", description="Digits as text: seeds exceed the integers of many JSON parsers."),
    ]
    test: Annotated[
        bool | None,
        Field(description="Whether it is a mock event (webhook test mode); null if the upstream did not say."),
    ]
    timings: Annotated[Timings, Field(description="The upstream's own times.")]
    observed_via: Annotated[Via, Field(description="How relay observed it.")]
    received_at: Annotated[Timestamp, Field(description="When relay observed it.")]
    raw: Annotated[
        dict[str, Any] | None,
        Field(description="The upstream's whole result, secrets and prompts redacted; null if `tasks.raw` is off."),
    ]


def bare_task(task_id: str, status: TaskStatus, *, via: Via, received_at: int) -> TaskData:
    """A task of which nothing else is known (just submitted, or given up). ``received_at``: epoch milliseconds."""
    return {
        "task_id": task_id,
        "task_type": None,
        "status": status,
        "upstream_status": None,
        "reason": None,
        "progress_percent": None,
        "eta_seconds": None,
        "outputs": [],
        "seed": None,
        "test": None,
        "timings": {"submitted_at": None, "started_at": None, "finished_at": None},
        "observed_via": via,
        "received_at": rfc3339(received_at),
        "raw": None,
    }


def submitted_draft(data: TaskData) -> Draft:
    """``relay.task.submitted``: the upstream took the task. Once per task, whatever a second one says."""
    task_id = data["task_id"]
    event = _event(data, "relay.task.submitted", f"{task_id}:submitted", data["received_at"])
    return Draft(event, submitted_key(task_id), via=data["observed_via"])


def progressed_draft(data: TaskData) -> Draft:
    """``relay.task.progressed``: once per status and percentage, so that repeated polls do not repeat it."""
    task_id, status, percent = data["task_id"], data["status"], data["progress_percent"]
    step = "unknown" if percent is None else f"{percent:g}"
    event = _event(data, "relay.task.progressed", f"{task_id}:progressed:{status}:{step}", data["received_at"])
    return Draft(event, key_of("task", "novita", task_id, "progressed", status, step), via=data["observed_via"])


def terminal_draft(data: TaskData) -> Draft:
    """``relay.task.succeeded``, ``.failed`` or ``.abandoned``, all under the one key of "how this task ended".

    So a repetition is absorbed, and another ending, or another set of outputs, contradicts (promise P4).
    ``data["status"]`` must be a ``TerminalStatus``.
    """
    task_id, status = data["task_id"], data["status"]
    time = data["timings"]["finished_at"] or data["received_at"]
    return Draft(
        _event(data, f"relay.task.{status}", f"{task_id}:{status}", time),
        terminal_key(task_id),
        ending_of(status, data["outputs"]),
        CONFLICTED,
        via=data["observed_via"],
    )


def abandoned_draft(task_id: str, task_type: str | None, reason: str, *, now: int) -> Draft:
    """``relay.task.abandoned``: the relay polls no more, for one of its reasons. ``now``: epoch milliseconds.

    Known under the key of the ending, too. Where an ending is known already this contradicts nothing: it is absorbed.
    An ending that comes later contradicts it, and is published as such.
    """
    data = bare_task(task_id, "abandoned", via="poll", received_at=now)
    data["task_type"], data["reason"] = task_type, reason
    return terminal_draft(data)._replace(conflict_type=None, via=None)


def submitted_key(task_id: str) -> bytes:
    """The dedup key of "this task was submitted"."""
    return key_of("task", "novita", task_id, "submitted")


def terminal_key(task_id: str) -> bytes:
    """The dedup key of "how this task ended"."""
    return key_of("task", "novita", task_id, "terminal")


def ending_of(status: str, outputs: Iterable[Output]) -> bytes:
    """The fingerprint of an ending: its status and which objects it left, in any order and however signed."""
    parts = [f"{output['kind']} {_address(output['url'])}" for output in outputs]
    # The same objects in another order are no other ending: that would be published as a conflict.
    parts.sort()
    parts.append(status)
    return blake2b("\x1f".join(parts).encode(), digest_size=KEY_BYTES).digest()


def first_expiry(event: Event) -> int | None:
    """When the first of an event's outputs expires (epoch milliseconds); ``None``: it has none, or nobody knows."""
    if event.topic != TASKS or b'"expires_at":"' not in event.data:
        return None
    outputs = orjson.loads(event.data).get("outputs") or ()
    expiries = [parse_rfc3339(output["expires_at"]) for output in outputs if output.get("expires_at")]
    return min(expiries, default=None)


def _address(url: str | None) -> str:
    """A URL without query and fragment: a signature is renewed, the object stays."""
    return "" if url is None else url.partition("?")[0].partition("#")[0]


def _event(data: TaskData, kind: str, event_id: str, time: str) -> Event:
    return Event(TASKS, kind, event_id, TASK_SOURCE, data["task_id"], time, publishable(data), TASK_SCHEMA)
