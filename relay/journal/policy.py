"""What the journal keeps and accepts."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Policy:
    """What the journal keeps and accepts.

    ``retention``, ``dead_letter_retention`` and ``dedup_window`` in seconds, ``max_size`` in bytes, ``max_backlog`` in
    events that some sink has not got yet: see ``SinkProgress.backlog``.
    """

    retention: float = 7 * 86400
    dead_letter_retention: float = 30 * 86400
    max_size: int = 10 << 30
    dedup_window: float = 7 * 86400
    max_backlog: int = 1_000_000
