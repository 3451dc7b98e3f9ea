"""The shapes in which the media API answers: errors, and endpoints that answer at once."""

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


class Refused(Exception):
    """A request that is answered with an error; ``reason`` is the usual one of the status where none is given."""

    def __init__(self, status: int, message: str, reason: str | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.reason = reason or REASONS[status]


def document(body: Any, status: int = 200) -> web.Response:
    return web.Response(body=orjson.dumps(body), status=status, content_type="application/json")


def error(refused: Refused) -> web.Response:
    """The flat error body of the media endpoints: ``code`` repeats the HTTP status as a number."""
    body = {"code": refused.status, "reason": refused.reason, "message": refused.message, "metadata": {}}
    return document(body, refused.status)


def unrouted() -> web.Response:
    """A path that the API does not know is answered in plain text, not in JSON."""
    return web.Response(text="404 page not found", status=404)
