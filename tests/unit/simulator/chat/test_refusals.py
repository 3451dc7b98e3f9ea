from __future__ import annotations

from random import Random
from typing import Any

import orjson
import pytest

from relay.simulator.chat.behaviour import Behaviour
from relay.simulator.chat.delivery import Answer
from relay.simulator.chat.refusals import ApiError, document, error_answer, requested_error, unrouted


def body(answer: Answer) -> Any:
    raw = b"".join(piece.data for piece in answer.pieces)
    assert answer.length == len(raw)
    return orjson.loads(raw)


def test_a_refusal_is_flat() -> None:
    """Clients that read Novita's errors would meet OpenAI's instead."""
    assert body(error_answer(ApiError(429, "slow down"))) == {
        "code": 429,
        "reason": "RATE_LIMIT_EXCEEDED",
        "message": "slow down",
        "metadata": {},
    }


def test_a_model_that_is_not_there_has_no_metadata() -> None:
    """A client that needs the key would not be caught."""
    assert "metadata" not in body(error_answer(ApiError(404, "no such model")))


def test_an_unrouted_path_is_plain_text() -> None:
    """A client that expects JSON of every 404 would not be caught."""
    answer = unrouted()
    assert (answer.status, answer.headers) == (404, (("Content-Type", "text/plain"),))
    assert b"".join(piece.data for piece in answer.pieces) == b"404 page not found"


@pytest.mark.parametrize("status", [401, 403, 503])
def test_an_error_that_is_asked_for_has_the_usual_reason(status: int) -> None:
    """The errors of the simulator would not be those of the vendor's table."""
    error = body(requested_error(Behaviour(error=status), Random(1)))
    assert error["code"] == status
    assert error["reason"] in ("FAILED_TO_AUTH", "NOT_ENOUGH_BALANCE", "SERVICE_NOT_AVAILABLE")


def test_an_error_can_say_how_to_retry_and_in_other_shapes() -> None:
    """What SDKs do after an error could not be tested."""
    behaviour = Behaviour(error=429, error_body="openai", retry_after="2", should_retry="false")
    answer = requested_error(behaviour, Random(1))
    assert set(answer.headers) >= {("Retry-After", "2"), ("x-should-retry", "false")}
    assert set(body(answer)) == {"error"}
    assert body(requested_error(Behaviour(error=429), Random(1), "anthropic")) == {
        "type": "error",
        "error": {"type": "rate_limit_error", "message": "the simulator was asked to fail here"},
    }
    gateway = requested_error(Behaviour(error=502, error_body="text"), Random(1))
    assert gateway.headers == (("Content-Type", "text/plain"),)


def test_a_document_is_json() -> None:
    """A list of models would not be read."""
    assert body(document({"a": 1})) == {"a": 1}
