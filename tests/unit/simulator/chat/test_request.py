from __future__ import annotations

import pytest

from relay.simulator.chat.request import callable_now, max_tokens, text, texts
from relay.simulator.requests import InvalidSubmission

LOOK, LISTEN = {"name": "look"}, {"name": "listen"}


def test_a_chosen_tool_is_the_only_one_that_is_called() -> None:
    """A client that forces a tool would get the call of another one."""
    assert callable_now([LOOK, LISTEN], "listen", forbidden=False) == (LISTEN,)
    assert callable_now([LOOK, LISTEN], None, forbidden=False) == (LOOK, LISTEN)
    assert callable_now([LOOK], None, forbidden=True) == ()


def test_a_text_comes_alone_or_in_parts() -> None:
    """A message with a picture would have no words."""
    parts = [{"type": "text", "text": "fly"}, {"type": "image"}, "?", {"type": "text", "text": "it"}]
    assert (text("fly it"), text(parts), text(None)) == ("fly it", "fly  it", "")


@pytest.mark.parametrize("given", [None, [], [3], 3])
def test_prompts_that_are_no_texts_are_refused(given: object) -> None:
    """A client's mistake would be answered like any request."""
    with pytest.raises(InvalidSubmission, match="prompt"):
        texts({"prompt": given}, "prompt")


def test_the_first_limit_that_is_there_holds() -> None:
    """The newer name of the limit would be ignored."""
    assert max_tokens({"max_completion_tokens": 3}, "max_tokens", "max_completion_tokens") == 3
    assert max_tokens({}, "max_tokens") is None
