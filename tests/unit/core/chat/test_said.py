"""What parts of a stream say, whatever came before them: of every sample, chunk by chunk."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from relay.apis import apis
from relay.core.chat.said import said
from tests.chat_samples import SAMPLES, ChatSample

APIS = apis().values()
OTHERWISE = {
    *("bom", "character-cut-in-two", "not-utf-8", "several-lines"),  # about bytes and lines, before they are chunks
    "data-after-done",  # the reader of the stream stops
    "frames-of-another-api",  # one who reads the stream knows its API
    *("texts-interleaved", "messages-interleaved"),  # in the order in which they came
    *("end-alone", "function-call-whole", "items-whole", "reasoning-whole"),  # the last event of the chat has them
    "tool-use-whole-and-in-pieces",  # twice, until the last event
    "tool-calls-without-index",  # all in the first place
}
"""Samples of which the parts, joined, are not the whole."""


def chunks_of(sample: ChatSample) -> list[dict[str, Any]]:
    lines = sample.body.splitlines()
    datas = [line.removeprefix(b"data:").strip() for line in lines if line.startswith(b"data:")]
    return [orjson.loads(data) for data in datas if data.startswith(b"{") and data.endswith(b"}")]


class Joined:
    """What a reader of the parts has."""

    def __init__(self) -> None:
        self.texts: dict[tuple[int, str], str] = {}
        self.calls: dict[tuple[int, int], list[str]] = {}

    def add(self, choices: list[Any]) -> Joined:
        for choice in choices:
            for name in ("content", "reasoning_content"):
                key = (choice["index"], name)
                self.texts[key] = self.texts.get(key, "") + (choice[name] or "")
            for call in choice["tool_calls"]:
                known = self.calls.setdefault((choice["index"], call["index"]), ["", ""])
                known[0] = known[0] or call["function"]["name"] or ""
                known[1] += call["function"]["arguments"] or ""
        return self

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Joined) and self.shown() == other.shown()

    def shown(self) -> Any:
        return {key: text for key, text in self.texts.items() if text}, [self.calls[key] for key in sorted(self.calls)]


@pytest.mark.parametrize(
    "sample",
    [
        pytest.param(each, id=f"{each.api}/{each.name}")
        for each in SAMPLES
        if each.is_stream and each.name not in OTHERWISE
    ],
)
@pytest.mark.parametrize("together", [1, 3])
def test_the_parts_of_an_answer_make_the_whole(sample: ChatSample, together: int) -> None:
    """Who reads a chat while it grows would read something else than at its end, or nothing."""
    chunks, joined = chunks_of(sample), Joined()
    for start in range(0, len(chunks), together):
        joined.add(said(chunks[start : start + together], APIS))
    assert joined.shown() == Joined().add(sample.data.get("choices", [])).shown()


def test_the_chunks_of_one_api_say_nothing_to_another() -> None:
    """A text would be read twice, or as something else."""
    for sample in SAMPLES:
        if sample.is_stream and sample.name not in OTHERWISE:
            others = [api for name, api in apis().items() if name != sample.api]
            assert all(said([chunk], others) == [] for chunk in chunks_of(sample)), sample.name


def test_chunks_of_any_shape_say_nothing() -> None:
    """An upstream that sends something odd would end who reads the chat."""
    odd = [7, None, {}, {"choices": "x"}, {"choices": [{"delta": 7}, 7]}, {"type": 7}, {"type": "response.completed"}]
    assert said(odd, APIS) == said([], APIS) == []
