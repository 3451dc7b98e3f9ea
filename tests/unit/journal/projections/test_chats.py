"""Which chats are open, whatever happens to the journal."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from relay.apis import apis
from relay.core.chat.events import Opening, chunk_draft, chunk_key, started_draft
from relay.core.chat.recovery import closed_by_restart
from relay.core.event import Draft
from relay.journal.projections import chats as module
from relay.journal.projections.chats import Chats, NamedChat, OpenChat
from relay.journal.store import Store
from tests.unit.drafts import draft

TIME = "2026-01-01T00:00:00.000Z"


@pytest.fixture
def opened(path: Path) -> Iterator[Store]:
    store = Store(path)
    yield store
    store.close()


def started(chat_id: str) -> Draft:
    return started_draft(Opening(chat_id, 1, 0.0))


def chunk(chat_id: str, first: int) -> Draft:
    return chunk_draft(chat_id, chunk_key(chat_id), first, [b"{}"], time=TIME)


def ended(chat_id: str) -> Draft:
    return closed_by_restart(started(chat_id).event, [], 2, apis()).terminal


def open_ids(store: Store) -> list[str]:
    return [chat.chat_id for chat in store.projection(Chats).all()]


def test_a_stream_is_open_from_its_beginning_to_its_ending(opened: Store) -> None:
    """A chat would be closed twice after a restart, or never."""
    opened.append([started("a"), draft("task"), started("b")], 5)
    assert opened.projection(Chats).all() == [OpenChat("a", 1, 5), OpenChat("b", 3, 5)]
    opened.append([chunk("a", 0), ended("a")], 6)
    assert open_ids(opened) == ["b"]


def test_a_repetition_opens_nothing_again(opened: Store) -> None:
    """A beginning that is written twice would leave a chat open for good."""
    opened.append([started("a")], 1)
    opened.append([ended("a")], 2)
    opened.append([started("a")], 3)
    assert open_ids(opened) == []


def test_what_begins_and_ends_in_one_group_is_closed(opened: Store) -> None:
    """The shortest chats would all be failed by the next start."""
    opened.append([started("a"), ended("a"), started("b")], 1)
    assert open_ids(opened) == ["b"]


def test_it_survives_the_process(path: Path) -> None:
    """A restart would know of no chat to close."""
    store = Store(path)
    store.append([started("a")], 1)
    store.close()
    again = Store(path)
    assert open_ids(again) == ["a"]
    again.close()


def test_what_is_left_of_a_stream(opened: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """An ending would lack what was said, or hold what was said in another chat."""
    opened.append([started("a"), started("b"), chunk("a", 0), chunk("b", 0), chunk("a", 1)], 1)
    table = opened.projection(Chats)
    a, _ = table.all()
    assert table.chunks() == {"a": [3, 5], "b": [4]}
    remains = table.remains(a, [3, 5])
    assert remains.started == started("a").event
    assert [event.id for event in remains.chunks] == ["a:chunk:0", "a:chunk:1"]
    monkeypatch.setattr(module, "SCAN", 1)
    assert table.chunks() == {"a": [5]}


def test_open_streams_are_paged_with_what_they_began_with(opened: Store) -> None:
    """A list of a thousand open chats would be one answer, or name none of them."""
    for chat_id in ("a", "b", "c"):
        opened.append([started_draft(Opening(chat_id, 1, 0.0, "m", client=f"client-{chat_id}"))], 7)
    opened._db.execute('DELETE FROM events WHERE "offset" = 2')
    table, named = opened.projection(Chats), "chat_completions"
    assert table.count() == 3
    assert table.page(9, 2) == [NamedChat("c", 3, 7, "m", "client-c", named), NamedChat("b", 2, 7, None, None, None)]
    assert table.page(2, 2) == [NamedChat("a", 1, 7, "m", "client-a", named)]


def test_a_beginning_that_was_pruned_is_not_missed(opened: Store) -> None:
    """A chat that was open for longer than events are kept would stop every start."""
    opened.append([started("a"), chunk("a", 0)], 1)
    opened._db.execute('DELETE FROM events WHERE "offset" = 1')
    table = opened.projection(Chats)
    [a] = table.all()
    remains = table.remains(a, [2])
    assert remains.started is None
    assert [event.id for event in remains.chunks] == ["a:chunk:0"]


def test_open_chats_are_found_by_the_beginning_of_their_ids_and_by_index(opened: Store) -> None:
    """A search would read a row of every open chat."""
    chats = opened.projection(Chats)
    opened.append([started(chat_id) for chat_id in ("b2", "b1", "c", "a")], 1)
    assert (chats.beginning_with("b", 9), chats.beginning_with("b", 1)) == (["b1", "b2"], ["b1"])
    given = {"prefix": "b", "beyond": "c", "limit": 1}
    [plan] = [row[3] for row in chats._db.execute("EXPLAIN QUERY PLAN " + module._SQL["beginning_with"], given)]
    assert plan == "SEARCH open_chats USING PRIMARY KEY (chat_id>? AND chat_id<?)"
