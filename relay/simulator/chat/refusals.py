"""Answers in one piece: documents, and errors in the formats of each API. Pure."""

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
KINDS: Mapping[int, str] = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    422: "invalid_request_error",
    429: "rate_limit_error",
    503: "overloaded_error",
}
"""The ``type`` of each status at Anthropic (https://docs.claude.com/en/api/errors)."""


class ApiError(Exception):
    """A request that is answered with an error."""

    def __init__(self, status: int, message: str, reason: str | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.reason = reason or REASONS[status]


def document(body: Json, status: int = 200) -> Answer:
    raw = orjson.dumps(body)
    return Answer(status, JSON_HEADERS, (Piece(raw),), length=len(raw))


def error_answer(error: ApiError, shape: str = "flat") -> Answer:
    body = error_body(shape, error.status, error.reason, str(error))
    if shape == "flat" and error.status == 404:  # seen without metadata
        del body["metadata"]
    return document(body, error.status)


def error_body(shape: str, status: int, reason: str, message: str) -> Json:
    """An error as ``flat``, ``openai`` or ``anthropic`` has it."""
    if shape == "anthropic":
        return {"type": "error", "error": {"type": KINDS.get(status, "api_error"), "message": message}}
    if shape == "openai":
        return {"error": {"message": message, "type": "server_error", "param": None, "code": None}}
    return {"code": status, "reason": reason, "message": message, "metadata": {}}


def unrouted() -> Answer:
    """A path that the API does not know is answered in plain text, not in JSON."""
    body = b"404 page not found"
    return Answer(404, (("Content-Type", "text/plain"),), (Piece(body),), length=len(body))


def requested_error(behaviour: Behaviour, rng: Random, own: str = "flat") -> Answer:
    """The error that a request asks for, in the shape that it asks for, else in the API's ``own``."""
    status, shape = behaviour.error, behaviour.error_body or own
    headers: Headers = JSON_HEADERS
    if shape == "text":
        raw, headers = b"upstream connect error or disconnect/reset before headers", (("Content-Type", "text/plain"),)
    else:
        reason = REASONS.get(status, "INTERNAL")
        raw = orjson.dumps(error_body(shape, status, reason, "the simulator was asked to fail here"))
    if behaviour.retry_after:
        headers += (("Retry-After", behaviour.retry_after),)
    if behaviour.should_retry:
        headers += (("x-should-retry", behaviour.should_retry),)
    return whole(raw, behaviour, rng, status, headers)
