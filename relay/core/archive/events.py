"""What is known about an archived or lost output, as the ``data`` of its event, and the drafts of those events."""

from __future__ import annotations

from typing import Annotated, Final, NamedTuple

import orjson
from pydantic import Field
from typing_extensions import TypedDict

from relay.core.archive.job import Job
from relay.core.clock import rfc3339
from relay.core.dedup import key_of
from relay.core.event import OUTPUTS, Draft, Event
from relay.core.tasks.events import TASK_SOURCE, Kind

OUTPUT_SCHEMA: Final = "urn:relay:schema:output:1"
"""``dataschema`` of every event about an output."""

ARCHIVED: Final = "relay.output.archived"
LOST: Final = "relay.output.lost"


class OutputData(TypedDict):
    """``data`` of the events `relay.output.*`. Unknown is null, never absent."""

    task_id: Annotated[str, Field(pattern=r"^[A-Za-z0-9._:-]{1,128}$", description="The task that made it.")]
    index: Annotated[int, Field(ge=0, description="Its place in `outputs` of `relay.task.succeeded`, from 0.")]
    kind: Annotated[Kind, Field(description="As `outputs` has it.")]
    store_key: Annotated[str | None, Field(description="Its key in the store, below `archive.url`; null if lost.")]
    url: Annotated[
        str | None,
        Field(description="Where it is in the store, as `s3://…` or the like; grants nothing. Null if lost."),
    ]
    size: Annotated[int | None, Field(ge=0, description="Bytes; null if lost.")]
    sha256: Annotated[
        str | None, Field(pattern=r"^[0-9a-f]{64}$", description="Of its bytes, in hexadecimal; null if lost.")
    ]
    content_type: Annotated[
        str | None, Field(description="What it is by its first bytes, whatever the source said; null if lost.")
    ]
    source_url: Annotated[str | None, Field(description="Where it came from, without the query.")]
    reason: Annotated[str | None, Field(description="Why it is lost, as one of relay's codes; null if archived.")]
    retried: Annotated[
        bool, Field(description="Whether it had been reported lost, and was archived when an operator tried it again.")
    ]


class Copy(NamedTuple):
    """An output in the store."""

    store_key: str
    url: str
    size: int
    sha256: str
    content_type: str | None


def archived_draft(job: Job, copy: Copy, *, now: int) -> Draft:
    """``relay.output.archived``. ``now``: epoch milliseconds.

    An output ends once, under one key. Only what an operator had tried again after it was lost ends a second time.
    """
    data: OutputData = {**_bare(job), **copy._asdict()}  # type: ignore[typeddict-item] # mypy knows no fields of it
    return _draft(job, ARCHIVED, data, job.retried, now)


def lost_draft(job: Job, reason: str, *, now: int) -> Draft:
    """``relay.output.lost``. ``now``: epoch milliseconds."""
    return _draft(job, LOST, {**_bare(job), "reason": reason}, False, now)


def without_query(link: str | None) -> str | None:
    """A link as it may be shown: without what grants access to it."""
    if link is None:
        return None
    scheme, separator, rest = link.partition("?")[0].partition("#")[0].partition("://")
    authority, slash, path = rest.partition("/")
    return f"{scheme}{separator}{authority.rpartition('@')[2]}{slash}{path}"


def end_keys(task_id: str, index: int) -> tuple[bytes, bytes]:
    """The dedup keys of how an output ended, and of its copy where it was archived after it had been lost."""
    ended, again = (key_of("output", "novita", task_id, str(index), fact) for fact in ("ended", "archived again"))
    return ended, again


def _bare(job: Job) -> OutputData:
    return {
        "task_id": job.task_id,
        "index": job.index,
        "kind": job.kind,
        "store_key": None,
        "url": None,
        "size": None,
        "sha256": None,
        "content_type": None,
        "source_url": without_query(job.link),
        "reason": None,
        "retried": job.retried,
    }


def _draft(job: Job, kind: str, data: OutputData, again: bool, now: int) -> Draft:
    event_id = f"{job.task_id}:output:{job.index}:{kind.rpartition('.')[2]}"
    event = Event(OUTPUTS, kind, event_id, TASK_SOURCE, job.task_id, rfc3339(now), orjson.dumps(data), OUTPUT_SCHEMA)
    return Draft(event, end_keys(job.task_id, job.index)[again])
