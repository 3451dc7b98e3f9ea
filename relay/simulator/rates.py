"""How often each fault strikes, for tasks and for chats. What they do: ``tasks/faults.py``, ``chat/behaviour.py``."""

from __future__ import annotations

from dataclasses import dataclass, fields

from relay.simulator.directives import require_rates


@dataclass(frozen=True, slots=True)
class Faults:
    """How often each fault strikes, 0 to 1 per task; the words are explained in ``Fate``.

    ``late_by`` and ``slow_by`` (seconds) are the delays where the header gives none.
    Raises ``ValueError`` for a rate outside 0 to 1.
    """

    lost: float = 0.0
    dropped: float = 0.0
    unanswered: float = 0.0
    doubled: float = 0.0
    late: float = 0.0
    before: float = 0.0
    contradict: float = 0.0
    resigned: float = 0.0
    reordered: float = 0.0
    progress: float = 0.0
    bare: float = 0.0
    malformed: float = 0.0
    unknown_event: float = 0.0
    unknown_status: float = 0.0
    fail: float = 0.0
    never_ends: float = 0.0
    error: float = 0.0
    slow: float = 0.0
    html: float = 0.0
    reset: float = 0.0
    poll_error: float = 0.0
    poll_missing: float = 0.0
    poll_limited: float = 0.0
    late_by: float = 2.0
    slow_by: float = 1.0

    def __post_init__(self) -> None:
        require_rates(self, TASK_FAULTS)


TASK_FAULTS = tuple(field.name for field in fields(Faults) if not field.name.endswith("_by"))


@dataclass(frozen=True, slots=True)
class ChatFaults:
    """How often each fault strikes, 0 to 1 per chat request; the directives are explained in ``Behaviour``.

    ``slow_by`` and ``stall_by`` (seconds) are the delays where the header gives none.
    Raises ``ValueError`` for a rate outside 0 to 1.
    """

    error: float = 0.0
    error_frame: float = 0.0
    truncated: float = 0.0
    cut: float = 0.0
    reset: float = 0.0
    no_answer: float = 0.0
    slow: float = 0.0
    stall: float = 0.0
    hang: float = 0.0
    slow_by: float = 1.0
    stall_by: float = 2.0

    def __post_init__(self) -> None:
        require_rates(self, CHAT_FAULTS)


CHAT_FAULTS = tuple(field.name for field in fields(ChatFaults) if not field.name.endswith("_by"))
