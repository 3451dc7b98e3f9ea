from __future__ import annotations

import asyncio

import aiohttp
import pytest

from relay.simulator.options import Options, Retries
from relay.simulator.server import Simulator
from tests.unit.simulator.receiver import receiving

QUICK = Options(queue_seconds=0.0, run_seconds=0.0)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/"),
        ("POST", "/v3/nothing-here"),
        ("POST", "/v4/async/x"),
        ("GET", "/v3/async/txt2img"),
        ("PUT", "/v3/x"),
    ],
)
async def test_an_unrouted_path_is_answered_in_plain_text(
    session: aiohttp.ClientSession, method: str, path: str
) -> None:
    """A client that expects JSON of every 404 would not be caught."""
    async with (
        Simulator(QUICK) as simulator,
        session.request(method, simulator.url + path) as response,
    ):
        assert (response.status, response.content_type) == (404, "text/plain")
        assert await response.text() == "404 page not found"


async def test_scripts_can_read_the_ledger(session: aiohttp.ClientSession) -> None:
    """A script outside the process could not know what a receiver should have got."""
    async with (
        receiving() as receiver,
        Simulator(Options(queue_seconds=0.0, run_seconds=0.0, default_webhook=receiver.url)) as simulator,
    ):
        async with session.post(f"{simulator.url}/v3/async/txt2img", json={}) as response:
            task_id = (await response.json())["task_id"]
        async with asyncio.timeout(10):
            await simulator.wait_idle()
        async with session.get(f"{simulator.url}/_simulator/ledger", params={"task_id": task_id}) as response:
            shown = await response.json()
    assert [task["task_id"] for task in shown["tasks"]] == [task_id]
    assert [attempt["outcome"] for attempt in shown["attempts"]] == [200]


async def test_stopping_ends_what_is_still_to_be_delivered(session: aiohttp.ClientSession) -> None:
    """A stop would hang until the last repetition, or leave it running."""
    options = Options(queue_seconds=0.0, run_seconds=0.0, retries=Retries(spacing=(600.0,)))
    before = asyncio.all_tasks()
    async with receiving(500) as receiver, asyncio.timeout(10), Simulator(options) as simulator:
        body = {"extra": {"webhook": {"url": receiver.url}}}
        async with session.post(f"{simulator.url}/v3/async/txt2img", json=body) as response:
            assert response.status == 200
        await receiver.received(1)
    assert not {task for task in asyncio.all_tasks() - before if "_deliver" in str(task.get_coro())}


async def test_it_can_be_stopped_twice_and_before_it_has_started() -> None:
    """A start that failed halfway could not be cleaned up."""
    simulator = Simulator(QUICK)
    await simulator.stop()
    await simulator.wait_idle()
    await simulator.start()
    await simulator.stop()
    await simulator.stop()


async def test_an_address_that_is_taken_is_an_error_and_leaks_nothing() -> None:
    """``relay simulate`` on a used port would fail with a warning about an open session instead."""
    async with Simulator(QUICK) as simulator:
        port = int(simulator.url.rpartition(":")[2])
        with pytest.raises(OSError, match="address already in use"):
            await Simulator(Options(port=port)).start()


def test_before_the_start_there_is_no_address() -> None:
    """A test would send its requests to an address that nobody has."""
    with pytest.raises(RuntimeError, match="start"):
        _ = Simulator().url


async def test_a_submission_is_carried_out_although_its_client_has_gone(session: aiohttp.ClientSession) -> None:
    """A task would be undone by the client's hanging up, which no upstream does: a relay that loses one looks fine."""
    async with Simulator(QUICK) as simulator, asyncio.timeout(10):
        headers = {"X-Simulate": "slow=200ms"}
        with pytest.raises(TimeoutError):
            timeout = aiohttp.ClientTimeout(total=0.05)
            await session.post(f"{simulator.url}/v3/async/txt2img", json={}, headers=headers, timeout=timeout)
        while not simulator.ledger.tasks():
            await asyncio.sleep(0.01)
