from __future__ import annotations

import asyncio

import aiohttp
import pytest

from relay.simulator.options import Retries
from relay.simulator.tasks.faults import Fate
from relay.simulator.tasks.ledger import Record
from relay.simulator.tasks.webhook_plan import plan
from relay.simulator.tasks.webhook_sender import WebhookSender
from tests.unit.simulator.receiver import receiving
from tests.unit.simulator.tasks.tasks_made import make_task

QUICK = Retries(timeout=5.0, repeats=5, spacing=(0.0,))


async def deliver(session: aiohttp.ClientSession, url: str, retries: Retries = QUICK, **fate: int) -> list[int | str]:
    """The outcomes of delivering the one webhook of a task."""
    record = Record(make_task(fate=Fate(**fate)), 0.0)  # type: ignore[arg-type]
    [planned] = plan(record.task)
    async with asyncio.timeout(10):
        await WebhookSender(session, retries, 4).deliver(url, record, planned, lambda: None)
    return [attempt.outcome for attempt in record.attempts]


async def test_a_2xx_ends_the_delivery(session: aiohttp.ClientSession) -> None:
    """Every webhook would come six times."""
    async with receiving(204) as receiver:
        assert await deliver(session, receiver.url) == [204]
    request = receiver.requests[0]
    assert (request.method, request.content_type, request.path) == ("POST", "application/json", "/hook/t0k3n")


@pytest.mark.parametrize("status", [302, 400, 404, 410, 500, 503])
async def test_anything_but_a_2xx_is_repeated(session: aiohttp.ClientSession, status: int) -> None:
    """An answer that loses events at the vendor would be harmless here; redirects are not followed."""
    async with receiving(status, status, 200) as receiver:
        assert await deliver(session, receiver.url) == [status, status, 200]
    assert [request.path for request in receiver.requests] == ["/hook/t0k3n"] * 3


async def test_after_five_repetitions_the_event_is_gone(session: aiohttp.ClientSession) -> None:
    """A receiver that is down for long would be served later than the vendor would."""
    async with receiving(500) as receiver:
        assert await deliver(session, receiver.url) == [500] * 6


async def test_a_repetition_has_the_same_body(session: aiohttp.ClientSession) -> None:
    """A repetition would look like a contradiction."""
    async with receiving(500, 200) as receiver:
        await deliver(session, receiver.url)
    assert receiver.bodies[0] == receiver.bodies[1]


async def test_no_answer_in_time_is_repeated(session: aiohttp.ClientSession) -> None:
    """A receiver that is too slow would be taken for one that answered."""
    async with receiving(0, 200) as receiver:
        outcomes = await deliver(session, receiver.url, Retries(timeout=0.5, repeats=5, spacing=(0.0,)))
    assert outcomes == ["timeout", 200]


async def test_a_receiver_that_is_not_there_is_tried_to_the_end(session: aiohttp.ClientSession) -> None:
    """A receiver that restarts would lose what came in the meantime at once."""
    async with receiving() as receiver:
        gone = receiver.url
    assert await deliver(session, gone) == ["unreachable"] * 6
    assert await deliver(session, "http://") == ["unreachable"] * 6


async def test_a_dropped_attempt_never_arrives(session: aiohttp.ClientSession) -> None:
    """A lost request and a lost answer would look the same."""
    async with receiving() as receiver:
        assert await deliver(session, receiver.url, dropped=2) == ["dropped", "dropped", 200]
    assert len(receiver.bodies) == 1


async def test_an_unanswered_attempt_arrives_and_is_repeated(session: aiohttp.ClientSession) -> None:
    """The commonest cause of duplicates, a lost answer, could not be tried."""
    async with receiving() as receiver:
        assert await deliver(session, receiver.url, unanswered=1) == ["unanswered", 200]
    assert receiver.bodies[0] == receiver.bodies[1]


async def test_copies_arrive_at_the_same_moment(session: aiohttp.ClientSession) -> None:
    """Doubled events would come one after the other, and no race between them be tried."""
    async with receiving(0) as receiver:
        delivering = asyncio.create_task(deliver(session, receiver.url, doubled=3))
        await receiver.received(3)
        receiver.release()
        assert await delivering == [200, 200, 200]


async def test_no_more_requests_at_a_time_than_allowed(session: aiohttp.ClientSession) -> None:
    """Ten thousand tasks that end together would open ten thousand connections."""
    async with receiving(0) as receiver:
        delivering = asyncio.create_task(deliver(session, receiver.url, doubled=6))
        await receiver.received(4)
        receiver.release()
        assert await delivering == [200] * 6
        assert receiver.most_at_once == 4
