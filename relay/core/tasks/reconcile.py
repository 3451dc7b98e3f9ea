"""What the answer to a poll means for its task, and when the next one is due. Pure: the reconciler obeys.

The upstream's endpoint is ``GET /v3/async/task-result``; its errors are recognized by ``reason`` where there is one,
since the status alone misleads (https://novita.ai/docs/api-reference/basic-error-code).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

import orjson

from relay.core.event import Draft
from relay.core.retry import Backoff
from relay.core.source import Normalized

Result = Literal[
    "succeeded",
    "failed",
    "running",
    "unknown_status",
    "unknown_task",
    "refused",
    "unauthorized",
    "rate_limited",
    "unavailable",
    "unreadable",
    "unreachable",
    "timeout",
]
"""What one poll brought: the label of ``relay_polls_total``, beside ``abandoned``."""

Reason = Literal["unknown_task", "refused", "deadline", "no_answer"]
"""Why a task was abandoned: ``data.reason`` of ``relay.task.abandoned``."""

GROWTH: Final = 1.5
"""By which factor the time between two polls of one task grows."""
LONGEST: Final = 900.0
"""Seconds between two polls of one task at most, unless ``every`` is longer."""
VIDEO_FACTOR: Final = 4.0
"""How much longer than other tasks a video is left alone before its first poll."""
MAX_RETRY_AFTER: Final = 3600.0
"""Seconds of a ``Retry-After`` that are honoured at most."""

_VIDEO: Final = re.compile(
    r"VIDEO|[TIV]2V|KLING|HAILUO|(?<![A-Z])(?:WAN|VIDU|VEO|SORA)(?![A-Z])|SEEDANCE|PIXVERSE", re.IGNORECASE | re.ASCII
)
_JITTER: Final = 0.2
_SOON: Final = Backoff(first=1.0, most=60.0)
_LATER: Final = Backoff(first=30.0, most=300.0)

_BY_REASON: Final[Mapping[str, Result]] = {
    "TASK_NOT_FOUND": "unknown_task",
    "RATE_LIMIT_EXCEEDED": "rate_limited",
    "TOKEN_LIMIT_EXCEEDED": "rate_limited",
    **dict.fromkeys(
        "MISSING_API_KEY INVALID_API_KEY FAILED_TO_AUTH BILLING_AUTH_FAILED BILLING_BALANCE_NOT_ENOUGH"
        " NOT_ENOUGH_BALANCE ACCESS_DENY FEATURE_NOT_ALLOWED API_NOT_ALLOWED NEED_REAL_NAME_VERIFY".split(),
        "unauthorized",
    ),
    "API_NOT_FOUND": "unreadable",  # says something about the address, nothing about the task
}
_BY_STATUS: Final[Mapping[int, Result]] = {
    401: "unauthorized",
    402: "unauthorized",
    403: "unauthorized",
    407: "unauthorized",
    408: "unavailable",
    425: "unavailable",
    429: "rate_limited",
}
_OVERLOADED: Final = frozenset({502, 503, 504})
_SILENCE: Final = frozenset({"unavailable", "unreadable", "unreachable", "timeout"})


@dataclass(frozen=True, slots=True)
class Timing:
    """When tasks are polled, in seconds.

    ``first_after`` counts from the submission; ``every`` is the time to the second poll, from which it grows;
    ``give_up_after`` counts from the submission, too. ``unknown_timeout``: how long an upstream may not know a task,
    refuse to report on it or, at the end, not answer, before the task is abandoned.
    """

    first_after: float = 60.0
    every: float = 30.0
    give_up_after: float = 86_400.0
    unknown_timeout: float = 600.0

    def deadline(self, submitted_at: int) -> int:
        """When the last poll of a task is due. Instants here are epoch milliseconds."""
        return submitted_at + round(self.give_up_after * 1000)

    @property
    def longest(self) -> int:
        """Milliseconds to any task's next poll at most; one that is further away was noted by a clock ahead of time."""
        first = self.first_after * VIDEO_FACTOR * (1.0 + _JITTER)
        return round(max(LONGEST, self.every, first) * (1.0 + _JITTER) * 1000)

    def first_poll(self, submitted_at: int, kind: str | None, chance: float) -> int:
        """When a task is first polled. ``kind``: its type or the path that it was submitted to, as far as known.

        ``chance`` is a random number in [0, 1): it spreads the tasks of one moment.
        """
        after = self.first_after * (VIDEO_FACTOR if makes_video(kind) else 1.0) * (1.0 + _JITTER * chance)
        return min(submitted_at + round(after * 1000), self.deadline(submitted_at))

    def next_poll(self, task: Watched, now: int, eta: float | None, chance: float) -> int:
        """When a task is polled again that was polled just now. Where the upstream gives an ``eta``, not before it."""
        grown = min(self.every * GROWTH ** min(task.polls, 64), max(LONGEST, self.every))
        after = max(grown, min(eta or 0.0, LONGEST)) * (1.0 - _JITTER / 2 + _JITTER * chance)
        at = now + max(round(after * 1000), 1)
        deadline = self.deadline(task.submitted_at)
        return min(at, deadline) if now < deadline else at


@dataclass(frozen=True, slots=True)
class Watched:
    """A task as the registry has it, not ended as far as known.

    ``polls`` were answered so far. ``trouble`` is what the last poll met instead of the task, in a row since
    ``trouble_since``; both ``None`` when it met the task.
    """

    task_id: str
    task_type: str | None
    submitted_at: int
    polls: int = 0
    trouble: str | None = None
    trouble_since: int | None = None


@dataclass(frozen=True, slots=True)
class PollAnswer:
    """What the upstream answered. ``retry_after`` in seconds."""

    status: int
    body: bytes
    retry_after: float | None = None


@dataclass(frozen=True, slots=True)
class Unanswered:
    """The upstream did not answer."""

    result: Literal["unreachable", "timeout"]


@dataclass(frozen=True, slots=True)
class PollAgain:
    """Not ended: due again at ``at``. ``state`` and ``task_type`` where the upstream gave them.

    ``progress`` is the event of what was seen, to be published where progress is. ``counts``: whether it was an answer
    about the task, after which the next poll takes longer. ``pause``: seconds in which nothing at all is polled.
    """

    at: int
    result: Result
    state: str | None = None
    task_type: str | None = None
    trouble: str | None = None
    trouble_since: int | None = None
    counts: bool = True
    pause: float = 0.0
    progress: Draft | None = None


@dataclass(frozen=True, slots=True)
class Ended:
    """The upstream says how it ended."""

    draft: Draft
    result: Result


@dataclass(frozen=True, slots=True)
class Abandon:
    """Not worth another poll: the ending is that nobody knows."""

    reason: Reason
    result: Result


Decision = PollAgain | Ended | Abandon


@dataclass(frozen=True, slots=True)
class Moment:
    """When a decision is taken. ``failures`` of polling as a whole in a row before it; ``chance`` in [0, 1)."""

    now: int
    failures: int = 0
    chance: float = 0.5


def decide(
    task: Watched, answer: PollAnswer | Unanswered, normalized: Normalized | None, timing: Timing, moment: Moment
) -> Decision:
    """What becomes of a task. ``normalized`` is what the source made of a 200's body."""
    if isinstance(normalized, Draft) and normalized.event.subject == task.task_id:
        return _seen(task, normalized, timing, moment)
    result = result_of(answer, normalized)
    if result == "unknown_status":
        return _waiting(task, timing, moment, PollAgain(0, result))
    if result in ("unauthorized", "rate_limited"):
        return _held_off(task, answer, result, timing, moment)
    return _in_trouble(task, answer, result, timing, moment)


def _seen(task: Watched, draft: Draft, timing: Timing, moment: Moment) -> Decision:
    data: dict[str, Any] = orjson.loads(draft.event.data)
    status = data["status"]
    if status in ("succeeded", "failed"):
        return Ended(draft, status)
    again = PollAgain(0, "running", state=status, task_type=data["task_type"], progress=draft)
    return _waiting(task, timing, moment, again, data["eta_seconds"])


def _waiting(
    task: Watched, timing: Timing, moment: Moment, again: PollAgain, eta: float | None = None
) -> PollAgain | Abandon:
    """The upstream reports on the task but not on its end, which it may do up to the deadline."""
    if moment.now >= timing.deadline(task.submitted_at):
        return Abandon("deadline", again.result)
    at = timing.next_poll(task, moment.now, eta, moment.chance)
    return PollAgain(at, again.result, again.state, again.task_type, progress=again.progress)


def _held_off(
    task: Watched, answer: PollAnswer | Unanswered, result: Result, timing: Timing, moment: Moment
) -> PollAgain:
    """The answer is about relay and not about the task: that never ends one, whatever the hour.

    One that is refused goes behind the others, since it may be the only one; one that came too often is next.
    """
    backoff = _LATER if result == "unauthorized" else _SOON
    pause = _pause(backoff, answer, moment)
    wait = max(pause, timing.every) if result == "unauthorized" else pause
    at = moment.now + min(round(wait * 1000), timing.longest)  # the pause is for all, and longer
    return PollAgain(at, result, None, None, task.trouble, task.trouble_since, counts=False, pause=pause)


def _in_trouble(
    task: Watched, answer: PollAnswer | Unanswered, result: Result, timing: Timing, moment: Moment
) -> Decision:
    silent = result in _SILENCE
    trouble: Reason = "no_answer" if silent else "refused" if result == "refused" else "unknown_task"
    since = moment.now if task.trouble != trouble or task.trouble_since is None else task.trouble_since
    since = min(since, moment.now)  # it was noted by a clock that was ahead
    lasting = moment.now - since >= timing.unknown_timeout * 1000
    late = moment.now >= timing.deadline(task.submitted_at)
    if (late and lasting) if silent else (late or lasting):
        return Abandon(trouble, result)
    down = isinstance(answer, Unanswered) or answer.status in _OVERLOADED
    pause = _pause(_SOON, answer, moment) if down else 0.0
    later = min(round(pause * 1000), timing.longest)
    at = max(timing.next_poll(task, moment.now, None, moment.chance), moment.now + later)
    return PollAgain(at, result, None, None, trouble, since, counts=not down, pause=pause)


def _pause(backoff: Backoff, answer: PollAnswer | Unanswered, moment: Moment) -> float:
    """Seconds: as long as the upstream asks for, or ever longer where it does not."""
    asked = answer.retry_after if isinstance(answer, PollAnswer) else None
    if asked is not None and asked >= backoff.first:
        return min(asked, MAX_RETRY_AFTER)
    return backoff.delay(moment.failures + 1, moment.chance)


def result_of(answer: PollAnswer | Unanswered, normalized: Normalized | None) -> Result:
    """What an answer says that does not end a task. ``normalized`` is what the source made of it, if it was asked."""
    if isinstance(answer, Unanswered):
        return answer.result
    if getattr(normalized, "reason", None) == "unknown_status":
        return "unknown_status"
    error = _error_in(answer.body)
    if error is not None and error in _BY_REASON:
        return _BY_REASON[error]
    if answer.status in _BY_STATUS:
        return _BY_STATUS[answer.status]
    if answer.status == 404:
        # A path that the upstream does not know is answered in plain text: that is about the address, not the task.
        return "unreadable" if error is None else "unknown_task"
    if 400 <= answer.status < 500:
        return "refused"
    return "unavailable" if answer.status >= 500 else "unreadable"


def _error_in(body: bytes) -> str | None:
    """The name of the error in a body, ``""`` where it has none; ``None``: the body is no JSON object."""
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError:
        return None
    if not isinstance(document, dict):
        return None
    nested = document.get("error")
    reason = document.get("reason") or (nested.get("reason") if isinstance(nested, dict) else None)
    return reason if isinstance(reason, str) else ""


def makes_video(kind: str | None) -> bool:
    """Whether a task's type, or the path that it was submitted to, mentions video. A wrong guess costs a poll."""
    return kind is not None and _VIDEO.search(kind) is not None
