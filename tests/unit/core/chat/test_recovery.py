"""Streams that were open when the relay was killed."""

from __future__ import annotations

from dataclasses import replace

import orjson
from jsonschema import Draft202012Validator
from pydantic import TypeAdapter

from relay.apis import apis
from relay.core.chat.events import ChatData, Opening, chunk_draft, chunk_key, started_draft
from relay.core.chat.recovery import closed_by_restart

OPENING = Opening("s1", 1_700_000_000_000, 5.0, model="asked", client="web", traceparent="00-aa-bb-01")
KEY = chunk_key("s1")


def said(text: str) -> bytes:
    return orjson.dumps({"id": "c1", "model": "org/m", "choices": [{"index": 0, "delta": {"content": text}}]})


def test_an_open_stream_has_failed_with_what_the_journal_has_of_it() -> None:
    """A stream cut by the death of the relay would have no ending, or would have lost what was known of it."""
    chunks = [
        chunk_draft("s1", KEY, 0, [said("a"), said("b")], time="t").event,
        chunk_draft("s1", KEY, 5, [said("c")], time="t").event,
    ]
    draft = closed_by_restart(started_draft(OPENING).event, chunks, 1_700_000_009_000, apis()).terminal
    data = orjson.loads(draft.event.data)
    Draft202012Validator(TypeAdapter(ChatData).json_schema()).validate(data)
    assert (draft.event.type, draft.event.id) == ("relay.chat.failed", "s1:failed")
    assert (draft.event.time, draft.event.traceparent) == ("2023-11-14T22:13:29.000Z", "00-aa-bb-01")
    assert (data["outcome"], data["reason"], data["client"]) == ("failed", "relay_restarted", "web")
    assert (data["model"], data["completion_id"]) == ("org/m", "c1")
    assert data["choices"][0]["content"] == "abc"
    assert (data["chunks"], data["gaps"], data["bytes"]) == (6, 3, None)
    assert data["timings"]["started_at"] == "2023-11-14T22:13:20.000Z"


def test_usage_is_reported_only_where_the_upstream_reported_it() -> None:
    """A bill would be made of a stream whose usage nobody knows, or the known usage be taken for a guess."""
    usage = {"total_tokens": 3}
    for chunk, source in (({"usage": usage, "choices": []}, "reported"), ({"choices": []}, "absent")):
        chunks = [chunk_draft("s1", KEY, 0, [orjson.dumps(chunk)], time="t").event]
        data = orjson.loads(
            closed_by_restart(started_draft(OPENING).event, chunks, 1_700_000_009_000, apis()).terminal.event.data
        )
        assert (data["usage"], data["usage_source"]) == (chunk.get("usage"), source)


def test_a_stream_of_which_only_the_start_is_known_ends_too() -> None:
    """With chunk events off, a stream would never end after a restart."""
    data = orjson.loads(
        closed_by_restart(started_draft(OPENING).event, [], 1_700_000_009_000, apis()).terminal.event.data
    )
    assert (data["outcome"], data["model"], data["choices"], data["chunks"]) == ("failed", "asked", [], 0)


def test_a_stream_is_read_by_the_rules_of_its_api() -> None:
    """What a message said until the kill would be lost, since it has no choices as chat completions have."""
    started = started_draft(replace(OPENING, api="messages")).event
    delta = {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "a"}}
    chunks = [chunk_draft("s1", KEY, 0, [orjson.dumps(delta)], time="t").event]
    data = orjson.loads(closed_by_restart(started, chunks, 1_700_000_009_000, apis()).terminal.event.data)
    assert (data["api"], data["choices"][0]["content"]) == ("messages", "a")


def test_a_stream_of_an_api_that_this_relay_does_not_know_ends_too() -> None:
    """After going back to a relay with fewer APIs, one open stream of another one would keep it from starting."""
    started = started_draft(replace(OPENING, api="embeddings")).event
    chunks = [chunk_draft("s1", KEY, 0, [said("a")], time="t").event]
    data = orjson.loads(closed_by_restart(started, chunks, 1_700_000_009_000, apis()).terminal.event.data)
    assert (data["api"], data["outcome"], data["reason"]) == ("embeddings", "failed", "relay_restarted")
