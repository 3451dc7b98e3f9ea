"""One real example of everything that comes in, and of every type of event that goes out.

The events are made from the deliveries by the code that makes them in a running relay, so none can drift from it.
"""

from __future__ import annotations

import hashlib
from typing import Any, Final

import orjson

from relay.apis.chat_completions import API as CHAT_COMPLETIONS
from relay.core.archive.events import Copy, archived_draft, lost_draft
from relay.core.archive.job import Job
from relay.core.archive.key import key_of_output
from relay.core.chat.events import Opening, started_draft
from relay.core.chat.outcome import Ending
from relay.core.chat.tap import Capture, Closed, Tap
from relay.core.dead import unreadable_draft
from relay.core.dedup import judge
from relay.core.event import Draft, Event
from relay.core.source import Delivery, Unreadable
from relay.core.tasks.events import abandoned_draft, bare_task, progressed_draft, submitted_draft
from relay.sources.novita_task import NovitaTask

RECEIVED_AT: Final = 1_700_000_004_250
"""Epoch milliseconds: when all of it arrives."""

TASK_ID: Final = "71dd988e-632e-4339-b217-74bcbe6db0ee"
CHAT_ID: Final = "0190c3b5a2f74c1e9d3f6b8a7e5d4c21"

_TASK: Final = {
    "task_id": TASK_ID,
    "task_type": "TXT_TO_IMG",
    "status": "TASK_STATUS_SUCCEED",
    "reason": "",
    "eta": 0,
    "progress_percent": 100,
}
_URL: Final = "https://out.example/1.png?X-Amz-Date=20231114T221324Z&X-Amz-Expires=3600&X-Amz-Signature=00"

SUCCEEDED: Final[dict[str, Any]] = {
    "task": _TASK,
    "extra": {
        "seed": "41",
        "debug_info": {
            "submit_time_ms": "1700000000000",
            "execute_time_ms": "1700000000080",
            "complete_time_ms": "1700000004000",
        },
    },
    "images": [{"image_url": _URL, "image_url_ttl": "3600", "image_type": "png", "nsfw_detection_result": None}],
    "videos": [],
    "audios": [],
}
FAILED: Final[dict[str, Any]] = {
    "task": {**_TASK, "status": "TASK_STATUS_FAILED", "reason": "model load failed", "progress_percent": 0}
}
_UNREADABLE: Final = {"event_type": "BALANCE_LOW", "payload": {"task": _TASK}}

_CHUNK: Final = {
    "id": "chatcmpl-9a1b2c3d",
    "object": "chat.completion.chunk",
    "created": 1_700_000_004,
    "model": "deepseek/deepseek-v3-0324",
}
CHUNKS: Final[tuple[dict[str, Any], ...]] = (
    {**_CHUNK, "choices": [{"index": 0, "delta": {"role": "assistant", "content": "Hello"}, "finish_reason": None}]},
    {
        **_CHUNK,
        "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 16, "completion_tokens": 1, "total_tokens": 17},
    },
)
"""The chunk objects of a short stream; after them comes ``DONE``."""

DONE: Final = "[DONE]"


def enveloped(result: dict[str, Any]) -> dict[str, Any]:
    """A task result in the envelope that the vendor's webhook page shows."""
    return {"event_type": "ASYNC_TASK_RESULT", "payload": result}


def events() -> dict[str, Event]:
    """One event of each type, by its type."""
    made = [*_task_events(), *_chat_events(), *_output_events(), _dead_letter()]
    return {event.type: event for event in made}


def _task_events() -> list[Event]:
    running = bare_task(TASK_ID, "running", via="poll", received_at=RECEIVED_AT)
    running |= {"task_type": "TXT_TO_IMG", "upstream_status": "TASK_STATUS_PROCESSING", "progress_percent": 40}
    submitted = bare_task(TASK_ID, "submitted", via="submit", received_at=RECEIVED_AT)
    submitted["task_type"] = "txt2img"
    succeeded, failed = _received(enveloped(SUCCEEDED)), _received(enveloped(FAILED))
    conflicted = judge(failed, succeeded.fingerprint)
    assert conflicted is not None, "a failure contradicts a success"
    abandoned = abandoned_draft(TASK_ID, "txt2img", "deadline", now=RECEIVED_AT)
    drafts = (submitted_draft(submitted), progressed_draft(running), succeeded, failed, abandoned, conflicted)
    return [draft.event for draft in drafts]


def _received(document: dict[str, Any]) -> Draft:
    draft = NovitaTask().normalize(Delivery(orjson.dumps(document), RECEIVED_AT))
    assert isinstance(draft, Draft), draft
    return draft


def _chat_events() -> list[Event]:
    frames = [b"data: %b\n\n" % payload for payload in (*map(orjson.dumps, CHUNKS), DONE.encode())]
    completed = _streamed(frames, "end")
    ended = (completed, _streamed(frames[:1], "end"), _streamed(frames[:1], "client_gone"))
    return [started_draft(_opening()).event, completed.chunks[0].event, *(closed.terminal.event for closed in ended)]


def _opening() -> Opening:
    return Opening(CHAT_ID, RECEIVED_AT, 0.0, model="deepseek/deepseek-v3-0324", client="billing")


def _streamed(frames: list[bytes], ending: Ending) -> Closed:
    tap = Tap(_opening(), Capture(), CHAT_COMPLETIONS)
    tap.answered(200, "text/event-stream")
    for frame in frames:
        tap.feed(frame, 0.1)
    return tap.end(ending, 0.2)


def _output_events() -> list[Event]:
    job = Job(TASK_ID, 0, "image", "png", _URL, "2023-11-14", RECEIVED_AT + 3_600_000, RECEIVED_AT)
    key = key_of_output("{date}/{task_id}/{index}.{ext}", job)
    copy = Copy(key, f"s3://outputs/{key}", 3, hashlib.sha256(b"png").hexdigest(), "image/png")
    archived = archived_draft(job, copy, now=RECEIVED_AT + 850)
    return [archived.event, lost_draft(job, "link_expired", now=job.deadline).event]


def _dead_letter() -> Event:
    delivery = Delivery(orjson.dumps(_UNREADABLE), RECEIVED_AT)
    unreadable = NovitaTask().normalize(delivery)
    assert isinstance(unreadable, Unreadable), unreadable
    return unreadable_draft(delivery, unreadable, origin=NovitaTask.name).event
