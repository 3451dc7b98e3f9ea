"""Deliveries as Novita sends them, at a steady rate, with repetitions, contradictions and retries.

An open model: a slow relay does not slow the sender down, so stalls show in the latencies instead of hiding.
"""

from __future__ import annotations

import asyncio
import random
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field

import aiohttp
import orjson

from tests.faults.oracle import Acknowledged

RETRY_EVERY = 0.25
GIVE_UP_AFTER = 60.0


@dataclass(slots=True)
class Tally:
    """What the sender saw."""

    sent: int = 0
    answers: dict[str, int] = field(default_factory=dict)
    latencies: list[float] = field(default_factory=list, repr=False)

    def percentile(self, share: float) -> float:
        """Latency in seconds of the 2xx answers."""
        ordered = sorted(self.latencies)
        return ordered[min(len(ordered) - 1, int(len(ordered) * share))] if ordered else 0.0


class Load:
    """Posts ``rate`` deliveries a second to ``url()`` until stopped; every one is retried until it has its 2xx.

    ``seed`` decides everything but the timing; print it. ``twice`` and ``contradicting`` are shares of the tasks.
    """

    def __init__(
        self, url: Callable[[], str], *, rate: float, seed: int, twice: float = 0.1, contradicting: float = 0.02
    ) -> None:
        self._url, self._rate = url, rate
        self._random = random.Random(seed)
        self._twice, self._contradicting = twice, contradicting
        self._senders: set[asyncio.Task[None]] = set()
        self._loop_task: asyncio.Task[None] | None = None
        self._session: aiohttp.ClientSession | None = None
        self.acknowledged = Acknowledged()
        self.tally = Tally()

    async def start(self) -> None:
        """Begins to send."""
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=64), timeout=aiohttp.ClientTimeout(total=5)
        )
        self._loop_task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """Sends no more and waits until everything sent has its 2xx."""
        assert self._loop_task is not None
        assert self._session is not None
        self._loop_task.cancel()
        await asyncio.gather(self._loop_task, return_exceptions=True)
        if self._senders:
            await asyncio.gather(*self._senders)
        await self._session.close()

    async def _run(self) -> None:
        due = time.monotonic()
        while True:
            sender = asyncio.create_task(self._one_task())
            self._senders.add(sender)
            sender.add_done_callback(self._senders.discard)
            due += 1 / self._rate
            await asyncio.sleep(max(0.0, due - time.monotonic()))

    async def _one_task(self) -> None:
        """A task's deliveries one after the other, as the upstream does it: so their order is known."""
        task_id = str(uuid.UUID(int=self._random.getrandbits(128), version=4))
        bodies = [delivery(task_id, self._random)]
        if self._random.random() < self._twice:
            bodies.append(bodies[0])
        if self._random.random() < self._contradicting:
            bodies.append(delivery(task_id, self._random, failed=True))
        for body in bodies:
            await self._until_acknowledged(body)

    async def _until_acknowledged(self, body: bytes) -> None:
        async with asyncio.timeout(GIVE_UP_AFTER):
            while not await self._post(body):
                await asyncio.sleep(RETRY_EVERY)

    async def _post(self, body: bytes) -> bool:
        assert self._session is not None
        started = time.monotonic()
        self.tally.sent += 1
        try:
            async with self._session.post(self._url(), data=body) as response:
                answer = await response.read()
                outcome = str(response.status)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            outcome, answer = type(error).__name__, b""
        self.tally.answers[outcome] = self.tally.answers.get(outcome, 0) + 1
        if outcome != "200":
            return False
        self.tally.latencies.append(time.monotonic() - started)
        self.acknowledged.note(orjson.loads(answer)["event_id"], body)
        return True


def delivery(task_id: str, dice: random.Random, *, failed: bool = False) -> bytes:
    """A webhook's body in the vendor's shape."""
    name = f"{dice.getrandbits(64):016x}"
    task = {
        "task_id": task_id,
        "task_type": dice.choice(["TXT_TO_IMG", "MINIMAX_HAILUO_02_6S_768P", "UPSCALE"]),
        "status": "TASK_STATUS_FAILED" if failed else "TASK_STATUS_SUCCEED",
        "reason": "worker error" if failed else "",
        "eta": 0,
        "progress_percent": dice.choice([0, 100]),
    }
    url = f"https://out.example/{name}.png?X-Amz-Date=20231114T221324Z&X-Amz-Expires=3600&X-Amz-Signature=0"
    images = [] if failed else [{"image_url": url, "image_url_ttl": "3600", "image_type": "png"}]
    payload = {"task": task, "extra": {"seed": "41"}, "images": images, "videos": [], "audios": []}
    return orjson.dumps({"event_type": "ASYNC_TASK_RESULT", "payload": payload})
