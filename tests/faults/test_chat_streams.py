"""R14: what breaks a chat, at the upstream, at the client and in the relay; each ends in exactly one event."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import pytest

from relay.apis import apis
from relay.simulator.chat.exchanges import Exchange
from relay.simulator.options import Options
from relay.simulator.server import Simulator
from tests.faults.harness.matrix import SEED, Effort, Row
from tests.faults.harness.streams import Balance, balance, events_of, resident
from tests.services.chat import Broken, ChatClient, body_of, chat_client, path_of
from tests.services.relay import RelayProcess

MIB = 1024 * 1024
CLOSED_WITHIN = 250.0
"""Milliseconds after a client has left, by which its upstream is closed."""
APIS = tuple(apis())
ENDS = (b"data: [DONE]", b'"message_stop"', b'"response.completed"')
"""What an upstream's own end of a stream looks like."""

T = TypeVar("T")

CANCELLED = {("cancelled", "client_gone")}
Ends = dict[str, set[tuple[str, str | None]]]


@dataclass(slots=True)
class Scene:
    """A simulated upstream in this process and a relay in its own."""

    simulator: Simulator
    relay: RelayProcess

    @contextlib.asynccontextmanager
    async def asking(self, simulate: str, label: str, *, buffer: int | None = None) -> AsyncIterator[ChatClient]:
        """A client that has asked the relay; ``label`` names it at the upstream, its number decides the API."""
        api = APIS[int(label.rpartition(" ")[2]) % len(APIS)]
        async with chat_client(self.relay.url, receive_buffer=buffer) as client:
            await client.ask({"X-Simulate": simulate, "X-Label": label}, body_of(api), path_of(api))
            yield client

    def upstream_of(self, label: str) -> Exchange:
        """What the upstream saw of one client's request."""
        [exchange] = (seen for seen in self.simulator.exchanges if seen.headers.get("X-Label") == label)
        return exchange

    async def reached(self, label: str) -> Exchange:
        """The same, as soon as the whole request is there."""
        return await until(lambda: next(iter(self._arrived(label)), None))

    def _arrived(self, label: str) -> list[Exchange]:
        return [seen for seen in self.simulator.exchanges if seen.headers.get("X-Label") == label and seen.body_sha256]

    async def balance(self, expected: Ends, within: float = 20.0) -> Balance:
        """The streams against their events, once each has one or the time is over."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(within):
                while balance(expected, await events_of(self.relay.url)).missing:
                    await asyncio.sleep(0.1)
        return balance(expected, await events_of(self.relay.url))


async def until(condition: Callable[[], T | None], within: float = 20.0) -> T:
    """The condition's value, once it has one."""
    async with asyncio.timeout(within):
        while not (found := condition()):
            await asyncio.sleep(0.005)
    return found


@contextlib.asynccontextmanager
async def scene(folder: Path, **sections: Any) -> AsyncIterator[Scene]:
    async with Simulator(Options(seed=SEED)) as simulator:
        relay = RelayProcess(folder / "relay", **{"upstream": {"base_url": simulator.url}, **sections})
        await relay.start()
        try:
            yield Scene(simulator, relay)
        finally:
            relay.kill()


async def all_of(number: int, one: Callable[[int], Awaitable[T]]) -> list[T]:
    """The same for ``number`` clients at once."""
    return list(await asyncio.gather(*(one(each) for each in range(number))))


def longest_closing(scene: Scene, clients: list[ChatClient], label: str) -> float:
    """Milliseconds after which the last upstream was closed whose client had left."""

    def closing(number: int, client: ChatClient) -> float:
        exchange = scene.upstream_of(f"{label} {number}")
        assert exchange.outcome == "client_gone", exchange
        assert exchange.ended_at is not None
        assert client.left_at is not None
        return exchange.ended_at - client.left_at

    return max(closing(number, client) for number, client in enumerate(clients))


@pytest.mark.row("R14", "stream faults")
async def test_a_reset_in_mid_frame_is_reported_to_the_client_and_in_one_event(
    tmp_path: Path, row: Row, effort: Effort
) -> None:
    """Broken: P6: a cut stream would look complete to its client, or to the consumers, or would have no end at all."""
    number = effort(short=100, full=300, long=300)
    async with scene(tmp_path) as stage:

        async def one(each: int) -> tuple[str, bytes, bool]:
            async with stage.asking("reset", f"reset {each}") as client:
                await client.head()
                try:
                    await client.rest()
                except Broken:
                    return client.chat_id, bytes(client.body), True
                return client.chat_id, bytes(client.body), False

        seen = await all_of(number, one)
        before = resident(stage.relay.pid)
        expected: Ends = {chat_id: {("failed", "upstream_reset")} for chat_id, _, _ in seen}
        found = await stage.balance(expected)
        sent = {each: stage.upstream_of(f"reset {each}").sent for each in range(number)}
    row.injected("resets in mid-frame", number)
    row.notes.append(f"events {dict(found.ends)}, relay {before / MIB:.0f} MiB")
    assert len(expected) == number
    assert found.holds, found
    assert not [chat_id for chat_id, body, _ in seen for end in ENDS if end in body], "an end was invented"
    assert all(broken or b'"error"' in body for _, body, broken in seen), "a clean end was invented"
    assert all(len(body) >= sent[each] for each, (_, body, _) in enumerate(seen)), "bytes that had come were dropped"


@pytest.mark.row("R14", "stream faults")
async def test_clients_that_leave_before_the_first_byte_close_their_upstreams(
    tmp_path: Path, row: Row, effort: Effort
) -> None:
    """Broken: generations that nobody waits for would be paid for to their end, and have no event (litellm#31499)."""
    number = effort(short=50, full=150, long=150)
    async with scene(tmp_path) as stage:

        async def one(each: int) -> ChatClient:
            async with stage.asking("slow=60s", f"early {each}") as client:
                await stage.reached(f"early {each}")
                client.leave()
                return client

        clients = await all_of(number, one)
        await until(lambda: not stage.simulator.exchanges.open())
        await until_ended(stage, number)
        found = await stage.balance({})
        longest = longest_closing(stage, clients, "early")
    row.injected("clients left before the first byte", number)
    row.notes.append(f"events {dict(found.ends)}, upstreams closed within {longest:.0f} ms")
    assert found.holds, found
    assert found.ends == {"cancelled: client_gone": number}
    assert longest <= effort.within(CLOSED_WITHIN / 1e3) * 1e3


@pytest.mark.row("R14", "stream faults")
async def test_clients_that_leave_in_mid_stream_close_their_upstreams(tmp_path: Path, row: Row, effort: Effort) -> None:
    """Broken: an upstream would go on for a client that is gone, or what was said until then be lost to consumers."""
    number = effort(short=50, full=150, long=150)
    async with scene(tmp_path) as stage:

        async def one(each: int) -> ChatClient:
            async with stage.asking("chunks=50, pace=20ms", f"mid {each}") as client:
                await client.head()
                async for _ in client.pieces():
                    if client.body.count(b"\n\n") > 5:
                        break
                client.leave()
                return client

        clients = await all_of(number, one)
        await until(lambda: not stage.simulator.exchanges.open())
        expected: Ends = {client.chat_id: CANCELLED for client in clients}
        found = await stage.balance(expected)
        ends = [event for event in await events_of(stage.relay.url) if event["type"] == "relay.chat.cancelled"]
        longest = longest_closing(stage, clients, "mid")
    row.injected("clients left in mid-stream", number)
    row.notes.append(f"events {dict(found.ends)}, upstreams closed within {longest:.0f} ms")
    assert found.holds, found
    assert longest <= effort.within(CLOSED_WITHIN / 1e3) * 1e3
    assert all(event["data"]["choices"][0]["content"] for event in ends), "what was said until then is in the event"
    assert {event["data"]["api"] for event in ends} == set(APIS)


FORWARDED_ONLY = {"chunks": "off", "capture": {"content": False}}


@pytest.mark.row("R14", "slow readers")
@pytest.mark.parametrize(
    ("proxy", "each_at_most"),
    [
        pytest.param(FORWARDED_ONLY, MIB, id="forwarded only", marks=pytest.mark.matrix),
        # The text of the event (1 MB) and its chunks (1 MiB) come on top, each with its copy while it is written.
        pytest.param({}, 4 * MIB, id="captured"),
    ],
)
async def test_slow_readers_slow_their_own_upstreams_and_no_memory_grows(
    proxy: dict[str, Any], each_at_most: int, tmp_path: Path, row: Row, effort: Effort
) -> None:
    """Broken: a few slow clients with long answers would fill the relay's memory until it is killed."""
    number, seconds = 50, effort(short=5, full=30, long=30)
    async with scene(tmp_path, proxy=proxy) as stage:
        before = resident(stage.relay.pid)
        stop = asyncio.Event()

        async def one(each: int) -> str:
            async with stage.asking("chunks=20000, size=2048", f"slow {each}", buffer=4096) as client:
                await client.head()
                await client.at_most(1024, stop)
                client.leave()
                return client.chat_id

        reading = [asyncio.create_task(one(each)) for each in range(number)]
        await until_stuck(stage)
        stuck = resident(stage.relay.pid)
        await asyncio.sleep(seconds)
        grown = resident(stage.relay.pid) - stuck
        taken = [exchange.sent for exchange in stage.simulator.exchanges]
        stop.set()
        chat_ids = await asyncio.gather(*reading)
        expected: Ends = {chat_id: {*CANCELLED, ("failed", "slow_client")} for chat_id in chat_ids}
        found = await stage.balance(expected)
    row.injected("readers at 1 KiB/s", number)
    row.notes.append(
        f"memory +{(stuck - before) / MIB:.0f} MiB for {number} slow readers, then +{grown / MIB:.1f} MiB in "
        f"{seconds} s; at most {max(taken) / MIB:.1f} MiB of 40 MiB was taken from an upstream"
    )
    assert found.holds, found
    assert stuck - before < number * each_at_most
    assert grown < 5 * MIB, "memory is not flat"
    assert max(taken) < 30 * MIB, "the upstream is not slowed"


async def until_stuck(stage: Scene) -> None:
    """Returns when no upstream gets rid of anything any more: every buffer on the way is full."""
    before = -1
    async with asyncio.timeout(60):
        while (now := sum(exchange.sent for exchange in stage.simulator.exchanges)) != before:
            before = now
            await asyncio.sleep(1.0)


@pytest.mark.row("R14", "stream faults")
async def test_streams_open_at_a_kill_have_their_one_end_after_the_restart(
    tmp_path: Path, row: Row, effort: Effort
) -> None:
    """Broken: P6: consumers would wait forever for the end of streams that died with the relay."""
    rounds = effort(short=1, full=5)
    async with scene(tmp_path) as stage:
        expected: Ends = {}
        for turn in range(rounds):
            chat_ids = await killed(stage, f"kill {turn}", 100)
            expected |= {chat_id: {("failed", "relay_restarted")} for chat_id in chat_ids}
            await stage.relay.start()
        found = await stage.balance(expected)
        ends = [event for event in await events_of(stage.relay.url) if event["type"] == "relay.chat.failed"]
    row.injected("kill -9 under 100 open chats", rounds)
    row.notes.append(f"events {dict(found.ends)}")
    assert found.holds, found
    assert len(expected) == len(ends) == rounds * 100
    assert {event["data"]["api"] for event in ends} == set(APIS)


async def killed(stage: Scene, label: str, number: int) -> list[str]:
    """Kills the relay under so many open chats, each of which has begun; answers their ids."""
    begun: list[str] = []

    async def one(each: int) -> None:
        async with stage.asking("chunks=30, hang, at=20", f"{label} {each}") as client:
            await client.head()
            async for _ in client.pieces():
                if client.body.count(b"\n\n") == 19:
                    break
            begun.append(client.chat_id)
            await client.rest()

    reading = [asyncio.create_task(one(each)) for each in range(number)]
    await until(lambda: len(begun) == number)
    await until_started(stage, set(begun))
    stage.relay.kill()
    cut = await asyncio.gather(*reading, return_exceptions=True)
    assert all(isinstance(error, Broken) for error in cut), "a clean end was invented"
    return begun


async def until_started(stage: Scene, chat_ids: set[str]) -> None:
    """Returns when each of these streams has its first event."""
    async with asyncio.timeout(20):
        while not chat_ids <= {event["subject"] for event in await events_of(stage.relay.url)}:
            await asyncio.sleep(0.05)


async def until_ended(stage: Scene, number: int) -> None:
    """Returns when so many streams have ended, whichever they are."""
    async with asyncio.timeout(20):
        while (await stage.balance({}, within=0)).ends.total() < number:
            await asyncio.sleep(0.05)
