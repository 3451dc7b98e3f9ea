"""What the chunks of a stream say, put together."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.apis.chat_completions import ChatCompletion
from relay.core.chat.events import Choice

CALL: dict[str, Any] = {"index": 0, "function": {"arguments": "x"}}


def put_together(*deltas: dict[str, Any], **settings: Any) -> Choice:
    assembly = ChatCompletion(**settings)
    for delta in deltas:
        assembly.add({"choices": [{"index": 0, "delta": delta}]})
    (choice,) = assembly.choices()
    return choice


def test_content_is_null_if_there_was_none() -> None:
    """An answer that is nothing but tool calls would look like an empty text, or the other way round."""
    assert put_together({"content": None})["content"] is None
    assert put_together({"content": ""})["content"] == ""
    assert put_together({"content": ""}, {"content": "a"}, {"content": "b"})["content"] == "ab"


def test_reasoning_under_two_names_is_published_once() -> None:
    """Servers that send the same text as reasoning and as reasoning_content would have it doubled."""
    choice = put_together(
        {"reasoning_content": "a", "reasoning": "a"},
        {"reasoning": "b", "reasoning_content": "", "content": None},
        {"reasoning_details": [{"type": "reasoning.text", "text": "c"}], "content": ""},
        {
            "reasoning_details": [
                {"type": "reasoning.summary", "summary": "d"},
                {"type": "reasoning.encrypted", "data": "x"},
            ]
        },
    )
    assert choice["reasoning_content"] == "abcd"
    assert put_together({"reasoning_content": ["x"], "reasoning": "a"})["reasoning_content"] == "a"


def test_tool_calls_without_an_index_are_told_apart() -> None:
    """The arguments of two calls would run into one."""
    choice = put_together(
        {"tool_calls": [{"id": "a", "function": {"name": "one", "arguments": "1"}}]},
        {"tool_calls": [{"function": {"arguments": "2"}}]},
        {"tool_calls": [{"id": "b", "function": {"name": "two", "arguments": "3"}}]},
        {"tool_calls": [{"id": "a", "function": {"arguments": "4"}}]},
        {"tool_calls": [{"id": "c", "function": {"arguments": "5"}}]},
        {"tool_calls": [{"function": {"name": "four", "arguments": "6"}}]},
    )
    calls = [(call["id"], call["function"]["name"], call["function"]["arguments"]) for call in choice["tool_calls"]]
    assert calls == [("a", "one", "124"), ("b", "two", "3"), ("c", None, "5"), (None, "four", "6")]


def test_texts_beyond_the_bound_are_left_out_and_marked() -> None:
    """One endless stream would fill the memory."""
    assembly = ChatCompletion(max_text=10)
    for _ in range(100):
        assembly.add({"choices": [{"index": 0, "delta": {"content": "1234"}, "finish_reason": "stop"}]})
    assert assembly.truncated
    assert assembly.choices()[0]["content"] == "12341234"
    assert assembly.finished


def test_a_text_that_just_fits_is_kept() -> None:
    """An answer of exactly the bound would be marked as cut."""
    assembly = ChatCompletion(max_text=4)
    assembly.add({"choices": [{"index": 0, "delta": {"content": "1234"}}]})
    assert (assembly.choices()[0]["content"], assembly.truncated) == ("1234", False)


def test_only_a_text_is_taken_for_one() -> None:
    """Frames like one whose content is a list, or empty, would be read as texts: their content would be wrong."""
    assembly = ChatCompletion()
    for content, said in (("a", "a"), ([{"type": "text", "text": "a"}], None), ("", None)):
        chunk = {"choices": [{"index": 0, "delta": {"content": content}}]}
        assembly.add(chunk)
        found = assembly.only_text(chunk)
        assert (found and found[1]) == said


@pytest.mark.parametrize(
    "delta",
    [
        *(None, [], {}, {"content": None}, {"content": ["x"], "reasoning": "r"}, {"content": "x", "reasoning": "r"}),
        *({"content": "x", "tool_calls": [CALL]}, {"reasoning": "r", "tool_calls": [CALL]}),
        *(
            {"tool_calls": [CALL, CALL]},
            {"tool_calls": "x"},
            {"tool_calls": CALL},
            {"tool_calls": [CALL | {"index": 1}]},
        ),
        *({"tool_calls": [7]}, {"tool_calls": [CALL | {"index": False}]}),
        *({"tool_calls": [CALL | {"function": {"arguments": given}}]} for given in (7, "", None)),
    ],
)
def test_a_delta_with_more_than_a_text_or_none_is_not_taken_for_one(delta: Any) -> None:
    """A call, a reasoning or a content would be lost in the short way through a stream."""
    assembly = ChatCompletion()
    assembly.add({"choices": [{"index": 0, "delta": {"tool_calls": [CALL]}}]})
    assert assembly.only_text({"choices": [{"index": 0, "delta": {"tool_calls": [CALL]}}]}) is not None
    assert assembly.only_text({"choices": [{"index": 0, "delta": delta}]}) is None
    assert assembly.only_text({"choices": [{"index": 1, "delta": {"content": "x"}}]}) is None


@pytest.mark.parametrize("usage", [None, {}, [], "x", 7, [1]])
def test_what_holds_no_counts_is_not_taken_for_usage(usage: Any) -> None:
    """An answer would be billed by what an upstream put where its counts belong."""
    assembly = ChatCompletion()
    assembly.add({"choices": [], "usage": usage})
    assert assembly.usage is None


def test_without_content_only_the_texts_are_missing() -> None:
    """Texts would leave the relay though they may not, or counts and names be lost with them."""
    choice = put_together(
        {"role": "assistant", "content": "a", "reasoning_content": "b"},
        {"tool_calls": [{"index": 0, "id": "i", "function": {"name": "n", "arguments": "c"}}]},
        content=False,
    )
    assert (choice["role"], choice["content"], choice["reasoning_content"]) == ("assistant", None, None)
    assert choice["tool_calls"][0]["function"] == {"name": "n", "arguments": None}


scalars = st.sampled_from([None, True, 0, -1, 1.5, "", "x", "stop", "error", [], {}, [None], ["x"], {"text": "x"}])
values = scalars | st.lists(scalars, max_size=2)


def like(keys: str, inner: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.dictionaries(st.sampled_from(keys.split()), inner | values, max_size=6)


calls = like("index id type function", like("name arguments", values))
deltas = like("role content reasoning reasoning_content reasoning_details tool_calls", st.lists(calls, max_size=3))
choices = like("index delta message finish_reason", deltas)
chunks = like("id model choices usage error code reason message error_type x", st.lists(choices, max_size=3))


@given(st.lists(chunks, max_size=5), st.booleans())
def test_anything_can_be_put_together(stream: list[dict[str, Any]], content: bool) -> None:
    """One odd chunk would raise, and the stream would have no ending."""
    assembly = ChatCompletion(content=content)
    for chunk in stream:
        assembly.add(chunk)
        assembly.add_body(chunk)
    assert all(set(choice) == set(Choice.__annotations__) for choice in assembly.choices())
