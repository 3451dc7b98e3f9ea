"""Bodies of deliveries, in the vendor's shape."""

from __future__ import annotations

import uuid
from collections.abc import Sequence

import orjson


def new_task() -> str:
    """A task id that no other test has."""
    return str(uuid.uuid4())


def succeeded(task_id: str, *, outputs: Sequence[str] = ("0.png",), signature: str = "00", filler: int = 0) -> bytes:
    """A task that left ``outputs``; ``signature`` signs their URLs, ``filler`` bytes of an unknown field enlarge it."""
    query = f"X-Amz-Date=20231114T221324Z&X-Amz-Expires=3600&X-Amz-Signature={signature}"
    images = [
        {"image_url": f"https://out.example/{task_id}/{name}?{query}", "image_url_ttl": "3600", "image_type": "png"}
        for name in outputs
    ]
    return _delivery(task_id, "TASK_STATUS_SUCCEED", "", images, filler)


def failed(task_id: str, reason: str = "worker error") -> bytes:
    """A task that failed."""
    return _delivery(task_id, "TASK_STATUS_FAILED", reason, [], 0)


def _delivery(task_id: str, status: str, reason: str, images: Sequence[object], filler: int) -> bytes:
    task = {"task_id": task_id, "task_type": "TXT_TO_IMG", "status": status, "reason": reason, "eta": 0}
    extra = {"seed": "41"} | ({"filler": "x" * filler} if filler else {})
    payload = {"task": task, "extra": extra, "images": images, "videos": [], "audios": []}
    return orjson.dumps({"event_type": "ASYNC_TASK_RESULT", "payload": payload})
