"""A terminal event that every sink takes."""

from __future__ import annotations

import orjson
import pytest

from relay.apis.chat_completions import API as CHAT_COMPLETIONS
from relay.core.chat.events import ChatData, Opening
from relay.core.chat.json import write_json
from relay.core.chat.size import MAX_DATA, fitted
from relay.core.chat.tap import Capture, Tap


def ending(content: str) -> ChatData:
    tap = Tap(Opening("s1", 1_700_000_000_000, 0.0), Capture(max_text=1 << 30, max_body=1 << 30), CHAT_COMPLETIONS)
    tap.answered(200, "application/json")
    tap.feed(orjson.dumps({"choices": [{"message": {"content": content}}]}), 0.1)
    return tap.end("end", 0.2).data


@pytest.mark.parametrize("text", ["x", "\x01", "€", "😀", '"'])
def test_a_text_too_long_for_a_broker_is_cut_and_the_ending_kept(text: str) -> None:
    """A long answer would become a dead letter, and its stream would have no ending."""
    data = ending("")
    data["choices"][0]["content"] = text * 3_000_000
    serialized = fitted(data)
    assert MAX_DATA * 0.7 < len(serialized) <= MAX_DATA
    result = orjson.loads(serialized)
    assert (result["outcome"], result["truncated"]) == ("completed", True)
    assert result["choices"][0]["content"] == text * len(result["choices"][0]["content"])


def test_what_fits_is_left_alone() -> None:
    """Ordinary answers would be cut."""
    data = ending("x" * 900_000)
    assert orjson.loads(fitted(data))["choices"][0]["content"] == "x" * 900_000
    assert data["truncated"] is False


def test_what_just_fits_is_left_alone() -> None:
    """An answer of exactly the limit would lose its request, its usage and all that was said."""
    data = ending("x")
    whole = write_json(data)
    assert fitted(data, len(whole)) == whole


def test_what_cannot_be_cut_goes() -> None:
    """An absurd usage object would cost the ending."""
    data = ending("x")
    data["usage"] = {"x": "y" * MAX_DATA}
    result = orjson.loads(fitted(data))
    assert (result["usage"], result["truncated"], result["outcome"]) == (None, True, "completed")
