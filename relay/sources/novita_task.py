"""Novita task results, from a webhook or from ``GET /v3/async/task-result``.

Vendor pages: https://novita.ai/docs/api-reference/model-apis-webhook (the envelope) and
https://novita.ai/docs/api-reference/model-apis-task-result (its payload). The vendor's own samples disagree about
types and presence, so only ``task_id`` and ``status`` are needed; whatever else is odd becomes null and stays visible
in ``raw``. This is the hot path: plain dicts and readers written by hand, no models.

Of the answers to submissions, asynchronous endpoints give ``{"task_id": ...}``; of the synchronous ones some give
``task`` and the outputs (https://novita.ai/docs/api-reference/model-apis-flux-1-schnell), the others outputs alone: a
file in base64, plain URLs. Those are about no task. What is large in them is jumped over, not parsed.
"""

from __future__ import annotations

import re
from datetime import datetime
from functools import lru_cache
from typing import Any, Final, NamedTuple

import orjson

from relay.core.clock import MAX_MS, rfc3339
from relay.core.event import Draft
from relay.core.json_scan import Body, Unwalkable, Walk
from relay.core.redact import redact
from relay.core.source import Delivery, Ignored, Normalized, NotJSON, Unreadable
from relay.core.tasks.events import (
    TASK_ID,
    Kind,
    Nsfw,
    Output,
    TaskData,
    TaskStatus,
    Timings,
    bare_task,
    progressed_draft,
    submitted_draft,
    terminal_draft,
)
from relay.core.tasks.submission import endpoint_of

EVENT_TYPE: Final = "ASYNC_TASK_RESULT"

STATUSES: Final[dict[str, TaskStatus]] = {
    "TASK_STATUS_QUEUED": "submitted",
    "TASK_STATUS_PROCESSING": "running",
    "TASK_STATUS_SUCCEED": "succeeded",
    "TASK_STATUS_FAILED": "failed",
}
"""The vendor's statuses and the relay's. Two more are rumoured (UNKNOWN, CANCELED); no outcome is read into them."""

_UNFINISHED: Final = frozenset({"submitted", "running"})
_ARRAYS: Final[tuple[tuple[str, Kind], ...]] = (("images", "image"), ("videos", "video"), ("audios", "audio"))
_KEYS: Final = {kind: (f"{kind}_url", f"{kind}_url_ttl", f"{kind}_type", f"{kind}_metadata") for _, kind in _ARRAYS}

_EARLIEST_MS: Final = 10**12
"""September 2001: what is smaller was not meant as epoch milliseconds."""
_MAX_TTL_S: Final = 10 * 366 * 86_400
"""Ten years: what is larger was not meant as a life in seconds."""

_SHOWABLE: Final = re.compile(r"[A-Za-z0-9 ._:-]{1,80}", re.ASCII)
_DECIMAL: Final = re.compile(r"[0-9]{1,15}\.[0-9]{1,15}", re.ASCII)
_MAX_DIGITS: Final = 15
_SEED: Final = re.compile(r"-?[0-9]{1,64}", re.ASCII)
_AMZ_DATE: Final = re.compile(r"[?&]X-Amz-Date=(\d{8}T\d{6}Z)(?![^&#])", re.ASCII)
_AMZ_EXPIRES: Final = re.compile(r"[?&]X-Amz-Expires=(\d{1,9})(?![^&#])", re.ASCII)
_SIGN_TIME: Final = re.compile(r"[?&]q-sign-time=\d{1,11}(?:;|%3[Bb])(\d{1,11})(?![^&#])", re.ASCII)


MAX_PARSED: Final = 256 << 10
"""Bytes of one part of an answer that are parsed and published: hundreds of outputs. A poll brings what is larger."""

_PARTS: Final = ("task", "extra", *(array for array, _ in _ARRAYS))


class NovitaTask:
    """The source plug-in ``novita``. ``progressed``: report tasks under way, too. ``raw``: put the upstream's object
    into the events."""

    name = "novita"

    def __init__(self, *, progressed: bool = False, raw: bool = True) -> None:
        self._progressed = progressed
        self._raw = raw

    def normalize(self, delivery: Delivery) -> Normalized:
        """Never raises, whatever the bytes. ``delivery.received_at`` must lie within 1970 to 9999."""
        try:
            document = orjson.loads(delivery.body)
        except orjson.JSONDecodeError as error:
            return NotJSON(str(error)[:120])
        result = _task_result(document)
        return result if isinstance(result, Unreadable) else self._event_of(result, delivery)

    def _event_of(self, result: dict[str, Any], delivery: Delivery) -> Normalized:
        task = result["task"]
        task_id, upstream_status = task.get("task_id"), task.get("status")
        if not isinstance(task_id, str) or not TASK_ID.fullmatch(task_id):
            return Unreadable("invalid_task_id", f"task.task_id is {_shown(task_id)}; expected {TASK_ID.pattern}")
        status = STATUSES.get(upstream_status) if isinstance(upstream_status, str) else None
        if status is None:
            return _unknown_status(task_id, upstream_status, delivery)
        if status in _UNFINISHED and not self._progressed:
            return Ignored("progress_off", task_id)
        data = self._data(task_id, status, result, delivery)
        return progressed_draft(data) if status in _UNFINISHED else terminal_draft(data)

    def read_answer(self, path: str, body: Body, received_at: int) -> tuple[Draft, ...] | Unreadable:
        """A submission's answer: the task was taken, and has ended already where the answer holds its outputs."""
        answer = _answer_in(body)
        if answer is None or isinstance(answer, Unreadable):
            return answer or ()
        data = bare_task(answer.task_id, "submitted", via="submit", received_at=received_at)
        data["task_type"] = _text(answer.result["task"].get("task_type")) or endpoint_of(path)
        submitted = submitted_draft(data)
        status = _status_of(answer)
        if status in _UNFINISHED:
            return (submitted,)
        answered = Delivery(b"", received_at, "submit")
        return submitted, terminal_draft(self._data(answer.task_id, status, answer.result, answered))

    def _data(self, task_id: str, status: TaskStatus, result: dict[str, Any], delivery: Delivery) -> TaskData:
        redact(result)
        return _task_data(task_id, status, result["task"], result, delivery, raw=self._raw)


class _Answer(NamedTuple):
    """``result`` has the shape of a task result; ``filled``: there are outputs in it."""

    task_id: str
    result: dict[str, Any]
    filled: bool


def _answer_in(body: Body) -> _Answer | Unreadable | None:
    """What a 2xx answer says; ``None``: it is about no task."""
    try:
        members = {member.key: member for member in Walk(body).members().found}
    except Unwalkable as problem:
        return Unreadable("not_json", f"the answer is not a JSON object: {problem}")
    # Where a member is too large, or is no JSON, the id of a paid task beside it counts all the same.
    result: dict[str, Any] = {key: members[key].value(body, MAX_PARSED) for key in _PARTS if key in members}
    task = result.get("task")
    task = task if isinstance(task, dict) else {}
    task_id = members["task_id"].value(body, MAX_PARSED) if "task_id" in members else task.get("task_id")
    if task_id is None:
        return None
    if not isinstance(task_id, str) or not TASK_ID.fullmatch(task_id):
        return Unreadable("invalid_task_id", f"task_id does not match {TASK_ID.pattern}")
    result["task"] = {**task, "task_id": task_id}
    return _Answer(task_id, result, any(isinstance(result.get(key), list) and result[key] for key, _ in _ARRAYS))


def _status_of(answer: _Answer) -> TaskStatus:
    """Synchronous endpoints give no status: outputs are the success. An unknown status is no outcome."""
    status = answer.result["task"].get("status")
    if status is None:
        return "succeeded" if answer.filled else "submitted"
    return STATUSES.get(status, "submitted") if isinstance(status, str) else "submitted"


def _task_result(document: Any) -> dict[str, Any] | Unreadable:
    """The task result inside an envelope, or the bare one: an object whose ``task`` is an object."""
    if not isinstance(document, dict):
        return Unreadable("not_a_task_result", f"the document is {_shown(document)}; expected an object")
    event_type = document.get("event_type")
    if event_type is not None and event_type != EVENT_TYPE:
        return Unreadable("unknown_event_type", f"event_type is {_shown(event_type)}; this release knows {EVENT_TYPE}")
    payload = document.get("payload")
    result = payload if isinstance(payload, dict) else document
    if not isinstance(result.get("task"), dict):
        return Unreadable("not_a_task_result", f"task is {_shown(result.get('task'))}; expected an object")
    return result


def _unknown_status(task_id: str, status: Any, delivery: Delivery) -> Normalized:
    """A poll will ask again; a webhook comes no more, so that one is kept as a dead letter."""
    if delivery.via != "webhook":
        return Ignored("unknown_status", task_id)
    return Unreadable("unknown_status", f"task.status is {_shown(status)}; its outcome is unknown", task_id)


def _shown(value: Any) -> str:
    """What may be said about a value of the payload: itself if it is short and plain, else only its kind."""
    if isinstance(value, str):
        return repr(value) if _SHOWABLE.fullmatch(value) else f"a text of {len(value)} characters"
    if value is None:
        return "missing or null"
    if isinstance(value, dict):
        return "an object"
    return "an array" if isinstance(value, list) else "a number or boolean"


def _task_data(
    task_id: str, status: TaskStatus, task: dict[str, Any], result: dict[str, Any], delivery: Delivery, *, raw: bool
) -> TaskData:
    extra = result.get("extra")
    if not isinstance(extra, dict):
        extra = {}
    percent = _number(task.get("progress_percent"))
    return {
        "task_id": task_id,
        "task_type": _text(task.get("task_type")),
        "status": status,
        "upstream_status": task.get("status"),
        "reason": _text(task.get("reason")),
        "progress_percent": percent if percent is not None and percent <= 100 else None,
        "eta_seconds": _number(task.get("eta")),
        "outputs": _outputs(result, delivery.received_at),
        "seed": _seed(extra.get("seed")),
        "test": _test(extra.get("webhook")),
        "timings": _timings(extra.get("debug_info")),
        "observed_via": delivery.via,
        "received_at": rfc3339(delivery.received_at),
        "raw": result if raw else None,
    }


def _outputs(result: dict[str, Any], received_at: int) -> list[Output]:
    """Classified by the array that is filled: names of task types are an open set, and some carry suffixes."""
    outputs: list[Output] = []
    for array, kind in _ARRAYS:
        entries = result.get(array)
        if entries and isinstance(entries, list):
            for entry in entries:
                if isinstance(entry, dict):
                    outputs.append(_output(kind, entry, received_at))
                elif isinstance(entry, str):  # synchronous endpoints answer arrays of plain URLs
                    outputs.append(_output(kind, {_KEYS[kind][0]: entry}, received_at))
    return outputs


def _output(kind: Kind, entry: dict[str, Any], received_at: int) -> Output:
    url_key, ttl_key, type_key, metadata_key = _KEYS[kind]
    url = _text(entry.get(url_key))
    ttl = _ttl(entry.get(ttl_key))
    metadata = entry.get(metadata_key)
    return {
        "kind": kind,
        "url": url,
        "format": _text(entry.get(type_key)),
        "ttl_seconds": ttl,
        "expires_at": _expires_at(url, ttl, received_at),
        "nsfw": _nsfw(entry.get("nsfw_detection_result")),
        "metadata": metadata if isinstance(metadata, dict) else None,
    }


def _expires_at(url: str | None, ttl: float | None, received_at: int) -> str | None:
    """From the URL's own signature (AWS, then Tencent), else by the TTL, else unknown."""
    if url is None:
        return None
    expires = _amz_expiry(url) if "X-Amz-Date=" in url else None
    if expires is None and "q-sign-time=" in url:
        match = _SIGN_TIME.search(url)
        expires = int(match[1]) * 1000 if match else None
    if expires is None and ttl is not None:
        expires = received_at + int(ttl * 1000)
    return rfc3339(expires) if expires is not None and 0 <= expires <= MAX_MS else None


def _amz_expiry(url: str) -> int | None:
    """https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-query-string-auth.html"""
    signed = _AMZ_DATE.match(url, url.index("X-Amz-Date=") - 1)
    lasts = _AMZ_EXPIRES.match(url, url.find("X-Amz-Expires=") - 1)
    if signed is None or lasts is None:
        return None
    signed_at = _stamp(signed[1])
    return None if signed_at is None else signed_at + int(lasts[1]) * 1000


@lru_cache(maxsize=256)
def _stamp(text: str) -> int | None:
    """Epoch ms of ``20231114T221324Z``; kept, since the URLs of one task are signed in the same second.

    ``None`` for a time that does not exist. The second 60 is one: a clock that signs has no leap seconds (POSIX), and
    AWS smears them (https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/set-time.html). The TTL then decides.
    """
    try:
        return int(datetime.fromisoformat(text).timestamp()) * 1000
    except ValueError:
        return None


def _timings(debug_info: Any) -> Timings:
    if not isinstance(debug_info, dict):
        return {"submitted_at": None, "started_at": None, "finished_at": None}
    return {
        "submitted_at": _instant(debug_info.get("submit_time_ms")),
        "started_at": _instant(debug_info.get("execute_time_ms")),
        "finished_at": _instant(debug_info.get("complete_time_ms")),
    }


def _instant(value: Any) -> str | None:
    ms = _number(value) if value else None
    return rfc3339(int(ms)) if ms is not None and _EARLIEST_MS <= ms <= MAX_MS else None


def _test(webhook: Any) -> bool | None:
    """What the echoed settings say; it is undocumented whether they are echoed at all, so silence is no ``False``."""
    mode = webhook.get("test_mode") if isinstance(webhook, dict) else None
    enabled = mode.get("enabled") if isinstance(mode, dict) else None
    return enabled if isinstance(enabled, bool) else None


def _nsfw(value: Any) -> Nsfw | None:
    if not value or not isinstance(value, dict):
        return None
    valid = value.get("valid")
    return {"valid": valid if isinstance(valid, bool) else None, "confidence": _number(value.get("confidence"))}


def _seed(value: Any) -> str | None:
    """Documented as digits in a text; the vendor's Python SDK types it as an integer."""
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return value if isinstance(value, str) and _SEED.fullmatch(value) else None


def _ttl(value: Any) -> float | None:
    ttl = _number(value)
    return ttl if ttl is not None and 0 < ttl <= _MAX_TTL_S else None


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None


def _number(value: Any) -> float | None:
    """A number from 0 up, or a text that is nothing but one; a whole number stays an ``int``."""
    kind = type(value)
    if kind is int or kind is float:  # by exact type, so that no boolean passes for 0 or 1
        return value if value >= 0 else None
    if kind is not str:
        return None
    if len(value) <= _MAX_DIGITS and value.isascii() and value.isdigit():
        return int(value)
    return float(value) if _DECIMAL.fullmatch(value) else None
