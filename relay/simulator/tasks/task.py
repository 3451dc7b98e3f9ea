"""A task as the vendor stores it: what was asked, how long it takes, how it ends. Values only, time is an argument."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING

from relay.simulator.options import Options
from relay.simulator.tasks.catalog import Endpoint
from relay.simulator.tasks.faults import Fate

if TYPE_CHECKING:
    from relay.simulator.tasks.submission import Submission

QUEUED = "TASK_STATUS_QUEUED"
PROCESSING = "TASK_STATUS_PROCESSING"
SUCCEED = "TASK_STATUS_SUCCEED"
FAILED = "TASK_STATUS_FAILED"
UNKNOWN = "TASK_STATUS_UNKNOWN"

REASONS = (
    "worker error",
    "CUDA out of memory",
    "task timeout",
    "the output was rejected by the content filter",
    "failed to download the input image: unexpected status 403",
)


@dataclass(frozen=True, slots=True)
class Life:
    """How long a task waits and runs, in seconds, and the status it ends in; ``None``: it never ends."""

    queued_for: float
    runs_for: float
    ends_in: str | None

    @property
    def ends_after(self) -> float:
        return self.queued_for + self.runs_for


@dataclass(frozen=True, slots=True)
class Phase:
    """A task at one moment. ``progress`` in percent, ``eta`` in seconds."""

    status: str
    progress: int = 0
    eta: int = 0
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Task:
    """What was ``asked`` for, and what becomes of it; ``submitted_at`` is epoch milliseconds.

    ``outputs_at`` is the address under which its outputs are.
    """

    task_id: str
    asked: Submission
    fate: Fate
    life: Life
    reason: str
    style_seed: int
    submitted_at: int
    outputs_at: str

    def at(self, elapsed: float) -> Phase:
        """The task ``elapsed`` seconds after its submission."""
        if elapsed < self.life.queued_for:
            return Phase(QUEUED, eta=round(self.life.ends_after - elapsed))
        if self.life.ends_in is None or elapsed < self.life.ends_after:
            return self._running(elapsed)
        return self.ended(self.life.ends_in)

    def ended(self, status: str) -> Phase:
        """The task in a terminal status. An image that succeeded reports a progress of 0, as the vendor's do."""
        if status == FAILED:
            return Phase(status, reason=self.reason)
        return Phase(status, progress=100 if self.asked.endpoint.kind == "video" else 0)

    def _running(self, elapsed: float) -> Phase:
        share = (elapsed - self.life.queued_for) / max(self.life.runs_for, 0.001)
        progress = min(99, int(100 * share)) if self.asked.endpoint.kind == "video" else 0
        return Phase(PROCESSING, progress=progress, eta=max(0, round(self.life.ends_after - elapsed)))


def life_of(rng: Random, endpoint: Endpoint, fate: Fate, options: Options, mock: str | None = None) -> Life:
    """How long this task takes. Test mode, with its ``mock`` status, generates nothing and takes no time.

    Neither does a task that must be reported before its submission is answered.
    """
    queued_for = options.queue_seconds * rng.uniform(0.5, 1.5)
    runs_for = options.run_seconds * rng.uniform(0.5, 1.5) * (2 if endpoint.kind == "video" else 1)
    if fate.before or mock is not None:
        queued_for = runs_for = 0.0
    return Life(queued_for, runs_for, mock or _end(fate))


def _end(fate: Fate) -> str | None:
    if fate.never_ends:
        return None
    if fate.unknown_status:
        return UNKNOWN
    return FAILED if fate.fail else SUCCEED
