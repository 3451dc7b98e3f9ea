"""Who may call the simulator, and how often."""

from __future__ import annotations

import hmac
from collections import deque

WINDOW_SECONDS = 60.0


def admits(authorization: str | None, api_keys: tuple[str, ...]) -> bool:
    """Whether this header carries one of the keys; without keys everybody may call.

    ``Bearer <key>`` is documented; the vendor's JavaScript SDK sends the key alone.
    """
    if not api_keys:
        return True
    offered = (authorization or "").removeprefix("Bearer ").strip()
    return any(hmac.compare_digest(offered.encode(), key.encode()) for key in api_keys)


class RateLimit:
    """At most ``per_minute`` calls within any minute; ``None``: no limit. Times are monotonic seconds."""

    def __init__(self, per_minute: int | None) -> None:
        self._per_minute = per_minute
        self._calls: deque[float] = deque()

    def allows(self, now: float) -> bool:
        if self._per_minute is None:
            return True
        while self._calls and self._calls[0] <= now - WINDOW_SECONDS:
            self._calls.popleft()
        if len(self._calls) >= self._per_minute:
            return False
        self._calls.append(now)
        return True
