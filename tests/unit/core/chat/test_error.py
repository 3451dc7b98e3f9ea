"""The errors that upstreams report, in their shapes."""

from __future__ import annotations

from typing import Any

import pytest

from relay.core.chat.error import MAX_MESSAGE, error_of, error_of_status, upstream_error


@pytest.mark.parametrize(
    ("document", "code", "kind", "message"),
    [
        (
            {"error": {"message": "overloaded", "type": "server_error", "code": 503}},
            "503",
            "server_error",
            "overloaded",
        ),
        ({"error": "text"}, None, None, "text"),
        ({"error": {"code": 502, "message": "died"}, "choices": [{"index": 0}]}, "502", None, "died"),
        ({"error": ["odd"]}, None, None, None),
        ({"code": 500, "reason": "INTERNAL", "message": "failed", "metadata": {}}, "500", "INTERNAL", "failed"),
        ({"code": 500, "reason": "INTERNAL"}, "500", "INTERNAL", None),
        ({"code": 500, "message": "failed"}, "500", None, "failed"),
        ({"choices": None, "error_type": "engine", "error_message": "gone"}, None, "engine", "gone"),
        (
            {"object": "error", "message": "bad", "type": "BadRequestError", "code": 400},
            "400",
            "BadRequestError",
            "bad",
        ),
    ],
)
def test_a_shape(document: dict[str, Any], code: str | None, kind: str | None, message: str | None) -> None:
    """A stream that the upstream broke off would be reported as complete, or without its error."""
    assert error_of(document) == {"code": code, "type": kind, "message": message}


@pytest.mark.parametrize(
    "document",
    [
        {"choices": [], "error": None},
        {"choices": [], "error": ""},
        {"choices": [], "error": {}},
        {"choices": [], "code": 1, "message": "not flat, since it has choices"},
        {"code": 200},
        {"message": "x"},
        {"error_type": None, "error_message": ""},
        {},
    ],
)
def test_no_error(document: dict[str, Any]) -> None:
    """An ordinary chunk would fail its stream."""
    assert error_of(document) is None


def test_an_error_status_always_says_something() -> None:
    """A gateway's plain-text 404 would be reported without its text."""
    assert error_of_status(None, "404 page not found\n")["message"] == "404 page not found"
    assert error_of_status({"detail": "Not Found"}, "")["message"] == "Not Found"
    assert error_of_status({"code": 404, "reason": "MODEL_NOT_FOUND", "message": "no"}, "")["type"] == "MODEL_NOT_FOUND"
    assert error_of_status([], "")["message"] is None


@pytest.mark.parametrize(
    ("message", "shown"),
    [
        ("Incorrect API key provided: sk-abcd1234efgh.", "Incorrect API key provided: [redacted]"),
        ("Authorization was Bearer abc.def-123", "Authorization was [redacted]"),
        ("see https://user:pw@docs.example/x?key=1", "see https://docs.example/[redacted]"),
        ("x" * 600, "x" * MAX_MESSAGE),
        ("task-12345 failed", "task-12345 failed"),
    ],
)
def test_a_message_holds_no_key_and_no_address(message: str, shown: str) -> None:
    """The caller's API key, which upstreams like to repeat, would be published."""
    assert upstream_error(None, None, message)["message"] == shown
