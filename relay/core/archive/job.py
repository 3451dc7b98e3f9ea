"""What becomes of an output that is to be archived: when it is tried again, and when it is lost. Pure.

The nearest deadline comes first: the link to an output ends, and what is not stored by then may be gone for good.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, NamedTuple

from relay.core.retry import Backoff
from relay.core.tasks.events import Kind

ASSUMED_LIFE: Final = 3_600_000
"""Milliseconds that a link is taken to live where the upstream does not say: its usual time."""
MAX_LINK: Final = 16 * 1024
"""Characters of a link; a longer one leads nowhere."""

_SOON: Final = Backoff(first=2.0, most=60.0)
_LEAST: Final = 1.0  # seconds between two tries, however near the deadline
LONGEST: Final = 60_000
"""Milliseconds to the next try at most."""


@dataclass(frozen=True, slots=True)
class Job:
    """An output that is to be archived. Instants are epoch milliseconds of the wall clock.

    ``link`` is where it can be fetched, ``deadline`` when that ends as far as anybody knows; ``date`` is the UTC day of
    its task's end. ``attempts`` failed so far. ``begun_at``: when it was accepted, or last asked for by an operator;
    ``retried``: the latter, after it had been reported lost.
    """

    task_id: str
    index: int
    kind: Kind
    format: str | None
    link: str | None
    date: str
    deadline: int
    begun_at: int
    attempts: int = 0
    retried: bool = False

    @property
    def mark(self) -> str:
        """Says in the store which output an object is."""
        return f"{self.task_id}/{self.index}"


class Link(NamedTuple):
    """Where an output can be fetched, and until when (epoch milliseconds)."""

    url: str
    deadline: int


class Failure(NamedTuple):
    """Why a try failed. ``retriable``: it may work later; ``refused``: the source does not take the link (any more)."""

    code: str
    retriable: bool = False
    refused: bool = False


@dataclass(frozen=True, slots=True)
class Again:
    """The next try comes after so many milliseconds."""

    after: int


@dataclass(frozen=True, slots=True)
class Lost:
    """The output cannot be had. ``reason`` is a code from a bounded set."""

    reason: str


def deadline_of(expires_at: int | None, received_at: int) -> int:
    """When a link ends, as far as anybody knows."""
    return received_at + ASSUMED_LIFE if expires_at is None else expires_at


def is_over(job: Job, give_up_after: float, now: int) -> bool:
    """Whether an output that may still be had is tried no more: its link has ended, and ``give_up_after`` seconds."""
    return now >= max(job.deadline, job.begun_at + round(give_up_after * 1000))


def after_failure(job: Job, failure: Failure, give_up_after: float, now: int, chance: float) -> Again | Lost:
    """What follows a failed try, for which a fresh link was asked where one could help.

    A link that is refused before its time is tried until then: objects show up late, and storage answers 404 meanwhile.
    ``give_up_after`` in seconds; ``chance`` is a random number in [0, 1).
    """
    ended = now >= job.deadline
    if failure.refused and ended:
        return Lost("link_expired")
    if not (failure.retriable or failure.refused):
        return Lost(failure.code)
    if is_over(job, give_up_after, now):
        return Lost(failure.code)
    wait = _SOON.delay(job.attempts + 1, chance)
    if not ended:  # several tries before the end
        wait = min(wait, max((job.deadline - now) / 3000, _LEAST))
    return Again(round(wait * 1000))
