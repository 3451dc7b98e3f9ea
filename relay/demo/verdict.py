"""Compares what relay published with what it had to publish."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from relay.demo import chats
from relay.demo.scenario import CONTRADICTED, Trouble
from relay.demo.toy_sink import Account

Json = dict[str, Any]

TERMINAL = ("relay.task.succeeded", "relay.task.failed", "relay.task.abandoned", *chats.TERMINAL)
CONFLICTED = "relay.task.conflicted"


@dataclass(frozen=True, slots=True)
class Expected:
    """A task or chat that was begun: the event in which it has to end, and what went wrong on the way."""

    subject: str
    ends_in: str
    trouble: Trouble
    attempts: int = 0

    @property
    def is_chat(self) -> bool:
        return self.ends_in in chats.TERMINAL


@dataclass(frozen=True, slots=True)
class Verdict:
    """What came out, measured against what had to: ids of tasks and chats, each list empty where all is well."""

    expected: tuple[Expected, ...]
    terminals: int
    conflicted: tuple[str, ...]
    missing: tuple[str, ...]
    """No terminal event came."""
    doubled: tuple[str, ...]
    """More than one terminal event came, or more than one conflict."""
    wrong: tuple[str, ...]
    """It ended in another event than the upstream's first word."""
    unnoticed: tuple[str, ...]
    """It was contradicted, and no conflict came."""
    unforeseen: tuple[str, ...]
    """A conflict that nobody staged, or a task or chat that nobody began."""

    @property
    def good(self) -> bool:
        """Whether something was begun, and all of it ended as it had to."""
        return bool(self.expected) and not self.bad

    @property
    def bad(self) -> frozenset[str]:
        return frozenset().union(*(getattr(self, fault) for fault in FAULTS))


FAULTS = ("missing", "doubled", "wrong", "unnoticed", "unforeseen")


def judge(expected: Sequence[Expected], events: Iterable[Json]) -> Verdict:
    """Compares the tasks and chats that were begun with every event about them that came out."""
    ends: dict[str, list[str]] = {}
    conflicts: Counter[str] = Counter()
    for event in events:
        if event["type"] in TERMINAL:
            ends.setdefault(event["subject"], []).append(event["type"])
        elif event["type"] == CONFLICTED:
            conflicts[event["subject"]] += 1
    known = {begun.subject for begun in expected}
    staged = {begun.subject for begun in expected if begun.trouble == CONTRADICTED}
    first = {subject: types[0] for subject, types in ends.items()}
    repeated = Counter({subject: len(types) for subject, types in ends.items()}) | conflicts
    return Verdict(
        expected=tuple(expected),
        terminals=sum(map(len, ends.values())),
        conflicted=tuple(conflicts),
        missing=tuple(sorted(known - ends.keys())),
        doubled=tuple(sorted(subject for subject, count in repeated.items() if count > 1)),
        wrong=tuple(begun.subject for begun in expected if first.get(begun.subject, begun.ends_in) != begun.ends_in),
        unnoticed=tuple(sorted(staged - conflicts.keys())),
        unforeseen=tuple(sorted((conflicts.keys() - staged) | (ends.keys() - known))),
    )


def summary(verdict: Verdict, account: Account) -> Json:
    """The verdict for programs, on the tasks and chats and on the sink."""
    injected = Counter(begun.trouble.simulate for begun in verdict.expected)
    chats = sum(begun.is_chat for begun in verdict.expected)
    return {
        "tasks": len(verdict.expected) - chats,
        "chats": chats,
        "deliveries_tried": sum(begun.attempts for begun in verdict.expected),
        "terminal_events": verdict.terminals,
        "injected": dict(injected),
        "conflicted": verdict.conflicted,
        **{fault: getattr(verdict, fault) for fault in FAULTS},
        "sink": {**asdict(account), "good": account.good},
        "good": verdict.good and account.good,
    }
