"""The formats of the media API's answers: errors, and endpoints that answer at once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson
from aiohttp import web

REASONS: Mapping[int, str] = {
    400: "INVALID_REQUEST_BODY",
    403: "INVALID_API_KEY",
    404: "TASK_NOT_FOUND",
    429: "RATE_LIMIT_EXCEEDED",
    500: "CREATE_TASK_FAILED",
}
"""The usual ``reason`` of each status (vendor page basic-error-code)."""


VARIETY: Mapping[int, tuple[str, ...]] = {
    400: (
        "INVALID_REQUEST_BODY",
        "IMAGE_FILE_EXCEEDS_MAX_SIZE",
        "INVALID_IMAGE_FORMAT",
        "IMAGE_EXCEEDS_MAX_RESOLUTION",
        "INVALID_IMAGE_SIZE",
        "IMAGE_NO_FACE_DETECTED",
        "INVALID_CUSTOM_OUTPUT_PATH",
        "ILLEGAL_PROMPT",
        "ILLEGAL_IMAGE_CONTENT",
        "INVALID_AUDIO_FILE",
        "BILLING_BALANCE_NOT_ENOUGH",
    ),
    403: ("INVALID_API_KEY", "BILLING_AUTH_FAILED", "FEATURE_NOT_ALLOWED", "API_NOT_ALLOWED", "NOT_ENOUGH_BALANCE"),
    404: ("API_NOT_FOUND",),
    429: ("RATE_LIMIT_EXCEEDED",),
    500: ("CREATE_TASK_FAILED", "BILLING_FAILED"),
}
"""What a submission may be refused for, by status (the same page, and what was observed)."""

PAGE = "<html><head><title>502 Bad Gateway</title></head><body><center><h1>502 Bad Gateway</h1></center></body></html>"
"""What a gateway in front of the API answers in its place."""


class ApiError(Exception):
    """A request that is answered with an error; ``reason`` is the usual one of the status where none is given.

    ``bare``: without ``metadata``, which was seen to be absent. ``retry_after``: seconds, for a ``Retry-After`` that
    the vendor does not document.
    """

    def __init__(
        self,
        status: int,
        message: str,
        reason: str | None = None,
        *,
        bare: bool = False,
        retry_after: int | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.reason = reason or REASONS[status]
        self.bare = bare
        self.retry_after = retry_after


class Broken(Exception):
    """A request whose connection breaks instead of an answer."""


def document(body: Any, status: int = 200) -> web.Response:
    return web.Response(body=orjson.dumps(body), status=status, content_type="application/json")


def error_response(error: ApiError) -> web.Response:
    """The flat error body of the media endpoints: ``code`` repeats the HTTP status as a number."""
    body: dict[str, Any] = {"code": error.status, "reason": error.reason, "message": error.message}
    if not error.bare:
        body["metadata"] = {}
    response = document(body, error.status)
    if error.retry_after is not None:
        response.headers["Retry-After"] = str(error.retry_after)
    return response


def page(status: int = 200) -> web.Response:
    """HTML where JSON is expected."""
    return web.Response(text=PAGE, status=status, content_type="text/html")


def unrouted() -> web.Response:
    """A path that the API does not know is answered in plain text, not in JSON."""
    return web.Response(text="404 page not found", status=404)
