"""Bodies of task results and webhooks, as varied as real ones: optional parts, ttl types, signed URLs.

Vendor: the task-result and webhook pages; what differs between their own samples differs here from task to task.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import blake2b
from random import Random
from typing import Literal

import orjson

from relay.simulator.requests import Json
from relay.simulator.tasks.catalog import Kind, Signing, signing_of
from relay.simulator.tasks.task import SUCCEED, Phase, Task

EVENT_TYPE = "ASYNC_TASK_RESULT"
UNKNOWN_EVENT_TYPE = "ASYNC_TASK_NOTICE"

TTL_SECONDS = 3600
_NSFW: Mapping[str, Json] = {
    "absent": {},
    "null": {"nsfw_detection_result": None},
    "empty": {"nsfw_detection_result": {}},
    "filled": {"nsfw_detection_result": {"valid": True, "confidence": 0.02}},
}


@dataclass(frozen=True, slots=True)
class Style:
    """Which of the vendor's variations one task's bodies show; the same in each body about it."""

    ttl_as_text: bool
    extra: Literal["absent", "empty", "filled"]
    audios: bool
    eta: bool
    progress: bool
    nsfw: Literal["absent", "null", "empty", "filled"]
    unknown_keys: bool
    seed_as_number: bool
    task_last: bool
    seed: int


def style_of(seed: int, kind: Kind) -> Style:
    rng = Random(seed)  # noqa: S311 - variety, not secrecy
    return Style(
        ttl_as_text=rng.random() < 0.7,
        extra=rng.choice(("absent", "absent", "empty", "filled") if kind == "video" else ("filled", "filled", "empty")),
        audios=kind == "audio" or rng.random() < 0.5,
        eta=rng.random() < 0.85,
        progress=rng.random() < 0.9,
        nsfw=rng.choice(("absent", "null", "empty", "filled")),
        unknown_keys=rng.random() < 0.2,
        seed_as_number=rng.random() < 0.1,
        task_last=rng.random() < 0.3,
        seed=rng.randrange(2**32),
    )


def result(task: Task, phase: Phase, signed_at: int, outputs_of: str = "") -> Json:
    """The body of GET task-result, which is also a webhook's ``payload``.

    ``signed_at`` (epoch milliseconds) is when the URLs are signed; ``outputs_of`` makes other objects of the outputs.
    """
    style = style_of(task.style_seed, task.asked.endpoint.kind)
    parts: Json = {"task": _task(task, phase, style)}
    if style.extra != "absent":
        parts["extra"] = _extra(task, phase, style) if style.extra == "filled" else {}
    parts |= {"images": [], "videos": []} | ({"audios": []} if style.audios else {})
    if phase.status == SUCCEED:
        parts[f"{task.asked.endpoint.kind}s"] = [
            _output(task, style, signed_at, f"{task.task_id}{outputs_of}-{number}")
            for number in range(task.asked.outputs)
        ]
    if style.unknown_keys:
        parts["trace"] = {"region": "sim-1"}
    return dict(reversed(parts.items())) if style.task_last else parts


def envelope(payload: Json, event_type: str = EVENT_TYPE) -> Json:
    return {"event_type": event_type, "payload": payload}


def sign(url: str, how: Signing, signed_at: int, ttl: int = TTL_SECONDS) -> str:
    """The URL with the query that grants access for ``ttl`` seconds; ``signed_at`` is epoch milliseconds."""
    start = signed_at // 1000
    mark = blake2b(f"{url}|{start}".encode(), digest_size=20).hexdigest()
    if how == "cos":
        window = f"{start}%3B{start + ttl}"
        return (
            f"{url}?q-sign-algorithm=sha1&q-ak=AKIDsimulated&q-sign-time={window}&q-key-time={window}"
            f"&q-header-list=host&q-url-param-list=&q-signature={mark}"
        )
    if how == "s3":
        date = datetime.fromtimestamp(start, UTC).strftime("%Y%m%dT%H%M%SZ")
        return (
            f"{url}?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=SIMULATED%2F{date[:8]}%2Fap-southeast-1%2Fs3"
            f"%2Faws4_request&X-Amz-Date={date}&X-Amz-Expires={ttl}&X-Amz-SignedHeaders=host"
            f"&x-id=GetObject&X-Amz-Signature={mark}"
        )
    return url


def _task(task: Task, phase: Phase, style: Style) -> Json:
    described: Json = {
        "task_id": task.task_id,
        "task_type": task.asked.endpoint.task_type,
        "status": phase.status,
        "reason": phase.reason,
    }
    if style.eta:
        described["eta"] = phase.eta
    if style.progress:
        described["progress_percent"] = phase.progress
    return described


def _extra(task: Task, phase: Phase, style: Style) -> Json:
    extra: Json = {
        "seed": style.seed if style.seed_as_number else str(style.seed),
        "enable_nsfw_detection": style.nsfw == "filled",
        "debug_info": _debug_info(task, phase),
    }
    if task.asked.endpoint.name.startswith("qwen-image"):
        extra["has_nsfw_contents"] = []
    if task.asked.webhook is not None:
        extra["webhook"] = dict(task.asked.webhook)
    return extra


def _debug_info(task: Task, phase: Phase) -> Json:
    started = task.submitted_at + round(task.life.queued_for * 1000)
    ended = task.submitted_at + round(task.life.ends_after * 1000)
    return {
        "request_info": orjson.dumps({"prompts": [task.asked.prompt]}).decode(),
        "submit_time_ms": str(task.submitted_at),
        "execute_time_ms": str(started),
        "complete_time_ms": str(ended) if phase.status == SUCCEED else "",
    }


def _output(task: Task, style: Style, signed_at: int, name: str) -> Json:
    kind, how = task.asked.endpoint.kind, signing_of(task.asked.endpoint.name)
    lasts = math.ceil(task.fate.short_links) or TTL_SECONDS
    ttl = lasts if how == "s3" else 0
    output = {
        f"{kind}_url": sign(f"{task.outputs_at}/{name}.{task.asked.format}", how, signed_at, lasts),
        # a number is only known for images; a ttl of 0 is only known as text
        f"{kind}_url_ttl": str(ttl) if style.ttl_as_text or kind != "image" or not ttl else ttl,
        f"{kind}_type": task.asked.format,
    }
    if kind == "audio":
        spoken = {"text": task.asked.prompt, "start_time": 0.0, "end_time": round(0.3 + len(task.asked.prompt) / 15, 2)}
        return output | {"audio_metadata": spoken}
    return output if kind == "video" and style.nsfw == "filled" else output | _NSFW[style.nsfw]
