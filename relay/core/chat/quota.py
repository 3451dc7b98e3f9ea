"""What one client of the proxy may use per minute: requests, and tokens of chats. Pure: time is an argument, in seconds
of any clock that never goes back.
"""

from __future__ import annotations

import math
from typing import Final, Literal, NamedTuple

from relay.core.chat.events import ChatData

Limit = Literal["requests_per_minute", "tokens_per_minute"]

LIMITS: Final[tuple[Limit, Limit]] = ("requests_per_minute", "tokens_per_minute")

MAX_DEBT: Final = 59
"""Minutes of its limit that a client can owe: an upstream that reports absurd numbers locks nobody out for longer."""

_MINUTE: Final = 60.0
_DUST: Final = 1e-6
"""Less than this is missing by rounding only."""


class Exceeded(NamedTuple):
    """A client has used up one of its limits; it should come again in so many whole seconds, from 1 to 3600."""

    limit: Limit
    allowed: int
    retry_after: int


class Bucket:
    """A token bucket: full at first, and refilled evenly, ``per_minute`` in a minute. It holds no more than that.

    What is taken may be more than there is, since a chat's tokens are known when it has ended: the rest is owed.
    """

    __slots__ = ("_at", "_level", "per_minute")

    def __init__(self, per_minute: int, now: float) -> None:
        self.per_minute = per_minute
        self._level, self._at = float(per_minute), now

    def wait(self, now: float, needed: float) -> float:
        """Seconds until there is as much as ``needed``; 0 where there is."""
        self._refill(now)
        missing = needed - self._level
        return missing * _MINUTE / self.per_minute if missing > _DUST else 0.0

    def take(self, now: float, amount: int) -> None:
        """So much was used."""
        self._refill(now)
        self._level = max(self._level - amount, -float(MAX_DEBT * self.per_minute))

    def resize(self, per_minute: int, now: float) -> None:
        """Another limit from now on. What was used, or is owed, stays so."""
        self._refill(now)
        used = self.per_minute - self._level
        self.per_minute = per_minute
        self._level = max(per_minute - used, -float(MAX_DEBT * per_minute))

    def _refill(self, now: float) -> None:
        passed, self._at = max(0.0, now - self._at), max(now, self._at)
        self._level = min(float(self.per_minute), self._level + passed * self.per_minute / _MINUTE)


class Quota:
    """The buckets of one client; without a limit there is no bucket."""

    __slots__ = ("_requests", "_tokens")

    def __init__(self) -> None:
        self._requests: Bucket | None = None
        self._tokens: Bucket | None = None

    def limit(self, requests_per_minute: int | None, tokens_per_minute: int | None, now: float) -> None:
        """These limits from now on; what was used under others still counts."""
        self._requests = _resized(self._requests, requests_per_minute, now)
        self._tokens = _resized(self._tokens, tokens_per_minute, now)

    def admit(self, now: float, *, chat: bool) -> Exceeded | None:
        """One request more, which may begin a ``chat``, unless a limit is used up: one that is refused is not counted.

        The tokens are those of chats that have ended: no chat begins while they have used up those of a minute.
        """
        requests, tokens = self._requests, self._tokens if chat else None
        waits = [
            Exceeded(limit, bucket.per_minute, math.ceil(wait))
            for limit, bucket in zip(LIMITS, (requests, tokens), strict=True)
            if bucket is not None and (wait := bucket.wait(now, 1.0))
        ]
        if waits:
            return max(waits, key=lambda exceeded: exceeded.retry_after)
        if requests is not None:
            requests.take(now, 1)
        return None

    def spend(self, now: float, tokens: int) -> None:
        """A chat has ended, and used so many."""
        if self._tokens is not None:
            self._tokens.take(now, tokens)


def tokens_of(data: ChatData) -> int:
    """What a chat counts: what the upstream reported, else what is known of it.

    A stream reports nothing unless it is asked to, and none of its output if it ends early; yet a chunk is a token at
    least. So a client gets around its limit neither by not asking nor by leaving before the end.
    """
    tokens = data["tokens"]
    read, written = tokens["input"] or 0, tokens["output"] or 0
    reported = data["outcome"] == "completed" and tokens["output"] is not None
    return read + (written if reported else max(written, data["chunks"]))


def _resized(bucket: Bucket | None, per_minute: int | None, now: float) -> Bucket | None:
    if per_minute is None:
        return None
    if bucket is None:
        return Bucket(per_minute, now)
    bucket.resize(per_minute, now)
    return bucket
