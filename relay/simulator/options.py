"""How the simulator behaves unless a request says otherwise."""

from __future__ import annotations

from dataclasses import dataclass, field

from relay.simulator.outages import Outage
from relay.simulator.rates import Faults


@dataclass(frozen=True, slots=True)
class Retries:
    """The vendor's delivery policy: ``timeout`` seconds for a 2xx, else up to ``repeats`` further tries.

    Timeout and count are documented (webhook page); whether the count includes the first try, and the spacing, are
    not.
    ``spacing`` (seconds) gives the pause before each repetition; the last one holds for all further ones.
    """

    timeout: float = 5.0
    repeats: int = 5
    spacing: tuple[float, ...] = (1.0, 2.0, 4.0, 8.0, 16.0)

    def pause(self, attempt: int) -> float:
        """Seconds to wait after the failed attempt number ``attempt``, counted from 1."""
        if not self.spacing:
            return 0.0
        return self.spacing[min(attempt, len(self.spacing)) - 1]


@dataclass(frozen=True, slots=True)
class Options:
    """The options of ``relay simulate``. Times in seconds.

    ``queue_seconds`` and ``run_seconds`` are means: a task takes half to one and a half times as long, a video twice
    that. ``seed`` decides every id, fault and variation; none of them depends on timing. With ``api_keys`` requests
    need one of them. ``default_webhook`` hears about tasks whose submission names no webhook. The limits are
    requests per minute; ``retry_after`` (seconds) puts a header on each 429, which the vendor does not document.
    ``outages`` are times of trouble for all. ``checked_test_mode``: a submission in test mode fails with 500 when its
    webhook cannot be reached, as a third party reports of the vendor. The newest ``retained`` tasks and chat requests
    are remembered.
    """

    host: str = "127.0.0.1"
    port: int = 0
    seed: int = 0
    queue_seconds: float = 0.5
    run_seconds: float = 2.0
    retries: Retries = field(default_factory=Retries)
    faults: Faults = field(default_factory=Faults)
    chat_faults: Faults = field(default_factory=Faults)
    api_keys: tuple[str, ...] = ()
    default_webhook: str | None = None
    submissions_per_minute: int | None = None
    polls_per_minute: int | None = None
    chats_per_minute: int | None = None
    retry_after: int | None = None
    outages: tuple[Outage, ...] = ()
    checked_test_mode: bool = False
    concurrency: int = 64
    retained: int = 100_000
