from __future__ import annotations

import asyncio

import aiohttp
import pytest

from relay.simulator.options import Options
from relay.simulator.outages import Outage, Outages
from relay.simulator.server import Simulator

QUICK = Options(queue_seconds=0.0, run_seconds=0.0)
RESULT = "/v3/async/task-result?task_id=x"


def test_the_newest_outage_counts_while_it_lasts() -> None:
    """Trouble would go on forever, or begin too early."""
    outages = Outages((Outage("storm", 10.0, 20.0),))
    outages.add(Outage("down", 15.0, 1.0))
    assert [outages.at(moment) for moment in (9.9, 10.0, 15.5, 16.0, 29.9, 30.0)] == [
        None,
        "storm",
        "down",
        "storm",
        "storm",
        None,
    ]
    assert [outages.next_change(moment) for moment in (0.0, 10.0, 15.0, 16.0, 30.0)] == [10.0, 15.0, 16.0, 30.0, None]


@pytest.mark.parametrize(("trouble", "start", "seconds"), [("rain", 0, 1), ("down", -1, 1), ("down", 0, 0)])
def test_an_outage_without_trouble_or_time_is_refused(trouble: str, start: float, seconds: float) -> None:
    """A rehearsal would run without the outage that it was made for."""
    with pytest.raises(ValueError, match=r"trouble|outage"):
        Outage(trouble, start, seconds)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("trouble", "status", "kind"), [("errors", 500, "json"), ("storm", 429, "json"), ("html", 502, "html")]
)
async def test_trouble_is_for_everybody_and_passes(
    session: aiohttp.ClientSession, trouble: str, status: int, kind: str
) -> None:
    """A storm would strike some requests only, or never end."""
    async with Simulator(QUICK) as simulator:
        outage = {"trouble": trouble, "seconds": 60.0}
        async with session.post(f"{simulator.url}/_simulator/outages", json=outage) as response:
            assert response.status == 200
        for path in ("/v3/async/txt2img", "/openai/v1/chat/completions", "/v3/seedream-4.0"):
            async with session.post(simulator.url + path, json={}) as response:
                assert response.status == status
                assert kind in response.content_type
        async with session.get(simulator.url + RESULT) as response:
            assert response.status == status
        assert simulator.ledger.paid == 0
        pass_time(simulator, 60.0)
        async with session.get(simulator.url + RESULT) as response:
            assert response.status == 404


async def test_while_it_resets_nothing_is_done(session: aiohttp.ClientSession) -> None:
    """A request without an answer would create its task, or not, at random."""
    async with Simulator(QUICK) as simulator:
        simulator.begin_outage("reset", 60.0)
        with pytest.raises(aiohttp.ClientConnectionError):
            await session.post(f"{simulator.url}/v3/async/txt2img", json={})
        assert simulator.ledger.paid == 0


async def test_while_it_is_down_nobody_listens_and_open_connections_end(session: aiohttp.ClientSession) -> None:
    """An outage would be a slow answer to those who are connected already."""
    async with Simulator(QUICK) as simulator:
        async with session.get(simulator.url + RESULT) as response:
            assert response.status == 404
        headers = {"X-Simulate": "slow=60m"}
        chat = {"model": "deepseek/deepseek-v3.1", "messages": [{"role": "user", "content": "fly a kite"}]}
        asked = session.post(f"{simulator.url}/openai/v1/chat/completions", json=chat, headers=headers)
        under_way = asyncio.create_task(asked)
        async with asyncio.timeout(30):
            while not simulator.exchanges.open():
                await asyncio.sleep(0.01)
            simulator.begin_outage("down", 60.0)
            with pytest.raises(aiohttp.ClientConnectionError):
                await under_way
            while await _answers(simulator.url):
                await asyncio.sleep(0.01)
            pass_time(simulator, 59.0)
            assert not await _answers(simulator.url)
            pass_time(simulator, 1.0)
            while not await _answers(simulator.url):
                await asyncio.sleep(0.01)


async def test_an_outage_that_was_foreseen_comes(session: aiohttp.ClientSession) -> None:
    """The outage that a command line asks for would not happen."""
    options = Options(outages=(Outage("down", 0.3, 60.0),))
    async with Simulator(options) as simulator, asyncio.timeout(10):
        assert await _answers(simulator.url)
        while await _answers(simulator.url):
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("body", [b"", b"[]", b'{"trouble":"rain","seconds":1}', b'{"trouble":"down"}'])
async def test_an_unknown_outage_is_refused(session: aiohttp.ClientSession, body: bytes) -> None:
    """A script would believe in an outage that does not come."""
    async with (
        Simulator(QUICK) as simulator,
        session.post(f"{simulator.url}/_simulator/outages", data=body) as response,
    ):
        assert response.status == 400


def pass_time(simulator: Simulator, seconds: float) -> None:
    """Moves the simulator's clock on, so that nobody waits and a slow machine misses nothing."""
    simulator._started_at -= seconds
    simulator._changed.set()


async def _answers(url: str) -> bool:
    """Whether somebody listens there, asked on a new connection."""
    try:
        async with aiohttp.ClientSession() as session, session.get(url + RESULT):
            return True
    except aiohttp.ClientConnectionError:
        return False
