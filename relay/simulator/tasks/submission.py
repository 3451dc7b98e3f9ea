"""Reads a submission: its endpoint, its webhook, and what it asks for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from relay.simulator.requests import InvalidSubmission, Json, object_in
from relay.simulator.tasks.catalog import Endpoint, Kind, endpoint
from relay.simulator.tasks.task import FAILED, SUCCEED

UNIFIED_PATH = "/v3/video/create"

_FORMATS: Mapping[Kind, tuple[str, str]] = {
    "image": ("response_image_type", "png"),
    "video": ("response_video_type", "mp4"),
    "audio": ("response_audio_type", "wav"),
}


@dataclass(frozen=True, slots=True)
class Submission:
    """``webhook`` is the object to be echoed, ``url`` where to deliver; ``mock`` the status that test mode asks for."""

    path: str
    endpoint: Endpoint
    prompt: str
    outputs: int
    format: str
    webhook: Json | None
    url: str | None
    mock: str | None


def read(path: str, body: Json, default_webhook: str | None) -> Submission:
    """What an asynchronous endpoint is asked for. Raises ``InvalidSubmission``."""
    unified = path == UNIFIED_PATH
    name = str(body.get("model", "video")) if unified else path.rpartition("/")[2]
    made_by = endpoint(name.rpartition("/")[2], body)
    extra = object_in(body, "extra")
    request = object_in(body, "request") or body
    webhook = object_in(extra, "webhook") or None
    wanted, default_format = _FORMATS[made_by.kind]
    return Submission(
        path=path,
        endpoint=Endpoint(made_by.name, "video", made_by.task_type) if unified else made_by,
        prompt=str(request.get("prompt") or request.get("text") or ""),
        outputs=_count(request.get("image_num", 1)) if made_by.kind == "image" else 1,
        format=str(extra.get(wanted) or default_format),
        webhook=webhook,
        url=_webhook_url(webhook, body.get("callback") if unified else None) or default_webhook,
        mock=_mock_status(webhook),
    )


def _count(value: object) -> int:
    if not isinstance(value, int) or not 1 <= value <= 8:
        raise InvalidSubmission("request.image_num is not a number from 1 to 8")
    return value


def _webhook_url(webhook: Json | None, callback: object) -> str | None:
    url = webhook.get("url") if webhook else callback
    if url is not None and (not isinstance(url, str) or not url.startswith(("http://", "https://"))):
        raise InvalidSubmission("the webhook is not an http or https URL")
    return url


def _mock_status(webhook: Json | None) -> str | None:
    """The status that test mode returns; both keys are required inside ``test_mode`` (vendor)."""
    test_mode = object_in(webhook, "test_mode") if webhook else {}
    if not test_mode:
        return None
    if not isinstance(test_mode.get("enabled"), bool):
        raise InvalidSubmission("extra.webhook.test_mode.enabled is required, true or false")
    status = test_mode.get("return_task_status")
    if status not in (SUCCEED, FAILED):
        raise InvalidSubmission(f"extra.webhook.test_mode.return_task_status is required, {SUCCEED} or {FAILED}")
    return str(status) if test_mode["enabled"] else None
