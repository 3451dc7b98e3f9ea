"""How long to wait before the next try of what failed: publishing, polling, connecting. Pure: the caller waits."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC
from email.utils import parsedate_to_datetime


@dataclass(frozen=True, slots=True)
class Backoff:
    """Exponential back-off with full jitter (https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/).

    ``first`` and ``most`` in seconds. The delay before try ``n`` lies between a quarter of, and all of,
    ``min(most, first * 2**n)``: never zero, so that a refused connection does not spin.
    """

    first: float = 0.1
    most: float = 15.0

    def delay(self, failures: int, chance: float, retry_after: float | None = None) -> float:
        """Seconds to wait after ``failures`` (>= 1) failures in a row.

        ``chance`` is a random number in [0, 1); ``retry_after`` (seconds) is the least that the other side asked for.
        """
        ceiling = min(self.most, self.first * 2.0 ** min(failures - 1, 32))
        return max(ceiling * (0.25 + 0.75 * chance), retry_after or 0.0)


def retry_after(value: str | None, date: str | None, now: int) -> float | None:
    """The seconds that a ``Retry-After`` asks for; at least 0.

    A date is counted from the answer's own ``Date``, since the two clocks may differ; where it has none, from ``now``
    (epoch milliseconds). It holds seconds or an HTTP date; ``None``: there is none, or nobody can read it.
    Source: https://www.rfc-editor.org/rfc/rfc9110#section-10.2.3
    """
    text = (value or "").strip()
    if text.isascii() and text.isdigit():
        return float(text[:12])
    until = _instant(text)
    if until is None:
        return None
    sent = _instant(date or "")
    return max(0.0, until - (now / 1000 if sent is None else sent))


def _instant(text: str) -> float | None:
    """An HTTP date in epoch seconds; ``None``: it is not one."""
    try:
        at = parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return None
    at = at if at.tzinfo else at.replace(tzinfo=UTC)  # "-0000" and the old forms: HTTP dates are UTC in any case
    return at.timestamp()
