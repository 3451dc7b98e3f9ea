"""Recorded-style answers: the events of each are those of a reading of the rules that shares nothing with the relay's.

``tests/contract/test_chat_cuts.py`` cuts each of them at every place.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import orjson
import pytest
from jsonschema import Draft202012Validator
from pydantic import TypeAdapter

from relay.apis import apis
from relay.core.chat.events import ChatChunk, ChatData, Opening
from relay.core.chat.tap import Capture, ChunkEvents, Tap
from relay.core.event import Draft
from tests.chat_reference import Content, content_of_body, content_of_stream
from tests.chat_samples import EXPECTED, FOLDERS, SAMPLES, ChatSample

OPENING = Opening("s1", 1_700_000_000_000, 0.0)
ENDING = Draft202012Validator(TypeAdapter(ChatData).json_schema())
CHUNKS = Draft202012Validator(TypeAdapter(ChatChunk).json_schema())
EACH = pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: f"{sample.api}-{sample.name}")


def by_reference(sample: ChatSample) -> Content:
    read = content_of_stream if sample.is_stream else content_of_body
    return read(sample.api, sample.body, sample.status, sample.ending)


def by_relay(
    sample: ChatSample, pieces: list[bytes], *, due: bool = False, chunks: ChunkEvents = "coalesced"
) -> Content:
    """Through the recorder, in pieces; ``due``: asked for chunk events after each piece."""
    tap = Tap(OPENING, Capture(chunks=chunks, chunk_interval=0.0), apis()[sample.api])
    tap.answered(sample.status, sample.content_type)
    drafts: list[Draft] = []
    for number, piece in enumerate(pieces, 1):
        tap.feed(piece, number / 1000)
        if due:
            drafts += tap.due(number / 1000)
    closed = tap.end(sample.ending, 1.0)
    data = orjson.loads(closed.terminal.event.data)
    assert data["bytes"] == len(sample.body)
    assert sorted(closed.irregular) == sample.irregular
    return Content(list(chunk_objects(drafts + closed.chunks)), {key: data[key] for key in sample.data})


def chunk_objects(drafts: list[Draft]) -> Iterator[dict[str, Any]]:
    """The chunks of all events, which must follow each other without a gap."""
    expected = 0
    for draft in drafts:
        data = orjson.loads(draft.event.data)
        assert data["first_sequence"] == expected
        expected += len(data["chunks"])
        yield from data["chunks"]


@EACH
def test_a_sample_is_read_as_expected(sample: ChatSample) -> None:
    """An answer of a kind that upstreams give would become another event than consumers rely on."""
    read = by_relay(sample, [sample.body])
    assert read.data == sample.data
    assert read == by_reference(sample)


@EACH
def test_a_sample_that_comes_byte_by_byte_says_the_same(sample: ChatSample) -> None:
    """What an event says would depend on how the network cut the stream."""
    assert by_relay(sample, [bytes((byte,)) for byte in sample.body]) == by_reference(sample)


@pytest.mark.parametrize("content", [True, False])
@EACH
def test_every_event_of_a_sample_matches_its_schema(sample: ChatSample, content: bool) -> None:
    """Consumers' generated types would refuse an event."""
    tap = Tap(OPENING, Capture(content=content), apis()[sample.api])
    tap.answered(sample.status, sample.content_type)
    tap.feed(sample.body, 0.5)
    closed = tap.end(sample.ending, 1.0)
    ENDING.validate(orjson.loads(closed.terminal.event.data))
    for draft in closed.chunks:
        CHUNKS.validate(orjson.loads(draft.event.data))


@EACH
def test_without_content_the_rest_is_the_same(sample: ChatSample) -> None:
    """Counts, finish reasons, usage or the outcome would be lost with the texts, or a text not be lost."""
    tap = Tap(OPENING, Capture(content=False), apis()[sample.api])
    tap.answered(sample.status, sample.content_type)
    tap.feed(sample.body, 0.5)
    data = tap.end(sample.ending, 1.0).data
    for key in ("completion_id", "model", "outcome", "reason", "usage", "chunks", "gaps"):
        assert data[key] == sample.data[key], key  # type: ignore[literal-required]
    for choice, full in zip(data["choices"], sample.data["choices"], strict=True):
        assert (choice["content"], choice["reasoning_content"]) == (None, None)
        assert (choice["index"], choice["finish_reason"]) == (full["index"], full["finish_reason"])
        for call, whole in zip(choice["tool_calls"], full["tool_calls"], strict=True):
            assert call["function"] == {"name": whole["function"]["name"], "arguments": None}


@pytest.mark.parametrize("api", apis())
def test_every_api_has_its_samples(api: str) -> None:
    """An API could be added, a sample added or an expectation left behind, without being tested."""
    names = {sample.name for sample in SAMPLES if sample.api == api}
    bodies = {path.stem for path in (FOLDERS / api).iterdir() if not path.name.endswith(EXPECTED)}
    assert names == bodies
    assert len(names) >= 40
