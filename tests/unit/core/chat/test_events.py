"""Chat events: their ids and keys, and the schemas of their data."""

from __future__ import annotations

import orjson
from jsonschema import Draft202012Validator
from pydantic import TypeAdapter

from relay.core.chat.events import (
    CHAT_SOURCE,
    ChatChunk,
    ChatStarted,
    Opening,
    chunk_draft,
    chunk_key,
    started_draft,
)
from relay.core.dedup import judge

OPENING = Opening("s1", 1_700_000_000_000, 5.0, model="org/m", client="web", traceparent="00-aa-bb-01")


def test_a_start_is_published_once() -> None:
    """A stream would be announced twice, or under no id that consumers know."""
    draft = started_draft(OPENING)
    assert (draft.event.id, draft.event.type, draft.event.subject) == ("s1:started", "relay.chat.started", "s1")
    assert (draft.event.topic, draft.event.source) == ("chat", CHAT_SOURCE)
    assert draft.event.traceparent == "00-aa-bb-01"
    assert judge(started_draft(OPENING), draft.fingerprint) is None
    Draft202012Validator(TypeAdapter(ChatStarted).json_schema()).validate(orjson.loads(draft.event.data))


def test_chunk_events_of_a_stream_have_keys_of_their_own() -> None:
    """All but one chunk event of a stream would be absorbed as duplicates, or those of another stream be."""
    key = chunk_key("s1")
    drafts = [chunk_draft("s1", key, sequence, [b'{"a":1}', b"{}"], time="t") for sequence in (0, 1, 2)]
    other = chunk_draft("s2", chunk_key("s2"), 0, [b"{}"], time="t")
    assert len({draft.key for draft in [*drafts, other, started_draft(OPENING)]}) == 5
    assert {len(draft.key) for draft in drafts} == {16}
    assert [draft.event.id for draft in drafts] == ["s1:chunk:0", "s1:chunk:1", "s1:chunk:2"]
    data = orjson.loads(drafts[2].event.data)
    assert data == {"chat_id": "s1", "first_sequence": 2, "chunks": [{"a": 1}, {}]}
    Draft202012Validator(TypeAdapter(ChatChunk).json_schema()).validate(data)


def test_durations_are_counted_from_the_opening() -> None:
    """Times of a stream would be those of two clocks."""
    assert OPENING.elapsed_ms(5.25) == 250
    assert OPENING.elapsed_ms(4.9) == 0
    assert OPENING.epoch_ms(6.0) == 1_700_000_001_000
