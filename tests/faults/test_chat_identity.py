"""R12: clients get what the upstream sent, and the events say what it says, however the stream is cut."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import pytest

from relay.simulator.chat.delivery import Answer, End, Piece
from relay.simulator.options import Options
from relay.simulator.server import Simulator
from tests.chat_samples import SAMPLES, ChatSample
from tests.faults.harness.matrix import SEED, Effort, Row
from tests.faults.harness.streams import TERMINAL, events_of
from tests.services.chat import BODY, Broken, chat_client, path_of
from tests.services.relay import RelayProcess

ENDS = {"end": End.COMPLETE, "upstream_reset": End.CUT, "client_gone": End.HANG}
"""How the upstream ends an answer, for the endings that come from outside. It closes instead of resetting, after which
nobody could say what had to arrive: the kernel drops what it has not sent yet."""
AT_ONCE = 25


def cuts(effort: Effort, chance: Random) -> Iterator[tuple[ChatSample, tuple[Piece, ...]]]:
    """Each sample byte by byte, and in so many random ways."""
    samples = [sample for sample in SAMPLES if sample.ending in ENDS]
    for sample in samples:
        yield sample, tuple(Piece(bytes((byte,))) for byte in sample.body)
    for number in range(effort(short=150, full=1000)):
        sample = samples[number % len(samples)]
        places = sorted(chance.choices(range(len(sample.body) + 1), k=chance.randrange(1, 40)))
        parts = (sample.body[start:end] for start, end in zip([0, *places], [*places, None], strict=True))
        yield sample, tuple(Piece(part, chance.choice((0.0, 0.0, 0.001))) for part in parts if part)


@pytest.mark.row("R12", "stream identity over HTTP")
async def test_a_client_gets_the_upstreams_bytes_and_consumers_what_they_say(
    tmp_path: Path, row: Row, effort: Effort
) -> None:
    """Broken: P6: a byte would be changed, dropped or invented on the way, or an event would say something else."""
    places = asyncio.Semaphore(AT_ONCE)
    async with Simulator(Options()) as simulator:
        relay = RelayProcess(tmp_path / "relay", upstream={"base_url": simulator.url})
        await relay.start()

        async def one(sample: ChatSample, pieces: tuple[Piece, ...]) -> tuple[str, ChatSample, str | None]:
            answer = Answer(sample.status, (("Content-Type", sample.content_type),), pieces, ENDS[sample.ending])
            async with places, chat_client(relay.url) as client:
                script = {"X-Simulate": f"script={simulator.scripts.register([answer])}"}
                await client.ask(script, path=path_of(sample.api))
                await client.head()
                wrong = await _difference(client, sample)
                return client.chat_id, sample, wrong

        try:
            played = await asyncio.gather(*(one(*cut) for cut in cuts(effort, Random(SEED))))
            endings = await _endings(relay, len(played))
        finally:
            relay.kill()
    changed = [f"{sample.name}: {wrong}" for _, sample, wrong in played if wrong]
    row.load = f"{len(played)} answers"
    row.counted(acknowledged=len(played), lost=len(played) - len(endings))
    assert not changed, changed[:5]
    for chat_id, sample, _ in played:
        data = endings[chat_id]
        wanted = sample.data | {"model": sample.data["model"] or BODY["model"]}
        assert {key: data[key] for key in wanted} == wanted, sample.name
        assert data["bytes"] == len(sample.body)
        assert (data["http_status"], data["api"]) == (sample.status, sample.api)


async def _difference(client: Any, sample: ChatSample) -> str | None:
    """Reads an answer as its sample ends; says what is not as it was sent."""
    ended = "whole"
    pieces = client.pieces()
    try:
        while sample.ending != "client_gone" or len(client.body) < len(sample.body):
            await anext(pieces)
    except StopAsyncIteration:
        pass
    except Broken:
        ended = "broken"
    else:
        client.leave()
        ended = "left"
    wanted = {"end": "whole", "upstream_reset": "broken", "client_gone": "left"}[sample.ending]
    if (client.status, bytes(client.body), ended) == (sample.status, sample.body, wanted):
        return None
    return f"{client.status}, {ended}, {bytes(client.body)!r}"


async def _endings(relay: RelayProcess, number: int) -> dict[str, Any]:
    """The data of the terminal events, by stream; each stream has one."""
    async with asyncio.timeout(30):
        while True:
            events = [event for event in await events_of(relay.url) if event["type"] in TERMINAL]
            if len(events) >= number:
                break
            await asyncio.sleep(0.1)
    endings = {event["subject"]: event["data"] for event in events}
    assert len(endings) == len(events) == number
    return endings
