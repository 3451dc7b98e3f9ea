"""Delivers webhooks as the vendor does: a JSON POST, 5 seconds for a 2xx, then up to five retries."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import aiohttp

from relay.clocks import wall_ms
from relay.simulator.options import Retries
from relay.simulator.tasks.ledger import DROPPED, TIMEOUT, UNANSWERED, UNREACHABLE, Attempt, Record
from relay.simulator.tasks.webhook_plan import PlannedWebhook, render

HEADERS = {"Content-Type": "application/json", "User-Agent": "relay-simulator"}


class WebhookSender:
    """Sends at most ``concurrency`` requests at a time; what waits for a repetition takes no place."""

    def __init__(self, session: aiohttp.ClientSession, retries: Retries, concurrency: int) -> None:
        self._session = session
        self._retries = retries
        self._places = asyncio.Semaphore(concurrency)
        self._timeout = aiohttp.ClientTimeout(total=retries.timeout)

    async def deliver(self, url: str, record: Record, planned: PlannedWebhook, tried: Callable[[], None]) -> None:
        """Delivers every copy of a planned webhook, or gives up on it. ``tried`` is called after each attempt."""
        copies = (self._copy(url, record, planned, tried) for _ in range(planned.copies))
        await asyncio.gather(*copies)

    async def _copy(self, url: str, record: Record, planned: PlannedWebhook, tried: Callable[[], None]) -> None:
        body = render(record.task, planned, wall_ms())
        for number in range(1, self._retries.repeats + 2):
            attempt = await self._attempt(url, record, planned, number, body)
            record.attempts.append(attempt)
            tried()
            if attempt.delivered:
                return
            if number <= self._retries.repeats:
                await asyncio.sleep(self._retries.pause(number))

    async def _attempt(self, url: str, record: Record, planned: PlannedWebhook, number: int, body: bytes) -> Attempt:
        if number <= planned.dropped:
            outcome: int | str = DROPPED
        else:
            outcome = await self._post(url, body)
            if number <= planned.dropped + planned.unanswered:
                outcome = UNANSWERED
        return Attempt(record.task.task_id, planned.label, planned.phase.status, number, outcome, wall_ms())

    async def _post(self, url: str, body: bytes) -> int | str:
        async with self._places:
            try:
                request = self._session.post(
                    url, data=body, headers=HEADERS, timeout=self._timeout, allow_redirects=False
                )
                async with request as response:
                    return response.status
            except TimeoutError:
                return TIMEOUT
            except (aiohttp.ClientError, ValueError, OSError):
                return UNREACHABLE
