"""What must hold whatever was broken: invariants I1 to I4, checked by one piece of code for all fault tests.

The load generator notes each acknowledged event; independent readers (``kcat`` with ``read_committed``,
``redis-cli``) read each sink to its end; the oracle compares. It knows nothing of how the relay works.
"""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import orjson


@dataclass(frozen=True, slots=True)
class Seen:
    """One event as a consumer of a sink saw it, in the order of its partition or stream."""

    id: str
    subject: str
    data: bytes


@dataclass(slots=True)
class Acknowledged:
    """What the relay said 2xx to: event ids, each with the task and the order in which they were acknowledged."""

    ids: dict[str, int] = field(default_factory=dict)
    bodies: dict[str, str] = field(default_factory=dict)

    def note(self, event_id: str, body: bytes) -> None:
        """One 2xx. The first counts: a duplicate's answer names the same event."""
        self.ids.setdefault(event_id, len(self.ids))
        self.bodies.setdefault(event_id, digest(body))


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a sink lost, repeated, changed or reordered; all empty when the promises hold."""

    lost: list[str]
    repeated: list[str]
    changed: list[str]
    reordered: list[str]
    seen: int

    @property
    def holds(self) -> bool:
        """Whether nothing is wrong."""
        return not (self.lost or self.repeated or self.changed or self.reordered)

    def __str__(self) -> str:
        return (
            f"{self.seen} events seen: {len(self.lost)} lost {self.lost[:5]}, {len(self.repeated)} repeated "
            f"{self.repeated[:5]}, {len(self.changed)} changed {self.changed[:5]}, "
            f"{len(self.reordered)} out of order {self.reordered[:5]}"
        )


def digest(body: bytes) -> str:
    """What identifies a delivery's content: the task object as it was sent."""
    document = orjson.loads(body)
    task = document.get("payload", document)["task"]
    return hashlib.sha256(orjson.dumps(task, option=orjson.OPT_SORT_KEYS)).hexdigest()


def judge(acknowledged: Acknowledged, seen: Sequence[Seen]) -> Verdict:
    """Compares what was acknowledged with what one sink shows.

    I1 every acknowledged id is present, I2 each id exactly once, I3 per subject in the order of acknowledgement,
    I4 the content unchanged. An event that is present but was not acknowledged is fine: its 2xx got lost.
    """
    counts = Counter(event.id for event in seen)
    by_id = {event.id: event for event in seen}
    return Verdict(
        lost=[event_id for event_id in acknowledged.ids if event_id not in counts],
        repeated=[event_id for event_id, count in counts.items() if count > 1],
        changed=[
            event_id
            for event_id, body in acknowledged.bodies.items()
            if event_id in by_id and _raw_digest(by_id[event_id].data) != body
        ],
        reordered=_reordered(acknowledged, seen),
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
