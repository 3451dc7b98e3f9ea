"""How fast bytes may come, in virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from relay.archive.bandwidth import Bandwidth
from tests.unit.virtual_time import virtually


async def chunks(count: int) -> AsyncIterator[bytes]:
    for _ in range(count):
        yield b"x" * 1000


async def read(bandwidth: Bandwidth, count: int) -> int:
    return sum([len(chunk) async for chunk in bandwidth.paced(chunks(count))])


def test_all_outputs_together_take_no_more_than_said() -> None:
    """The archive would take the network from chats."""

    async def main() -> None:
        bandwidth = Bandwidth(2000)
        assert await asyncio.gather(read(bandwidth, 5), read(bandwidth, 5)) == [5000, 5000]
        assert 4.5 <= asyncio.get_running_loop().time() <= 5.5

    virtually(main())


def test_without_a_limit_nothing_waits() -> None:
    """Each output would take longer for nothing."""

    async def main() -> None:
        assert await read(Bandwidth(None), 100) == 100_000
        assert asyncio.get_running_loop().time() == 0

    virtually(main())


def test_a_rest_saves_up_nothing() -> None:
    """After a quiet hour, an hour's worth of bytes would come at once."""

    async def main() -> None:
        bandwidth, loop = Bandwidth(1000), asyncio.get_running_loop()
        await read(bandwidth, 1)
        await asyncio.sleep(3600)
        began = loop.time()
        await read(bandwidth, 10)
        assert loop.time() - began >= 9

    virtually(main())
