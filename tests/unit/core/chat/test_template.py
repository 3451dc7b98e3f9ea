"""The short way for chunks that differ in one text: it must be no guess."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.apis.chat_completions import ChatCompletion
from relay.core.chat.template import Run, Template, learn, runs, strings_of

TEXTS: list[str] = []
TEMPLATE = Template(b'{"c":"', b'"}', TEXTS)


def learnt(frame: bytes) -> Template | None:
    """As a reader learns: from a frame whose chunk was added."""
    assembly = ChatCompletion()
    chunk = orjson.loads(frame)
    assembly.add(chunk)
    found = assembly.only_text(chunk)
    return None if found is None else learn(frame, found[0], assembly.only_text)


def chunk(delta: dict[str, Any], **keys: Any) -> bytes:
    return orjson.dumps({"id": "c1", "choices": [{"index": 0, "delta": delta, "finish_reason": None}], **keys})


@pytest.mark.parametrize(
    "frame",
    [
        chunk({"content": "X"}),
        chunk({"role": "assistant", "content": "X", "tool_calls": None}),
        chunk({"content": None, "reasoning_content": "X"}),
        chunk({"reasoning_details": [{"type": "reasoning.text", "text": "X"}]}),
        chunk({"tool_calls": [{"index": 0, "function": {"arguments": "X"}}]}),
        chunk({"content": "X"}, content="X", text="X", usage=None),
        b'{"choices": [{"delta": {"content": "X"}}], "content": "X"}',
        b'{"content": "X", "choices": [{"text": "X", "delta": {"content": "X"}}]}',
    ],
)
def test_the_one_text_of_a_chunk_is_found(frame: bytes) -> None:
    """Streams of that kind would be parsed frame by frame, or another of its texts be taken for what was said."""
    template = learnt(frame)
    assert template is not None
    with_another = orjson.loads(template.prefix + b"other" + template.suffix)
    assembly = ChatCompletion()
    assembly.add(with_another)
    found = assembly.only_text(with_another)
    assert found is not None
    assert found[1] == "other"


@pytest.mark.parametrize(
    "frame",
    [
        chunk({"content": "X", "reasoning_content": "X"}),
        chunk({"content": "X"}, usage={"total_tokens": 1}),
        chunk({"content": "X"}, error="X"),
        chunk({"role": "assistant"}),
        b'{"choices": [{"delta": {"content": "X"}, "finish_reason": "stop"}]}',
        b'{"choices": [{"delta": {"content": "X"}}, {"delta": {"content": "X"}}]}',
        b'{"choices": [{"delta": {"tool_calls": [{"id": "a", "function": {"arguments": "X"}}]}}]}',
        b'{"choices": []}',
    ],
)
def test_a_chunk_that_does_more_than_to_say_one_text_makes_no_template(frame: bytes) -> None:
    """Usage, finish reasons, errors or second texts would be lost behind a template."""
    assert learnt(frame) is None


insides = st.text(st.characters(exclude_categories=["Cs"]), max_size=6).map(lambda text: orjson.dumps(text)[1:-1])
odd = st.lists(
    st.sampled_from([b"a", b'"', b"\\", b"\\n", b"\\u00fc", b"\\x", b"\xff", b"\t", b'","', b"\\ud83d"])
).map(b"".join)


def by_json(inside: bytes) -> str | None:
    try:
        text = orjson.loads(b'"' + inside + b'"')
    except orjson.JSONDecodeError:
        return None
    return text if isinstance(text, str) else None


@given(st.lists(insides | odd, min_size=1, max_size=6))
def test_strings_are_read_together_as_they_are_read_alone(parts: list[bytes]) -> None:
    """A frame that is no JSON would run into the next one, and both would be published as text that nobody sent."""
    alone = [by_json(part) for part in parts]
    assert strings_of(parts) == (None if None in alone else alone)


frames = st.sampled_from(
    [b'{"c":"x"}', b'{"c":""}', b'{"c":"}', b'{"c":"\\"}', b'{"d":"x"}', b"{}", b"[DONE]", b'{"c":"a","c":"b"}']
)


@given(st.lists(frames, max_size=12))
def test_every_frame_is_in_one_run_at_its_place(stream: list[bytes]) -> None:
    """Frames would be lost, doubled, moved, or be given the text of another."""
    found = runs(TEMPLATE, stream)
    assert [frame for run in found for frame in run.frames] == stream
    for run in found:
        if run.said is not None:
            assert [orjson.loads(frame) for frame in run.frames] == [{"c": text} for text in run.said]


def test_what_fits_is_one_run() -> None:
    """The short way would be longer than the long one."""
    fitting = [b'{"c":"%d"}' % number for number in range(5)]
    texts = ["0", "1", "2", "3", "4"]
    assert runs(TEMPLATE, fitting) == [Run(fitting, texts)]
    assert runs(TEMPLATE, [b"{}", *fitting, b"[DONE]"]) == [
        Run([b"{}"], None),
        Run(fitting, texts),
        Run([b"[DONE]"], None),
    ]
