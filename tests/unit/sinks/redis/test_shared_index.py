"""How the index of replicas uses its connection; what the script decides needs Redis (tests/integration)."""

from __future__ import annotations

import asyncio

import pytest

from relay.core.publishing.claims import NO_STATEMENT, Fact
from relay.sinks.redis.shared_index import MAX_FACTS, RedisIndex


class Wire:
    """Stands for the connection: all facts but those from ``held_from`` on are free; ``None``: it does not answer."""

    def __init__(self, held_from: int | None) -> None:
        self._left = held_from
        self.asked: list[int] = []
        self.aborted = self.closed = False

    async def ask(self, *command: str | bytes | int) -> list[bytes]:
        facts = (int(command[2]) - 1) // 2
        self.asked.append(facts)
        if self._left is None:
            await asyncio.Event().wait()
            raise AssertionError
        free = min(self._left, facts)
        self._left -= free
        return [b"o" * free, b"memory"]

    def abort(self) -> None:
        self.aborted = True

    async def close(self) -> None:
        self.closed = True


def index_over(wire: Wire) -> RedisIndex:
    index = RedisIndex({"url": "redis://h"}, scope="k", identity="a", origin=lambda: "journal", lease=1.0, window=1.0)
    index._wire = wire  # type: ignore[assignment]
    return index


def facts(count: int) -> list[Fact]:
    return [Fact("plain", b"%016d" % offset, NO_STATEMENT, offset) for offset in range(count)]


@pytest.mark.parametrize("held_from", [MAX_FACTS - 1, MAX_FACTS, MAX_FACTS + 1])
async def test_nothing_is_claimed_behind_a_fact_that_is_held_in_whichever_call_it_is(held_from: int) -> None:
    """Else this replica would keep others from what it may not publish yet itself."""
    wire = Wire(held_from)
    index = index_over(wire)
    claimed = await index.claim(facts(3 * MAX_FACTS))
    assert len(claimed.verdicts) == held_from
    assert wire.asked == [MAX_FACTS] * (1 if held_from < MAX_FACTS else 2)
    await index.close()
    assert wire.closed


async def test_a_claim_that_is_given_up_ends_and_takes_its_connection_along() -> None:
    """Else a stop of the relay would be lost, or the late answer be taken for the answer to the next question."""
    wire = Wire(None)
    index = index_over(wire)
    claiming = asyncio.create_task(index.claim(facts(1)))
    await asyncio.sleep(0)
    assert wire.asked == [1]
    claiming.cancel()
    with pytest.raises(asyncio.CancelledError):
        await claiming
    assert wire.aborted
