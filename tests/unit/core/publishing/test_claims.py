"""Which replica publishes what, decided with values."""

from __future__ import annotations

import pytest

from relay.core.dedup import judge, statement_of
from relay.core.event import CHAT, CHAT_CHUNKS, Draft, Entry
from relay.core.publishing.claims import NO_STATEMENT, Fact, Share, Verdict, facts_of, share_out
from tests.unit.drafts import dead_draft, draft


def entry(offset: int, of: Draft, sink: str | None = None) -> Entry:
    return Entry(offset, 0, of.event, sink, of.key, of.fingerprint)


def contradiction(of: Draft, known: bytes) -> Draft:
    found = judge(of, known)
    assert found is not None
    return found


def test_a_fact_names_what_is_stated_about_it() -> None:
    """Two replicas would not see that they hold the same fact, or that they contradict each other."""
    stated = draft("a", says="x")
    [fact] = facts_of([entry(7, stated)])
    assert fact == Fact("stated", stated.key, statement_of(stated.key, b"x"), 7)
    assert facts_of([entry(7, draft("a", says=""))]) == [Fact("plain", stated.key, NO_STATEMENT, 7)]


def test_a_contradiction_found_here_is_the_statement_made_there() -> None:
    """What one replica knows as the fact itself and another as a contradiction of it would be published twice."""
    there = draft("a", says="x")
    here = contradiction(there, b"y")
    [as_fact], [as_contradiction] = facts_of([entry(1, there)]), facts_of([entry(2, here)])
    assert as_contradiction.kind == "contradiction"
    assert (as_contradiction.key, as_contradiction.statement) == (as_fact.key, as_fact.statement)


def test_what_only_one_replica_can_know_is_not_asked_about() -> None:
    """Each chunk of a chat would cost a look into the index, and a replay would be taken for a repetition."""
    chat = [draft("a")._replace(event=draft("a").event._replace(topic=topic)) for topic in (CHAT, CHAT_CHUNKS)]
    assert facts_of([entry(1, chat[0]), entry(2, chat[1]), entry(3, draft("b"), "kafka")]) == []
    assert [fact.kind for fact in facts_of([entry(4, dead_draft())])] == ["plain"]


@pytest.mark.parametrize(
    ("verdicts", "published", "absorbed", "held_at"),
    [
        (["ours", "ours", "ours"], ["a", "chat", "b", "c"], [], None),
        (["ours", "absorbed", "ours"], ["a", "chat", "c"], [3], None),
        (["absorbed", "absorbed", "absorbed"], ["chat"], [1, 3, 4], None),
        (["ours"], ["a", "chat"], [], 3),
        ([], [], [], 1),
    ],
)
def test_a_batch_is_divided_by_the_verdicts(
    verdicts: list[Verdict], published: list[str], absorbed: list[int], held_at: int | None
) -> None:
    """An event would be published by two replicas, or by none, or before an earlier one of its journal."""
    chat = draft("chat")._replace(event=draft("chat").event._replace(topic=CHAT))
    batch = [entry(1, draft("a")), entry(2, chat), entry(3, draft("b")), entry(4, draft("c"))]
    share = share_out(batch, facts_of(batch), verdicts)
    assert [each.event.subject for each in share.entries] == published
    assert (share.absorbed, share.held_at) == (frozenset(absorbed), held_at)


def test_what_contradicts_another_replicas_fact_is_published_as_that() -> None:
    """P4 broken across replicas: two endings of one task would both be published as its only one."""
    stated = draft("a", says="x")
    share = share_out([entry(1, stated)], facts_of([entry(1, stated)]), ["contradicts"])
    assert share.entries[0].event == contradiction(stated, b"y").event
    already = contradiction(stated, b"y")
    share = share_out([entry(2, already)], facts_of([entry(2, already)]), ["contradicts"])
    assert share == Share((entry(2, already),))
