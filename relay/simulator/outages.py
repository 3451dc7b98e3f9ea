"""Trouble of the whole upstream for a while: an outage, a storm of 429s, error pages. By option, or from a script.

One outage at a time: a later one takes the place of an earlier one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

Trouble = Literal["down", "reset", "errors", "storm", "html"]
"""``down``: nobody listens. ``reset``: connections break before an answer, and nothing was done. ``errors``: 500.
``storm``: 429. ``html``: a gateway's page under 502."""

TROUBLES: tuple[Trouble, ...] = get_args(Trouble)


@dataclass(frozen=True, slots=True)
class Outage:
    """A time of trouble: ``start`` in seconds since the simulator's own start, ``seconds`` long.

    Raises ``ValueError`` for an unknown trouble, or a time that is not positive.
    """

    trouble: Trouble
    start: float
    seconds: float

    def __post_init__(self) -> None:
        if self.trouble not in TROUBLES:
            raise ValueError(f"There is no trouble {self.trouble!r}. Known: {', '.join(TROUBLES)}.")
        if self.start < 0 or self.seconds <= 0:
            raise ValueError("An outage begins at 0 or later and lasts for some time.")

    @property
    def end(self) -> float:
        return self.start + self.seconds


class Outages:
    """Which trouble there is at a moment; times in seconds since the start."""

    def __init__(self, outages: tuple[Outage, ...] = ()) -> None:
        self._outages = list(outages)

    def add(self, outage: Outage) -> None:
        self._outages.append(outage)

    def at(self, now: float) -> Trouble | None:
        return next((outage.trouble for outage in reversed(self._outages) if outage.start <= now < outage.end), None)

    def next_change(self, now: float) -> float | None:
        """When something begins or ends next; ``None``: nothing will."""
        moments = [moment for outage in self._outages for moment in (outage.start, outage.end) if moment > now]
        return min(moments, default=None)
