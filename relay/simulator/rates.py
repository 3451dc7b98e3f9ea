"""How often each fault strikes, for tasks and for chats. What they do: ``tasks/faults.py``, ``chat/behaviour.py``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Faults:
    """How often a fault strikes, 0 to 1 per task or per chat request, by its directive; one that is not named: never.

    The delays (seconds) are those where a directive gives none: ``late_by`` for tasks, ``stall_by`` for chats.
    Raises ``ValueError`` for a rate outside 0 to 1.
    """

    rates: Mapping[str, float] = field(default_factory=dict)
    late_by: float = 2.0
    slow_by: float = 1.0
    stall_by: float = 2.0

    def __post_init__(self) -> None:
        for word, rate in self.rates.items():
            if not 0.0 <= rate <= 1.0:
                raise ValueError(f"The rate of {word!r} is {rate}. Give a number from 0 to 1.")
