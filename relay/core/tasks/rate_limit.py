"""How fast polls may follow each other. Pure: time is an argument, in seconds of any clock that never goes back."""

from __future__ import annotations


class RateLimit:
    """At most ``rate`` per second, evenly spread, and none during a pause.

    What a late timer missed is made up for by one, and no more: after a pause, however long, nothing bursts. So
    ``n`` seconds see at most ``n * rate + 2``.
    """

    def __init__(self, rate: float) -> None:
        self._interval = 1.0 / rate
        self._next = 0.0
        self._paused_until = 0.0
        self.failures = 0
        """Pauses in a row without a success between them."""

    def ready_at(self) -> float:
        """When the next one may begin."""
        return max(self._next, self._paused_until)

    def take(self, now: float) -> None:
        """One begins now."""
        self._next = max(self._next, now - self._interval) + self._interval

    def pause(self, now: float, seconds: float) -> bool:
        """None for so long; ``False`` if that long a pause is under way already (several fail at once in an outage)."""
        news = now >= self._paused_until
        self.failures += news
        self._paused_until = max(self._paused_until, now + seconds)
        return news

    def succeeded(self) -> None:
        """One was answered as it should be."""
        self.failures = 0
