"""What must hold whatever was broken: invariants I1 to I8 and the loss balance, judged here for all fault tests.

The load generator records each acknowledged event durably; independent readers (``kcat`` with ``read_committed``,
``redis-cli``) read each sink to its end; the process is looked at from outside. The oracle compares. It knows nothing
of how the relay works.

I1 every acknowledged event is there; I2 each once; I3 per subject in the order of acknowledgement; I4 unchanged; I5 no
2xx while the journal could not commit; I6 the backlog is gone in time; I7 memory, descriptors and threads are bounded;
I8 no secret in any output. And at the end ``accepted = published + absorbed + pending + dead``, with nothing pending.
"""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, field, fields

import orjson

MAX_RSS = 256 << 20
MAX_DESCRIPTORS = 256
MAX_THREADS = 24
"""I7: far above what the tests' loads need, far below what a leak reaches. asyncio's tasks cannot be seen from outside;
each that waits for a peer holds a descriptor."""


@dataclass(frozen=True, slots=True)
class Seen:
    """One event as a consumer of a sink saw it, in the order of its partition or stream."""

    id: str
    subject: str
    data: bytes
    type: str = ""


@dataclass(slots=True)
class Acknowledged:
    """What the relay said 2xx to: event ids, each with its order, its content, and when (monotonic seconds)."""

    ids: dict[str, int] = field(default_factory=dict)
    bodies: dict[str, str] = field(default_factory=dict)
    times: dict[str, float] = field(default_factory=dict)
    """Of an event's first 2xx."""
    every: list[float] = field(default_factory=list)
    """Of every 2xx, those of duplicates included."""

    def note(self, event_id: str, content: str, at: float = 0.0) -> None:
        """One 2xx. The first counts: a duplicate's answer names the same event."""
        self.ids.setdefault(event_id, len(self.ids))
        self.bodies.setdefault(event_id, content)
        self.times.setdefault(event_id, at)
        self.every.append(at)


@dataclass(frozen=True, slots=True)
class Balance:
    """Where one sink's events are, according to the relay's metrics; ``held`` is what its journal holds of all."""

    held: int
    accepted: int
    published: int
    absorbed: int
    pending: int
    dead: int


@dataclass(frozen=True, slots=True)
class Usage:
    """A process as ``/proc`` shows it; ``rss`` in bytes."""

    rss: int
    descriptors: int
    threads: int


@dataclass(frozen=True, slots=True)
class Evidence:
    """All that is known of one sink at the end of a test."""

    acknowledged: Acknowledged
    seen: Sequence[Seen]
    balance: Balance | None = None
    closed: Sequence[tuple[float, float]] = ()
    """Spans (monotonic seconds) in which the journal could not commit, whatever the relay thought."""
    undrained: int = 0
    """Events that were still pending when the time for draining was over."""
    usage: Sequence[Usage] = ()
    outputs: Mapping[str, bytes] = field(default_factory=dict)
    """What the process wrote and showed (log, metrics), by name."""
    secrets: Sequence[str] = ()
    """What must be in none of the outputs, nor in any event."""
    presigned: Sequence[str] = ()
    """What consumers need and no output may have."""
    own: Set[str] | None = None
    """Ids of the events in this relay's journal, read from the file. Not known: all that the sink has are its own."""
    rival: Set[str] = frozenset()
    """Ids of the events in the journal of another relay that published to the same sink."""
    stranded: Set[str] = frozenset()
    """Those of them that it has not published, as far as it knows."""

    @property
    def twice(self) -> frozenset[str]:
        """Ids that both relays published: each had accepted a delivery of the event, and they share no index."""
        counts = Counter(event.id for event in self.seen)
        both = (self.own or frozenset()) & self.rival - self.stranded
        return frozenset(id for id in both if counts[id] == 2)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is wrong with one sink, by invariant; everything is empty when the promises hold."""

    lost: Sequence[str] = ()
    repeated: Sequence[str] = ()
    changed: Sequence[str] = ()
    reordered: Sequence[str] = ()
    untimely: Sequence[str] = ()
    undrained: Sequence[str] = ()
    unbounded: Sequence[str] = ()
    leaked: Sequence[str] = ()
    unbalanced: Sequence[str] = ()
    seen: int = 0

    @property
    def faults(self) -> dict[str, Sequence[str]]:
        """What is wrong, by kind."""
        kinds = (each.name for each in fields(self) if each.name != "seen")
        return {kind: found for kind in kinds if (found := getattr(self, kind))}

    @property
    def holds(self) -> bool:
        """Whether nothing is wrong."""
        return not self.faults

    def __str__(self) -> str:
        parts = [f"{len(found)} {kind} {list(found[:5])}" for kind, found in self.faults.items()]
        return f"{self.seen} events seen: {', '.join(parts) or 'all promises kept'}"


def digest(body: bytes) -> str:
    """What identifies a delivery's content: the task object as it was sent."""
    document = orjson.loads(body)
    task = document.get("payload", document)["task"]
    return hashlib.sha256(orjson.dumps(task, option=orjson.OPT_SORT_KEYS)).hexdigest()


def judge(evidence: Evidence) -> Verdict:
    """The one judgement. An event that is present but was not acknowledged is fine: its 2xx got lost."""
    acknowledged, seen = evidence.acknowledged, evidence.seen
    counts = Counter(event.id for event in seen)
    by_id = {event.id: event for event in seen}
    return Verdict(
        lost=[id for id in acknowledged.ids if id not in counts and id not in evidence.stranded],
        repeated=[id for id, count in counts.items() if count > 1 and id not in evidence.twice],
        changed=[
            event_id
            for event_id, body in acknowledged.bodies.items()
            if event_id in by_id and _raw_digest(by_id[event_id].data) != body
        ],
        reordered=_reordered(acknowledged, seen),
        untimely=[
            f"2xx {at - start:.3f} s into a closed span of {end - start:.3f} s"
            for start, end in evidence.closed
            for at in acknowledged.every
            if start < at < end
        ],
        undrained=[f"{evidence.undrained} events still pending"] if evidence.undrained else [],
        unbounded=_unbounded(evidence.usage),
        leaked=_leaked(evidence),
        unbalanced=_unbalanced(evidence),
        seen=len(seen),
    )


def _raw_digest(data: bytes) -> str:
    raw = orjson.loads(data)["raw"]
    return hashlib.sha256(orjson.dumps(raw["task"], option=orjson.OPT_SORT_KEYS)).hexdigest()


def _reordered(acknowledged: Acknowledged, seen: Iterable[Seen]) -> list[str]:
    highest: dict[str, int] = defaultdict(lambda: -1)
    wrong = []
    for event in seen:
        order = acknowledged.ids.get(event.id)
        if order is None:
            continue
        if order < highest[event.subject]:
            wrong.append(event.id)
        highest[event.subject] = max(highest[event.subject], order)
    return wrong


def _unbounded(usage: Iterable[Usage]) -> list[str]:
    limits = {"rss": MAX_RSS, "descriptors": MAX_DESCRIPTORS, "threads": MAX_THREADS}
    return [
        f"{name} {getattr(sample, name)}"
        for sample in usage
        for name, limit in limits.items()
        if getattr(sample, name) > limit
    ]


def _leaked(evidence: Evidence) -> list[str]:
    """Where a secret stands; the secret itself is not repeated."""
    secrets = [secret.encode() for secret in evidence.secrets]
    quiet = [*secrets, *(secret.encode() for secret in evidence.presigned)]
    places = [name for name, text in evidence.outputs.items() if any(each in text for each in quiet)]
    return places + [f"event {event.id}" for event in evidence.seen if any(each in event.data for each in secrets)]


def _unbalanced(evidence: Evidence) -> list[str]:
    balance, ids = evidence.balance, [event.id for event in evidence.seen]
    if balance is None:
        return []
    own = ids if evidence.own is None else [id for id in ids if id in evidence.own]
    unknown = {*ids} - {*own} - evidence.rival
    wrong = []
    if balance.accepted != balance.published + balance.absorbed + balance.pending + balance.dead:
        wrong.append(f"accepted is not published + absorbed + pending + dead: {balance}")
    if balance.accepted != balance.held:
        wrong.append(f"accepted is not what the journal holds: {balance}")
    if balance.pending:
        wrong.append(f"still pending: {balance}")
    its_own = len(own) - len(evidence.twice)
    if balance.published + balance.absorbed != its_own:
        wrong.append(f"{its_own} of its events on the sink: {balance}")
    if balance.absorbed and not evidence.rival:
        wrong.append(f"absorbed, and nobody else published: {balance}")
    if unknown:
        wrong.append(f"{len(unknown)} events on the sink that no journal holds")
    return wrong
