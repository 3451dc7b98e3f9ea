"""What the simulator did: the reference for checking a receiver."""

from __future__ import annotations

from collections import Counter, OrderedDict, deque
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from relay.simulator.tasks.task import Task

DROPPED = "dropped"
UNANSWERED = "unanswered"
TIMEOUT = "timeout"
UNREACHABLE = "unreachable"

_SECONDS = 7200


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt to deliver one webhook.

    ``label`` is what the event says (``terminal``, ``progress``, ``resigned``, ``contradiction``), ``status`` the
    task's status in it, ``attempt`` counts from 1 per copy, ``outcome`` is the receiver's HTTP status or what happened
    instead (``dropped``, ``unanswered``, ``timeout``, ``unreachable``), ``at`` epoch milliseconds when it was over.
    """

    task_id: str
    label: str
    status: str
    attempt: int
    outcome: int | str
    at: int

    @property
    def delivered(self) -> bool:
        return isinstance(self.outcome, int) and 200 <= self.outcome < 300


@dataclass(slots=True)
class Record:
    """A task and what became of it. ``born`` is the monotonic time of its submission, in seconds."""

    task: Task
    born: float
    polls: int = 0
    attempts: list[Attempt] = field(default_factory=list)
    downloads: Counter[str] = field(default_factory=Counter)
    """How often each output was asked for, by its name."""


class Ledger:
    """The newest ``retained`` tasks, in the order of their submission, with every attempt to deliver.

    ``paid`` counts the generations that were begun, tasks and those answered at once: each costs its client money.
    ``answered`` has the newest task ids of the latter, as far as they have one.
    """

    def __init__(self, retained: int) -> None:
        self._retained = retained
        self._records: OrderedDict[str, Record] = OrderedDict()
        self.paid = 0
        self.answered: deque[str] = deque(maxlen=retained)
        self._polled: dict[int, int] = {}

    def poll(self, now: float) -> None:
        """A request for a result came, however it was answered; ``now`` in monotonic seconds."""
        second = int(now)
        self._polled[second] = self._polled.get(second, 0) + 1
        if len(self._polled) > _SECONDS:
            del self._polled[next(iter(self._polled))]

    @property
    def polls(self) -> list[tuple[int, int]]:
        """The seconds that had requests for results, in order, with their number."""
        return list(self._polled.items())

    def answer(self, body: Mapping[str, Any]) -> None:
        """A generation was answered at once."""
        self.paid += 1
        task_id = body.get("task", {}).get("task_id")
        if task_id is not None:
            self.answered.append(task_id)

    def enter(self, task: Task, born: float) -> Record:
        self.paid += 1
        record = self._records[task.task_id] = Record(task, born)
        if len(self._records) > self._retained:
            self._records.popitem(last=False)
        return record

    def forget(self, task_id: str) -> None:
        """A submission that was refused after all left no task."""
        self.paid -= 1
        self._records.pop(task_id, None)

    def find(self, task_id: str) -> Record | None:
        return self._records.get(task_id)

    def tasks(self) -> list[Task]:
        return [record.task for record in self._records.values()]

    def attempts(self, task_id: str | None = None) -> list[Attempt]:
        """Every attempt about one task, or about all."""
        return [attempt for record in self._chosen(task_id) for attempt in record.attempts]

    def as_json(self, task_id: str | None = None) -> dict[str, Any]:
        """For scripts. Webhook URLs are left out, since they may carry a secret."""
        chosen = list(self._chosen(task_id))
        polled = self._polled.values()
        return {
            "paid": self.paid,
            "answered": list(self.answered),
            "polls": {"total": sum(polled), "most_in_a_second": max(polled, default=0)},
            "tasks": [_task_json(record) for record in chosen],
            "attempts": [asdict(attempt) for record in chosen for attempt in record.attempts],
        }

    def _chosen(self, task_id: str | None) -> Iterator[Record]:
        if task_id is None:
            yield from self._records.values()
        elif (record := self._records.get(task_id)) is not None:
            yield record


def _task_json(record: Record) -> dict[str, Any]:
    task = record.task
    return {
        "task_id": task.task_id,
        "path": task.asked.path,
        "kind": task.asked.endpoint.kind,
        "task_type": task.asked.endpoint.task_type,
        "ends_in": task.life.ends_in,
        "faults": list(task.fate.directives()),
        "test": task.asked.mock is not None,
        "submitted_at": task.submitted_at,
        "polls": record.polls,
    }
