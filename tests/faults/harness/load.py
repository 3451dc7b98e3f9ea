"""Deliveries as Novita sends them, at a steady rate, with repetitions, contradictions and retries.

An open model: a slow relay does not slow the sender down, so stalls show in the latencies instead of hiding. Up to a
bound: beyond ``MAX_WAITING`` deliveries without an answer, more would only keep the sender busy with repeating them.
"""

from __future__ import annotations

import asyncio
import random
import time
import uuid
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import aiohttp
import orjson

from tests.faults.harness.record import Record
from tests.services.relay import TOKEN

RETRY_EVERY = 0.25
GIVE_UP_AFTER = 300.0
"""Seconds. One out of a thousand waiting senders can be unlucky through many restarts in a row."""
SENDERS_WAIT = 5.0
"""Seconds that the upstream waits for an answer."""
MAX_WAITING = 1000
SIGNATURE = "5b7c0ffee5b7c0ffee"
"""Of the presigned URLs: consumers need it, logs must not have it."""


@dataclass(slots=True)
class Tally:
    """What the sender saw."""

    sent: int = 0
    answers: Counter[str] = field(default_factory=Counter)
    latencies: list[float] = field(default_factory=list, repr=False)

    def percentile(self, share: float) -> float:
        """Latency in seconds of the 2xx answers."""
        ordered = sorted(self.latencies)
        return ordered[min(len(ordered) - 1, int(len(ordered) * share))] if ordered else 0.0


class Sender:
    """Posts to ``url()`` and records each 2xx. ``kept``: connections are kept open and used again."""

    def __init__(self, url: Callable[[], str], record: Record, *, kept: bool = True, clients: int = 64) -> None:
        self._url, self._record = url, record
        self._kept, self._clients = kept, clients
        self.tally = Tally()

    async def __aenter__(self) -> Self:
        connector = aiohttp.TCPConnector(limit=self._clients, force_close=not self._kept)
        # From the moment that a delivery has its connection: waiting for one of them is our doing, not the relay's.
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=SENDERS_WAIT, sock_read=SENDERS_WAIT)
        self._session = aiohttp.ClientSession(connector=connector, timeout=timeout)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._session.close()

    async def until_acknowledged(self, body: bytes) -> None:
        """Tries again, as the upstream does (but longer), until there is a 2xx."""
        async with asyncio.timeout(GIVE_UP_AFTER):
            while not await self.post(body):
                await asyncio.sleep(RETRY_EVERY)

    async def post(self, body: bytes) -> bool:
        """One delivery; whether it got its 2xx."""
        started = time.monotonic()
        self.tally.sent += 1
        try:
            async with self._session.post(self._url(), data=body) as response:
                answer = await response.read()
                outcome = str(response.status)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            outcome, answer = type(error).__name__, b""
        self.tally.answers[outcome] += 1
        if outcome != "200":
            return False
        self.tally.latencies.append(time.monotonic() - started)
        self._record.note(orjson.loads(answer)["event_id"], body)
        return True


class Load:
    """Posts ``rate`` deliveries a second to ``url()`` until stopped; every one is retried until it has its 2xx.

    ``seed`` decides everything but the timing. ``twice`` and ``contradicting`` are shares of the tasks. ``record`` is
    the file that keeps each 2xx.
    """

    def __init__(
        self,
        url: Callable[[], str],
        record: Path,
        *,
        rate: float,
        seed: int,
        twice: float = 0.1,
        contradicting: float = 0.02,
        kept: bool = True,
    ) -> None:
        self.rate = rate
        self.record = Record(record)
        self._random = random.Random(seed)
        self._twice, self._contradicting = twice, contradicting
        self._sender = Sender(url, self.record, kept=kept)
        self._tasks: set[asyncio.Task[None]] = set()
        self._running: asyncio.Task[None] | None = None
        self.tally = self._sender.tally

    async def start(self) -> None:
        """Begins to send, or goes on."""
        await self._sender.__aenter__()
        self._running = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """Sends nothing new and waits until everything sent has its 2xx. Safe to call twice."""
        if self._running is None:
            return
        self._running.cancel()
        await asyncio.gather(self._running, return_exceptions=True)
        self._running = None
        try:
            await asyncio.gather(*self._tasks)
        finally:
            await self._sender.__aexit__()

    async def abandon(self) -> None:
        """Ends at once, whatever is still unanswered."""
        tasks = [*self._tasks, *([self._running] if self._running else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._running is not None:
            self._running = None
            await self._sender.__aexit__()

    async def _run(self) -> None:
        due = time.monotonic()
        while True:
            task = asyncio.create_task(self._one_task())
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
            due += 1 / self.rate
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            if len(self._tasks) >= MAX_WAITING:
                await asyncio.wait(self._tasks, return_when=asyncio.FIRST_COMPLETED)
                due = time.monotonic()

    async def _one_task(self) -> None:
        """A task's deliveries one after the other, as the upstream does it: so their order is known."""
        task_id = new_task(self._random)
        bodies = [delivery(task_id, self._random)]
        if self._random.random() < self._twice:
            bodies.append(bodies[0])
        if self._random.random() < self._contradicting:
            bodies.append(delivery(task_id, self._random, failed=True))
        for body in bodies:
            await self._sender.until_acknowledged(body)


def new_task(dice: random.Random) -> str:
    """A task id of the vendor's form."""
    return str(uuid.UUID(int=dice.getrandbits(128), version=4))


def delivery(task_id: str, dice: random.Random, *, failed: bool = False, size: int = 0) -> bytes:
    """A webhook's body in the vendor's shape; like the vendor's it echoes the receiver's address, token and all.

    ``size``: bytes, at least, which do not compress to less than half.
    """
    name = f"{dice.getrandbits(64):016x}"
    task = {
        "task_id": task_id,
        "task_type": dice.choice(["TXT_TO_IMG", "MINIMAX_HAILUO_02_6S_768P", "UPSCALE"]),
        "status": "TASK_STATUS_FAILED" if failed else "TASK_STATUS_SUCCEED",
        "reason": "worker error" if failed else "",
        "eta": 0,
        "progress_percent": dice.choice([0, 100]),
    }
    url = f"https://out.example/{name}.png?X-Amz-Date=20231114T221324Z&X-Amz-Expires=3600&X-Amz-Signature={SIGNATURE}"
    images = [] if failed else [{"image_url": url, "image_url_ttl": "3600", "image_type": "png"}]
    extra: dict[str, object] = {"seed": "41", "webhook": {"url": f"https://relay.example/webhooks/novita/{TOKEN}"}}
    extra |= {"thumbnail": dice.randbytes(size // 2).hex()} if size else {}
    payload = {"task": task, "extra": extra, "images": images, "videos": [], "audios": []}
    return orjson.dumps({"event_type": "ASYNC_TASK_RESULT", "payload": payload})
