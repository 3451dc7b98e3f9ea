"""R16: the relay gets SIGTERM, again and again, under load and with chats open."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from tests.faults.conftest import Shared
from tests.faults.harness.matrix import Effort, Row
from tests.faults.harness.targets import KAFKA_LATER
from tests.faults.harness.trial import Trial

RATE = 200
STREAMS = 5
ENDS_WITHIN = 10.0
NOT_SENT = {"ClientConnectorError", "ConnectionTimeoutError"}
"""What the sender may meet beside a 200; anything else is a request that was taken and not answered.

Refused: nobody listens. Not connected in time: a SYN is dropped just before the port closes, and is sent again after a
second at most; five seconds take a machine, or a loop of this process, that stood still. Neither sent a request.
"""


@contextlib.asynccontextmanager
async def streams_open(url: str) -> AsyncIterator[None]:
    """Consumers that follow the events live."""
    async with aiohttp.ClientSession() as session, contextlib.AsyncExitStack() as open_streams:
        for _ in range(STREAMS):
            stream = session.get(f"{url}/v1/events?after=0", headers={"Accept": "text/event-stream"})
            response = await open_streams.enter_async_context(stream)
            assert response.status == 200
            assert await response.content.readline()
        yield


@pytest.mark.alone
@pytest.mark.row("R16", "SIGTERM under load")
@pytest.mark.parametrize("kind", [KAFKA_LATER, "redis"])
async def test_an_orderly_end_breaks_no_request_and_is_in_time(
    kind: str, shared: Shared, tmp_path: Path, row: Row, effort: Effort
) -> None:
    """Broken: each rolling update would break deliveries, of which the upstream makes a few only."""
    took = []
    loop = asyncio.get_running_loop()
    async with Trial(tmp_path, shared(kind), row=row, rate=RATE, load={"kept": False}) as trial:
        for _ in range(effort(short=2, full=15)):
            await trial.acknowledged()
            async with streams_open(trial.relay.url):
                trial.injected(f"SIGTERM with {STREAMS} streams open")
                asked = loop.time()
                assert await trial.relay.stop(within=effort.within(ENDS_WITHIN)) == 0
                took.append(loop.time() - asked)
            await trial.restart()
        await trial.acknowledged()
        await trial.conclude()
    row.notes.append(f"ended after {max(took):.2f} s at most; answers {dict(trial.load.tally.answers)}")
    assert set(trial.load.tally.answers) <= {"200", *NOT_SENT}
