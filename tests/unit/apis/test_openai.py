"""What OpenAI's APIs share."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from relay.apis._openai import error_body, error_frame, openai_tokens


def test_an_openai_error_has_openais_four_members() -> None:
    """The OpenAI SDKs would raise an error without message or code."""
    assert orjson.loads(error_body(502, "upstream_unreachable", "Gone.")) == {
        "error": {"message": "Gone.", "type": "server_error", "param": None, "code": "upstream_unreachable"}
    }


def test_an_error_within_a_stream_is_one_event() -> None:
    """The SDKs would take the break of a stream for the network's."""
    assert error_frame(503, "draining", "Bye.") == b"data: " + error_body(503, "draining", "Bye.") + b"\n\n"


@pytest.mark.parametrize(
    ("status", "kind"),
    [(400, "invalid_request_error"), (401, "invalid_request_error"), (429, "rate_limit_error"), (500, "server_error")],
)
def test_the_openai_type_follows_the_status(status: int, kind: str) -> None:
    """A client that branches on the type would retry what is its own fault, or give up on what is ours."""
    assert orjson.loads(error_body(status, "c", "m"))["error"]["type"] == kind


NOTHING = {"input": None, "output": None, "cached": None, "cache_written": None, "reasoning": None}


@pytest.mark.parametrize(
    ("usage", "tokens"),
    [
        (None, {}),
        ({"prompt_tokens": 5, "completion_tokens": 7, "total_tokens": 12}, {"input": 5, "output": 7}),
        (
            {
                "input_tokens": 5,
                "input_tokens_details": {"cached_tokens": 3, "cache_write_tokens": 1},
                "output_tokens": 7,
                "output_tokens_details": {"reasoning_tokens": 2},
            },
            {"input": 5, "output": 7, "cached": 3, "cache_written": 1, "reasoning": 2},
        ),
        ({"prompt_tokens": "5", "completion_tokens": -1, "completion_tokens_details": 7}, {}),
        ({"prompt_tokens": True, "completion_tokens": 1 << 60, "prompt_tokens_details": {"cached_tokens": 1.5}}, {}),
    ],
)
def test_tokens_are_counted_in_the_same_words(usage: dict[str, Any] | None, tokens: dict[str, int]) -> None:
    """A bill would lack an API, or have in it what an upstream put where a number belongs."""
    assert openai_tokens(usage) == NOTHING | tokens
