"""Clients that submit tasks: plain HTTP, and the vendor's own SDK. They change the address, and nothing else."""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from relay.simulator.options import Options, Retries
from relay.simulator.server import Simulator
from tests.e2e.request_shapes import ASYNCHRONOUS, SYNCHRONOUS, Shape
from tests.e2e.sdks.install import run_novita
from tests.services.relay import RelayProcess

Json = dict[str, Any]

PACE = Options(seed=1, queue_seconds=0.1, run_seconds=0.3, retries=Retries(spacing=(0.2,)))
# The SDK fails at results of videos without "extra", which the vendor's own samples lack: through the relay as well.
SDK_CALLS = ("txt2img", "img2img", "txt2video", "img2video", "remove_background", "cleanup", "img2prompt")
RESULT = "/v3/async/task-result"
WITHIN = 30.0


@dataclass
class Client:
    """An application, the relay that it uses and the upstream behind that."""

    session: aiohttp.ClientSession
    relay: RelayProcess
    simulator: Simulator

    async def post(self, shape: Shape, simulate: str = "none", **more: Any) -> Json:
        """Submits through the relay; the upstream's answer."""
        url, headers = self.relay.url + shape.path, {"X-Simulate": simulate, "Authorization": "Bearer k"}
        async with self.session.post(url, json={**shape.body, **more}, headers=headers) as response:
            assert response.status == 200, await response.text()
            answer: Json = await response.json()
            return answer

    async def poll(self, base: str, task_id: str) -> bytes:
        """The result as an application reads it, from ``base``."""
        async with self.session.get(base + RESULT, params={"task_id": task_id}) as response:
            return await response.read()

    async def events(self) -> list[Json]:
        """What a consumer of the relay gets."""
        async with self.session.get(f"{self.relay.url}/v1/events", params={"limit": "1000"}) as response:
            return [entry["event"] for entry in (await response.json())["events"]]

    async def ended(self, task_ids: set[str]) -> list[Json]:
        """The terminal events of these tasks, once each has one."""
        async with asyncio.timeout(WITHIN):
            while True:
                ends = [e for e in await self.events() if e["type"] in ("relay.task.succeeded", "relay.task.failed")]
                if task_ids <= {end["subject"] for end in ends}:
                    return [end for end in ends if end["subject"] in task_ids]
                await asyncio.sleep(0.05)


@asynccontextmanager
async def application(directory: Path) -> AsyncIterator[Client]:
    async with Simulator(PACE) as simulator, aiohttp.ClientSession() as session:
        relay = RelayProcess(directory, public=True, upstream={"base_url": simulator.url})
        await relay.start()
        try:
            yield Client(session, relay, simulator)
        finally:
            await relay.stop()


@pytest.fixture
async def client(tmp_path: Path) -> AsyncIterator[Client]:
    async with application(tmp_path / "relay") as client:
        yield client


@pytest.mark.parametrize("wrapping", ["none", "bare"])
async def test_every_asynchronous_shape_is_accepted_published_and_ended(client: Client, wrapping: str) -> None:
    """An endpoint in scope would not work through the relay, or its task would never end for the consumers."""
    answers = await asyncio.gather(*(client.post(shape, wrapping) for shape in ASYNCHRONOUS))
    assert all(set(answer) == {"task_id"} for answer in answers)
    shapes = {answer["task_id"]: shape for answer, shape in zip(answers, ASYNCHRONOUS, strict=True)}
    ends = await client.ended(set(shapes))
    assert Counter(end["subject"] for end in ends) == Counter(list(shapes))
    for end in ends:
        assert end["data"]["observed_via"] == "webhook", "the relay's own webhook was added"
        assert {output["kind"] for output in end["data"]["outputs"]} == {shapes[end["subject"]].kind}
    submitted = [event for event in await client.events() if event["type"] == "relay.task.submitted"]
    assert Counter(event["subject"] for event in submitted) == Counter(list(shapes))
    assert all(event["data"]["task_type"] in shapes[event["subject"]].path for event in submitted)
    assert client.simulator.ledger.paid == len(shapes)


async def test_the_synchronous_shapes_answer_as_they_do_without_the_relay(client: Client) -> None:
    """An application would not get its image, or a task that has ended would be waited for."""
    answers = [await client.post(shape) for shape in SYNCHRONOUS]
    assert [sorted(answer) for answer in answers] == [
        ["images", "task"],
        ["binary_data_base64", "image_urls"],
        ["images"],
        ["image_file", "image_type"],
        ["image_file", "image_type"],
    ]
    types = [event["type"] for event in await client.events()]
    assert types == ["relay.task.submitted", "relay.task.succeeded"]
    assert client.simulator.ledger.paid == len(SYNCHRONOUS)


async def test_a_client_that_polls_sees_what_it_would_see_without_the_relay(client: Client) -> None:
    """An application that polls would read another result, or wait forever."""
    shapes = ASYNCHRONOUS[:4]
    task_ids = [(await client.post(shape, "lost"))["task_id"] for shape in shapes]
    async with asyncio.timeout(WITHIN):
        for task_id in task_ids:
            while b"SUCCEED" not in await client.poll(client.relay.url, task_id):
                await asyncio.sleep(0.05)
            direct, through = [_unsigned(await client.poll(base, task_id)) for base in client_bases(client)]
            assert _without_address(direct) == through
    ends = await client.ended(set(task_ids))
    assert Counter(end["subject"] for end in ends) == Counter(task_ids)
    assert {end["data"]["observed_via"] for end in ends} == {"poll"}, "what passed was taken note of"


async def test_a_clients_own_webhook_gets_the_event_and_the_relay_finds_it_by_the_clients_polls(
    client: Client, tmp_path: Path
) -> None:
    """An application with a receiver of its own would never get its webhook."""
    async with application(tmp_path / "another") as other:
        hooked = {"extra": {"webhook": {"url": other.relay.webhook_url}}}
        task_id = (await client.post(ASYNCHRONOUS[0], **hooked))["task_id"]
        (end,) = await other.ended({task_id})
        assert end["data"]["observed_via"] == "webhook"
        await client.poll(client.relay.url, task_id)
        (end,) = await client.ended({task_id})
        assert end["data"]["observed_via"] == "poll"


@pytest.mark.timeout(300)
async def test_the_vendors_sdk_notices_nothing(client: Client) -> None:
    """Applications of the vendor's own SDK, which polls each half second, would fail or see other results."""
    faults = {"fails": "fail", "refused": "error=429", "page": "html"}
    wanted = [(call, "well", "none") for call in SDK_CALLS] + [("txt2img", *fault) for fault in faults.items()]
    async with Simulator(PACE) as upstream:  # of the same seed: the same requests have the same answers
        bases = {"direct": upstream.url, "through": client.relay.url}
        cases = [
            {"id": [way, call, name], "url": url, "headers": {"X-Simulate": simulate}, "call": call, "prompt": name}
            for way, url in bases.items()
            for call, name, simulate in wanted
        ]
        played = await asyncio.to_thread(run_novita, cases)
    assert played["version"] == "0.7.1"
    lived: dict[str, dict[tuple[str, str], Json]] = {way: {} for way in bases}
    for result in played["results"]:
        way, call, name = result.pop("id")
        lived[way][call, name] = result
    through = lived["through"]
    assert through == lived["direct"]
    assert all("answer" in through[call, "well"] for call in SDK_CALLS if "2video" not in call), through
    assert all("error" in through["txt2img", name] for name in faults), through
    tasks = {result["answer"]["task_id"] for result in through.values() if "task_id" in result.get("answer", {})}
    assert len(tasks) >= 2
    ends = await client.ended(tasks)
    assert Counter(end["subject"] for end in ends) == Counter(tasks)


def client_bases(client: Client) -> tuple[str, str]:
    """The upstream and the relay."""
    return client.simulator.url, client.relay.url


def _without_address(result: list[bytes]) -> list[bytes]:
    """A result as a client of the relay may see it: the task's webhook address is for the upstream only."""
    return [re.sub(rb"(?<=/webhooks/novita/).+", lambda secret: b"*" * len(secret[0]), part) for part in result]


def _unsigned(body: bytes) -> list[bytes]:
    """A result without its signatures, which are new in each second."""
    return [part.partition(b"?")[0] for part in body.split(b'"')]
