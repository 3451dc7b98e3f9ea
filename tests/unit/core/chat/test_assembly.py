"""What all APIs of conversations share when an answer is put together: what is kept of it, and how much."""

from __future__ import annotations

from typing import Any

import pytest

from relay.apis import apis
from relay.core.chat.api import Api
from relay.core.chat.assembly import MAX_PARTS, MAX_WORD, count, joined, word

EACH = pytest.mark.parametrize("api", apis().values(), ids=apis())


@EACH
def test_texts_beyond_the_bound_are_left_out_and_marked(api: Api) -> None:
    """One endless stream would fill the memory."""
    assembly = api.assembly(max_text=10)
    parts = assembly.parts(0)
    assert parts is not None
    for _ in range(100):
        assembly.keep(parts.content, ["abc", "d"])
    assert (assembly.choices()[0]["content"], assembly.truncated, assembly.begun) == ("abcdabcd", True, True)


@EACH
def test_many_pieces_are_joined_on_the_way(api: Api) -> None:
    """A stream of single characters would take fifty times the memory of its text."""
    assembly = api.assembly()
    parts = assembly.parts(0)
    assert parts is not None
    for number in range(5000):
        assembly.keep_text(parts.content, "x")
        assert number >= 500 or len(parts.content) == number + 1  # to join each time would cost the square of it
    assert len(parts.content) < 600
    assert assembly.choices()[0]["content"] == "x" * 5000


@EACH
def test_choices_and_calls_are_bounded(api: Api) -> None:
    """One hostile answer could number its choices up to the end of memory."""
    assembly = api.assembly()
    assert [assembly.parts(index) is None for index in range(MAX_PARTS + 1)] == [False] * MAX_PARTS + [True]
    assert assembly.truncated
    assembly.truncated = False
    parts = assembly.parts(0)
    assert parts is not None
    calls = [assembly.add_call(parts, index, "id", "function", "f") for index in range(MAX_PARTS + 1)]
    assert (calls[-1], assembly.truncated) == (None, True)


@EACH
def test_nothing_said_is_nothing_known(api: Api) -> None:
    """A chat without an answer would count tokens, or end as one that was answered."""
    assembly = api.assembly()
    assert (assembly.empty, assembly.begun, assembly.finished, assembly.done) == (True, False, False, False)
    assert set(assembly.tokens().values()) == {None}
    assert api.assembly.without_texts({}) == {}


@pytest.mark.parametrize("value", [None, "5", True, -1, 1.5, 1 << 40, [], {}])
def test_only_a_number_of_tokens_counts_as_one(value: Any) -> None:
    """A counter would go down, or a metric get a text."""
    assert count(value) is None
    assert (count(0), count((1 << 40) - 1)) == (0, (1 << 40) - 1)


@EACH
def test_an_id_and_a_model_are_taken_from_where_each_comes_first(api: Api) -> None:
    """Consumers could not join an answer with what the upstream knows of it, or count its model."""
    for first, second in (("id", "model"), ("model", "id")):
        assembly = api.assembly()
        assembly.name({first: f"a-{first}"})
        assembly.name({first: "another", second: f"a-{second}"})
        assert (assembly.completion_id, assembly.model) == ("a-id", "a-model")


def test_words_and_lists_of_parts_are_read_as_far_as_they_are_some() -> None:
    """A server that is nearly compatible would cost the recording."""
    assert (word("x" * 5000), word(""), word(7)) == ("x" * MAX_WORD, None, None)
    assert joined([{"text": "a"}, None, {"text": 1}, {"text": "b"}], "text") == "ab"
    assert joined("ab", "text") == ""
