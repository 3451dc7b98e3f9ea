"""What must hold of tasks, whatever was broken: each ends once, as it did, on every sink, in one order."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields

from tests.faults.harness.oracle import Seen
from tests.faults.harness.task_load import Plan

TERMINAL = ("succeeded", "failed", "abandoned")


@dataclass(frozen=True, slots=True)
class TaskVerdict:
    """What one sink shows and should not, by task; all empty when the promises hold."""

    repeated: list[str]
    unsubmitted: list[str]
    """Answered to the client, and no ``relay.task.submitted``."""
    unended: list[str]
    ended_twice: list[str]
    ended_wrong: list[str]
    contradicted_wrong: list[str]
    """A contradiction that did not show, showed twice, or that nobody staged."""
    unknown: list[str]
    """Events of tasks that the upstream never had."""

    @property
    def holds(self) -> bool:
        return not any(getattr(self, each.name) for each in fields(self))

    def __str__(self) -> str:
        return ", ".join(f"{len(getattr(self, e.name))} {e.name} {getattr(self, e.name)[:3]}" for e in fields(self))


def judge_tasks(answered: Mapping[str, Plan], others: frozenset[str], seen: Sequence[Seen]) -> TaskVerdict:
    """``answered``: tasks whose ids reached the client. ``others``: tasks of the upstream whose answers got lost."""
    ids = Counter(event.id for event in seen)
    kinds: dict[str, Counter[str]] = defaultdict(Counter)
    for event in seen:
        kinds[event.subject][event.id.removeprefix(event.subject + ":").partition(":")[0]] += 1
    ends = {task: [kind for kind in TERMINAL for _ in range(kinds[task][kind])] for task in {*answered, *kinds}}
    return TaskVerdict(
        repeated=[event_id for event_id, count in ids.items() if count > 1],
        unsubmitted=[task for task in answered if kinds[task]["submitted"] != 1],
        unended=[task for task in answered if not ends[task]],
        ended_twice=[task for task, ended in ends.items() if len(ended) > 1],
        ended_wrong=[
            task
            for task, plan in answered.items()
            if ends[task] and not plan.contradicted and ends[task] != [plan.ends_in]
        ],
        contradicted_wrong=[
            task for task, plan in answered.items() if kinds[task]["conflicted"] != int(plan.contradicted)
        ],
        unknown=[task for task in kinds if task not in answered and task not in others],
    )


def orders(seen: Sequence[Seen]) -> dict[str, list[str]]:
    """The events of each task, in the order in which a consumer gets them."""
    order: dict[str, list[str]] = defaultdict(list)
    for event in seen:
        order[event.subject].append(event.id)
    return dict(order)


def too_fast(polls: Sequence[tuple[int, int]], rate: float, slack: int) -> list[tuple[int, int, int]]:
    """Stretches of time (seconds and polls) with more polls than a steady ``rate`` and ``slack`` allow.

    ``polls`` has the seconds that had any, in order, with their number. Seconds are counted whole, so a stretch of
    ``n`` of them lasts less than ``n`` seconds and more than ``n - 1``.
    """
    excess = []
    for first, (start, _) in enumerate(polls):
        count = 0
        for second, number in polls[first:]:
            count += number
            if count > (second - start + 1) * rate + slack:
                excess.append((start, second, count))
                break
    return excess
