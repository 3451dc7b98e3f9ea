"""Which replica publishes a fact that several of them have accepted. Pure, but for the port of the index.

Each replica has a journal of its own, so the same task may end in several of them. Before it publishes, a replica
claims the facts of its batch in an index that all share; once they are on the sink it confirms them. Of each fact

- nobody knows: it is claimed, and published (``ours``);
- another replica holds a claim: whether that one will publish it is not known yet (the verdicts end there);
- another replica has confirmed the same statement: it is skipped (``absorbed``);
- another replica has confirmed another statement: ours contradicts it, and *that* is claimed (``contradicts``).

A claim is taken before and confirmed after, so a crash in between can repeat an event and never lose one. It ends with
a lease that is longer than anything its holder has sent can still come through. Nobody waits for another's claim
while holding one, so nobody waits in a circle: what cannot be published now is not claimed either.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, Protocol, runtime_checkable

from relay.core.dedup import KEY_BYTES, contradicting, statement_of
from relay.core.errors import RelayError
from relay.core.event import DEAD_LETTERS, OUTPUTS, TASKS, Entry
from relay.core.tasks.events import CONFLICTED

SHARED_TOPICS = frozenset({TASKS, OUTPUTS, DEAD_LETTERS})
"""What several replicas can learn of. A chat passes through one of them only."""

NO_STATEMENT = bytes(KEY_BYTES)
"""Of a fact that cannot be contradicted."""

Verdict = Literal["ours", "contradicts", "absorbed"]
Kind = Literal["plain", "stated", "contradiction"]
KIND_LETTERS: dict[Kind, bytes] = {"plain": b"p", "stated": b"s", "contradiction": b"c"}
"""As the scripts in Redis know them."""


class Fact(NamedTuple):
    """What an entry states, as the replicas compare it.

    ``key`` says which fact it is, ``statement`` what is stated about it; the latter is a key, too: that of the
    contradiction, if it is one. ``plain`` facts cannot be contradicted; a ``contradiction`` is one already.
    """

    kind: Kind
    key: bytes
    statement: bytes
    offset: int


class Claimed(NamedTuple):
    """The index's answer: a verdict for each fact up to the first that another replica holds.

    ``memory`` names what the index remembers: another name, and it has forgotten what it knew.
    """

    verdicts: Sequence[Verdict]
    memory: str


class IndexUnavailable(RelayError):
    """The index did not answer in time, or not at all. Events are published unverified meanwhile."""

    def __init__(self, code: str, message: str, *, hint: str = "") -> None:
        super().__init__(code, message, hint=hint, retriable=True)


class SharedIndex(Protocol):
    """The port of the index. Every call is bounded in time and raises nothing but ``IndexUnavailable``."""

    async def claim(self, facts: Sequence[Fact]) -> Claimed: ...

    async def confirm(self, facts: Sequence[Fact]) -> int:
        """These are on the sink. Answers how many of them another replica holds or has confirmed."""
        ...

    async def release(self, facts: Sequence[Fact]) -> None:
        """These are certainly not on the sink: another replica may have them."""
        ...

    async def close(self) -> None: ...


@runtime_checkable
class Shared(Protocol):
    """An extra of a sink that several replicas feed and that cannot tell their repetitions apart by itself.

    ``scope`` names the place that they feed, the same in all of them. Whatever a ``publish`` has sent comes through
    within ``in_doubt`` seconds or never. ``ready`` does beforehand what publishing needs and may take long, so that
    no claim is spent waiting; it raises what ``publish`` raises.
    """

    scope: str
    in_doubt: float

    async def ready(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Share:
    """What of a batch this replica publishes now: ``entries``, contradictions among them under their own names.

    ``absorbed`` are the offsets that another replica has taken care of. ``held_at`` is the offset of the first entry
    that another replica is about to publish, or about to fail to: nothing from there on is ours yet.
    """

    entries: tuple[Entry, ...]
    absorbed: frozenset[int] = frozenset()
    held_at: int | None = None


def facts_of(entries: Sequence[Entry]) -> list[Fact]:
    """The facts among the entries that several replicas can know; a replay is meant to be published again."""
    return [_fact(entry) for entry in entries if entry.event.topic in SHARED_TOPICS and entry.sink is None]


def _fact(entry: Entry) -> Fact:
    if not entry.fingerprint:
        return Fact("plain", entry.key, NO_STATEMENT, entry.offset)
    if entry.event.type == CONFLICTED:
        return Fact("contradiction", entry.fingerprint, entry.key, entry.offset)
    return Fact("stated", entry.key, statement_of(entry.key, entry.fingerprint), entry.offset)


def share_out(entries: Sequence[Entry], facts: Sequence[Fact], verdicts: Sequence[Verdict]) -> Share:
    """Divides a batch by the index's verdicts on its facts."""
    held_at = facts[len(verdicts)].offset if len(verdicts) < len(facts) else None
    by_offset = {fact.offset: verdict for fact, verdict in zip(facts, verdicts, strict=False)}
    ours: list[Entry] = []
    absorbed: set[int] = set()
    for entry in entries:
        if entry.offset == held_at:
            break
        verdict = by_offset.get(entry.offset, "ours")
        if verdict == "absorbed":
            absorbed.add(entry.offset)
        else:
            ours.append(as_contradiction(entry) if verdict == "contradicts" else entry)
    return Share(tuple(ours), frozenset(absorbed), held_at)


def as_contradiction(entry: Entry) -> Entry:
    """The entry under the name of the contradiction that it turned out to be."""
    if entry.event.type == CONFLICTED or not entry.fingerprint:
        return entry
    return entry._replace(event=contradicting(entry.event, entry.fingerprint, CONFLICTED))
