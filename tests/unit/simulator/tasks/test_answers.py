from __future__ import annotations

import orjson

from relay.simulator.tasks.answers import ApiError, error_response, unrouted


def test_errors_are_flat_and_repeat_the_status_as_a_number() -> None:
    """A client that reads ``code`` and ``reason``, as the vendor documents them, would find neither."""
    response = error_response(ApiError(404, "task not found"))
    assert response.status == 404
    assert response.content_type == "application/json"
    assert isinstance(response.body, bytes)
    assert orjson.loads(response.body) == {
        "code": 404,
        "reason": "TASK_NOT_FOUND",
        "message": "task not found",
        "metadata": {},
    }


def test_a_reason_of_its_own_goes_before_the_usual_one() -> None:
    """A failed poll and a failed submission, both 500, would look the same."""
    assert ApiError(500, "failed", "GET_RESULT_FAILED").reason == "GET_RESULT_FAILED"
    assert ApiError(500, "failed").reason == "CREATE_TASK_FAILED"


def test_an_unrouted_path_is_plain_text() -> None:
    """A client that expects JSON of every error would never meet the answer that breaks it."""
    response = unrouted()
    assert (response.status, response.content_type, response.text) == (404, "text/plain", "404 page not found")
