"""The task half of the upstream: submissions, GET task-result, and the webhooks that follow."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from random import Random
from typing import Any

from aiohttp import web

from relay.clocks import wall_ms
from relay.simulator.access import RateLimit, admits
from relay.simulator.directives import HEADER
from relay.simulator.options import Options
from relay.simulator.requests import Lottery, read_object
from relay.simulator.tasks import outputs, submission
from relay.simulator.tasks.answers import VARIETY, ApiError, Broken, document, page, unrouted
from relay.simulator.tasks.faults import Fate, draw, parse
from relay.simulator.tasks.ledger import Ledger, Record
from relay.simulator.tasks.results import result
from relay.simulator.tasks.submission import Submission
from relay.simulator.tasks.sync_answers import object_name, shape_of
from relay.simulator.tasks.task import REASONS, Task, life_of
from relay.simulator.tasks.webhook_plan import plan
from relay.simulator.tasks.webhook_sender import WebhookSender

RESULT_PATH = "/v3/async/task-result"
ASKED_TO_FAIL = "the simulator was asked to fail here"


@dataclass(frozen=True, slots=True)
class Order:
    """A submission that was let in: its body, the random numbers that are its own, and what goes wrong with it."""

    body: dict[str, Any]
    rng: Random
    fate: Fate


class Media:
    """Answers the media endpoints and keeps their tasks going. ``close`` ends what is still to be delivered."""

    def __init__(self, options: Options, ledger: Ledger, sender: WebhookSender) -> None:
        self._options = options
        self._ledger = ledger
        self._sender = sender
        self._lottery = Lottery(options.seed, options.retained)
        self._submissions = RateLimit(options.submissions_per_minute)
        self._polls = RateLimit(options.polls_per_minute)
        self._running: set[asyncio.Task[None]] = set()

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get(RESULT_PATH, self.task_result),
            web.post("/v3/async/{name}", self.submit),
            web.post(submission.UNIFIED_PATH, self.submit),
            web.post("/v3/{tail:.+}", self.direct),
            web.post("/v3beta/{tail:.+}", self.direct),
        ]

    async def wait_idle(self) -> None:
        """Returns when nothing is left to be delivered. Bound the wait: a task may have been asked to be very late."""
        while self._running:
            await asyncio.wait(self._running)

    async def close(self) -> None:
        running = list(self._running)
        for delivering in running:
            delivering.cancel()
        await asyncio.gather(*running, return_exceptions=True)

    async def submit(self, request: web.Request) -> web.Response:
        """An asynchronous endpoint: ``{"task_id": ...}``, and the work begins."""
        order = await self._let_in(request)
        asked = submission.read(request.path, order.body, self._options.default_webhook)
        await _strike(order)
        if order.fate.html:
            return page()
        task = _task(asked, order, self._options, outputs.place_of(request))
        record = self._ledger.enter(task, time.monotonic())
        if asked.url is not None:
            await self._begin(asked.url, record)
        if order.fate.reset:
            raise Broken
        return document({"task_id": record.task.task_id})

    async def direct(self, request: web.Request) -> web.Response:
        """An endpoint that answers at once."""
        shape = shape_of(request.path)
        if shape is None:
            return unrouted()
        order = await self._let_in(request)
        await _strike(order)
        if order.fate.html:
            return page()
        answer = shape(order.rng, wall_ms(), outputs.place_of(request))
        self._ledger.answer(answer)
        if order.fate.reset:
            raise Broken
        return document(answer)

    async def task_result(self, request: web.Request) -> web.Response:
        """The bare result of a task, whatever has become of it; a task that failed is a 200 as well."""
        self._ledger.poll(time.monotonic())
        self._check(request, self._polls)
        fate = _directed_fate(request, self._options) or Fate()
        await asyncio.sleep(fate.slow)
        if fate.error:
            raise ApiError(fate.error, ASKED_TO_FAIL, "GET_RESULT_FAILED" if fate.error == 500 else None)
        if fate.html:
            return page()
        if fate.reset:
            raise Broken
        task_id = request.query.get("task_id")
        if not task_id:
            raise ApiError(400, "task_id is required")
        return self._result(task_id)

    def _result(self, task_id: str) -> web.Response:
        record = self._ledger.find(task_id)
        if record is None:
            raise ApiError(404, "task not found")
        record.polls += 1
        fate, number = record.task.fate, record.polls
        for polls, status in ((fate.poll_missing, 404), (fate.poll_error, 500), (fate.poll_limited, 429)):
            if number <= polls:
                raise self._failed_poll(status)
            number -= polls
        return document(result(record.task, record.task.at(time.monotonic() - record.born), wall_ms()))

    def _failed_poll(self, status: int) -> ApiError:
        if status == 429:
            return ApiError(429, "rate limit exceeded", retry_after=self._options.retry_after)
        return ApiError(status, ASKED_TO_FAIL, "GET_RESULT_FAILED" if status == 500 else None)

    def _check(self, request: web.Request, limit: RateLimit) -> None:
        if not admits(request.headers.get("Authorization"), self._options.api_keys):
            # 403 was observed, whatever the vendor's table says of a missing key
            raise ApiError(403, "invalid api key")
        if not limit.allows(time.monotonic()):
            raise ApiError(429, "rate limit exceeded", retry_after=self._options.retry_after)

    async def _let_in(self, request: web.Request) -> Order:
        self._check(request, self._submissions)
        body = read_object(await request.read())
        rng = self._lottery.ticket(request.path, body)
        drawn = draw(rng, self._options.faults)
        return Order(body, rng, _directed_fate(request, self._options) or drawn)

    async def _begin(self, url: str, record: Record) -> None:
        """Sets the webhooks going, and waits for the first attempt where the answer has to come after it."""
        tried = asyncio.Event()
        delivering = asyncio.create_task(self._deliver(url, record, tried))
        self._running.add(delivering)
        delivering.add_done_callback(self._running.discard)
        checked = record.task.asked.mock is not None and self._options.checked_test_mode
        if checked or record.task.fate.before:
            await tried.wait()
        if checked and not any(attempt.delivered for attempt in record.attempts):
            delivering.cancel()
            self._ledger.forget(record.task.task_id)
            raise ApiError(500, "failed to send the test event to the webhook")

    async def _deliver(self, url: str, record: Record, tried: asyncio.Event) -> None:
        try:
            for planned in plan(record.task):
                await asyncio.sleep(record.born + planned.after - time.monotonic())
                await self._sender.deliver(url, record, planned, tried.set)
        finally:
            tried.set()


def _directed_fate(request: web.Request, options: Options) -> Fate | None:
    """The fate that this request names for itself, if it does."""
    header = request.headers.get(HEADER)
    return None if header is None else parse(header, options.faults)


async def _strike(order: Order) -> None:
    """What goes wrong before there is a task."""
    await asyncio.sleep(order.fate.slow)
    if status := order.fate.error:
        raise ApiError(status, ASKED_TO_FAIL, order.rng.choice(VARIETY[status]), bare=order.rng.random() < 0.3)


def _task(asked: Submission, order: Order, options: Options, outputs_at: str) -> Task:
    rng, fate = order.rng, order.fate
    return Task(
        task_id=object_name(rng),
        asked=asked,
        fate=fate,
        life=life_of(rng, asked.endpoint, fate, options, asked.mock),
        reason=rng.choice(REASONS),
        style_seed=rng.getrandbits(32),
        submitted_at=wall_ms(),
        outputs_at=outputs_at,
    )
