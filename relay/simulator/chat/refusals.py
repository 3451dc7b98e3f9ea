"""Answers in one piece: documents, and errors in the formats of the OpenAI routes. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from random import Random

import orjson

from relay.simulator.chat.behaviour import Behaviour
from relay.simulator.chat.delivery import JSON_HEADERS, Answer, Headers, Piece, whole
from relay.simulator.requests import Json

REASONS: Mapping[int, str] = {
    400: "INVALID_REQUEST_BODY",
    401: "FAILED_TO_AUTH",
    403: "NOT_ENOUGH_BALANCE",
    404: "MODEL_NOT_FOUND",
    429: "RATE_LIMIT_EXCEEDED",
    503: "SERVICE_NOT_AVAILABLE",
}
"""The usual ``reason`` of each status (vendor page of the LLM errors); other statuses are listed there without one."""


class ApiError(Exception):
    """A request that is answered with an error in Novita's flat shape."""

    def __init__(self, status: int, message: str, reason: str | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.reason = reason or REASONS[status]


def document(body: Json, status: int = 200) -> Answer:
    raw = orjson.dumps(body)
    return Answer(status, JSON_HEADERS, (Piece(raw),), length=len(raw))


def error_answer(error: ApiError) -> Answer:
    body: Json = {"code": error.status, "reason": error.reason, "message": str(error)}
    if error.status != 404:  # seen without metadata
        body["metadata"] = {}
    return document(body, error.status)


def unrouted() -> Answer:
    """A path that the API does not know is answered in plain text, not in JSON."""
    body = b"404 page not found"
    return Answer(404, (("Content-Type", "text/plain"),), (Piece(body),), length=len(body))


def requested_error(behaviour: Behaviour, rng: Random) -> Answer:
    """The error that a request asks for, in the shape that it asks for."""
    status = behaviour.error
    said = "the simulator was asked to fail here"
    headers: Headers = JSON_HEADERS
    if behaviour.error_body == "openai":
        raw = orjson.dumps({"error": {"message": said, "type": "server_error", "param": None, "code": None}})
    elif behaviour.error_body == "text":
        raw, headers = b"upstream connect error or disconnect/reset before headers", (("Content-Type", "text/plain"),)
    else:
        raw = orjson.dumps({"code": status, "reason": REASONS.get(status, "INTERNAL"), "message": said, "metadata": {}})
    if behaviour.retry_after:
        headers += (("Retry-After", behaviour.retry_after),)
    if behaviour.should_retry:
        headers += (("x-should-retry", behaviour.should_retry),)
    return whole(raw, behaviour, rng, status, headers)
