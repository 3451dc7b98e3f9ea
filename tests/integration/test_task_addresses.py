"""The webhook address of a submitted task: a secret of that task alone."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import RawTestServer

from tests.services.relay import TOKEN, RelayProcess

OTHER = "other-token-of-enough-length-9876543210"
API = "api-token-of-enough-length-0123456789abcd"


@dataclass
class Upstream:
    """Takes every submission, and shows the webhook's address in the result, as the real upstream does."""

    addresses: dict[str, str] = field(default_factory=dict)
    before_answer: Callable[[str, str], Awaitable[None]] | None = None
    url: str = ""

    async def __call__(self, request: web.BaseRequest) -> web.Response:
        if request.method == "POST":
            task_id = f"task-{len(self.addresses)}"
            self.addresses[task_id] = json.loads(await request.read())["extra"]["webhook"]["url"]
            if self.before_answer is not None:
                await self.before_answer(task_id, self.addresses[task_id])
            return web.json_response({"task_id": task_id})
        task_id = request.query["task_id"]
        return web.json_response({**result(task_id, "TASK_STATUS_PROCESSING"), "extra": self._extra(task_id)})

    def _extra(self, task_id: str) -> dict[str, Any]:
        text = json.dumps({"webhook": {"url": self.addresses[task_id], "also": f"https://x/{TOKEN}"}})
        return {"webhook": {"url": self.addresses[task_id]}, "debug_info": {"request_info": text}}


@pytest.fixture
async def upstream() -> AsyncIterator[Upstream]:
    served = Upstream()
    server = RawTestServer(served)
    await server.start_server()
    served.url = str(server.make_url("")).rstrip("/")
    yield served
    await server.close()


@asynccontextmanager
async def replica(directory: Path, upstream: Upstream, *tokens: str) -> AsyncIterator[RelayProcess]:
    relay = RelayProcess(
        directory,
        server={"public_url": "https://relay.example", "api_tokens": [API]},
        webhooks={"novita": {"tokens": list(tokens)}},
        upstream={"base_url": upstream.url},
        reconcile={"enabled": False},
    )
    await relay.start()
    try:
        yield relay
    finally:
        relay.kill()


def result(task_id: str, status: str = "TASK_STATUS_SUCCEED") -> dict[str, Any]:
    return {"task": {"task_id": task_id, "status": status}}


async def submit(relay: RelayProcess) -> str:
    url = f"{relay.url}/v3/async/txt2img"
    async with aiohttp.ClientSession() as session, session.post(url, json={"prompt": "a cat"}) as response:
        task_id: str = (await response.json())["task_id"]
        return task_id


async def deliver(relay: RelayProcess, address: str, task_id: str, **headers: str) -> tuple[int, str]:
    """The status of a delivery, and its result or the code of its refusal."""
    url = relay.url + urlsplit(address).path
    async with aiohttp.ClientSession(headers=headers) as session, session.post(url, json=result(task_id)) as response:
        answer = await response.json()
        return response.status, answer.get("code") or answer["status"]


async def ended(relay: RelayProcess) -> list[str]:
    headers = {"Authorization": f"Bearer {API}"}
    url = f"{relay.url}/v1/events?type=relay.task.succeeded"
    async with aiohttp.ClientSession(headers=headers) as session, session.get(url) as response:
        return [each["event"]["subject"] for each in (await response.json())["events"]]


async def test_an_address_ends_its_own_task_and_no_other(tmp_path: Path, upstream: Upstream) -> None:
    """A client that may ask for one result could forge those of all tasks."""
    async with replica(tmp_path, upstream, TOKEN) as relay:
        mine, other = await submit(relay), await submit(relay)
        address = upstream.addresses[mine]
        assert await deliver(relay, address, other) == (403, "wrong_task")
        assert await deliver(relay, address, "elsewhere") == (403, "wrong_task")
        assert await deliver(relay, address, mine) == (200, "accepted")
        assert await deliver(relay, address, mine) == (200, "duplicate")
        assert await ended(relay) == [mine]
        assert await deliver(relay, upstream.addresses[other], other) == (200, "accepted")
        assert await deliver(relay, f"/webhooks/novita/{TOKEN}", "by-hand") == (200, "accepted")
        secret = address.rpartition("/")[2]
        for changed in (secret[:-1], secret + "A", secret.swapcase(), secret.replace(".", "A", 1), secret[:27]):
            assert await deliver(relay, f"/webhooks/novita/{changed}", mine) == (401, "unauthorized")


async def test_no_answer_shows_an_address_or_a_token(tmp_path: Path, upstream: Upstream) -> None:
    """A client that polls could deliver in the upstream's name: for its task by the address, for all by the token."""
    async with replica(tmp_path, upstream, TOKEN) as relay:
        task_id = await submit(relay)
        assert TOKEN not in upstream.addresses[task_id]
        url = f"{relay.url}/v3/async/task-result?task_id={task_id}"
        async with aiohttp.ClientSession() as session, session.get(url) as response:
            shown = await response.text()
        assert response.status == 200
        assert json.loads(shown)["task"]["task_id"] == task_id
        assert upstream.addresses[task_id].rpartition("/")[2] not in shown
        assert TOKEN not in shown
        assert TOKEN not in relay.log.read_text()


async def test_an_address_outlives_the_process_and_the_token(tmp_path: Path, upstream: Upstream) -> None:
    """Results of tasks under way would be refused after a crash, or after the rotation of a leaked token."""
    async with replica(tmp_path, upstream, TOKEN) as relay:
        mine, other = await submit(relay), await submit(relay)
    async with replica(tmp_path, upstream, OTHER) as relay:
        assert await deliver(relay, upstream.addresses[mine], other) == (403, "wrong_task")
        assert await deliver(relay, upstream.addresses[mine], mine) == (200, "accepted")


@pytest.mark.parametrize("tokens", [(), (TOKEN,)])
async def test_a_result_may_be_faster_than_the_answer(tmp_path: Path, upstream: Upstream, tokens: tuple[str]) -> None:
    """The only delivery of a quick task would be refused; or its address would be anybody's until the answer came."""
    async with replica(tmp_path, upstream, *tokens) as relay:
        seen: list[tuple[int, str]] = []

        async def at_once(task_id: str, address: str) -> None:
            seen.extend([await deliver(relay, address, task_id), await deliver(relay, address, "another")])

        upstream.before_answer = at_once
        task_id = await submit(relay)
        assert seen == [(200, "accepted"), (403, "wrong_task")]
        assert await deliver(relay, upstream.addresses[task_id], "another") == (403, "wrong_task")
        assert await ended(relay) == [task_id]


async def test_what_an_early_delivery_claims_does_not_count_against_the_answer(
    tmp_path: Path, upstream: Upstream
) -> None:
    """One wrong delivery before the answer would lock the task's own result out."""
    async with replica(tmp_path, upstream, TOKEN) as relay:

        async def wrongly(_: str, address: str) -> None:
            assert await deliver(relay, address, "another") == (200, "accepted")

        upstream.before_answer = wrongly
        task_id = await submit(relay)
        assert await deliver(relay, upstream.addresses[task_id], task_id) == (200, "accepted")
        assert await deliver(relay, upstream.addresses[task_id], "a-third") == (403, "wrong_task")
        assert "used for another task" in relay.log.read_text()


async def test_any_replica_takes_the_result_of_a_task(tmp_path: Path, upstream: Upstream) -> None:
    """Behind one balancer most results would be refused; or one address would be good for many tasks."""
    async with replica(tmp_path / "a", upstream, TOKEN) as a, replica(tmp_path / "b", upstream, OTHER, TOKEN) as b:
        first, second, of_b = await submit(a), await submit(a), await submit(b)
        assert await deliver(b, upstream.addresses[first], of_b) == (403, "wrong_task")
        assert await deliver(b, upstream.addresses[first], first) == (200, "accepted")
        assert await deliver(b, upstream.addresses[first], second) == (403, "wrong_task")
        assert await deliver(b, upstream.addresses[second], second) == (200, "accepted")
        assert sorted(await ended(b)) == [first, second]
    async with replica(tmp_path / "c", upstream, OTHER) as c:
        # The token that all shared is gone, and with it what it vouched for: it may have leaked.
        assert await deliver(c, upstream.addresses[first], first) == (401, "unauthorized")


async def test_an_address_needs_no_token_beside_it(tmp_path: Path, upstream: Upstream) -> None:
    """Behind a proxy, a relay without tokens would take no result at all; or, with addresses, everybody's."""
    async with replica(tmp_path, upstream) as relay:
        task_id = await submit(relay)
        forwarded = {"X-Forwarded-For": "203.0.113.9"}
        assert await deliver(relay, "/webhooks/novita", task_id) == (401, "unauthorized")  # a proxy may be behind it
        assert await deliver(relay, upstream.addresses[task_id], task_id, **forwarded) == (200, "accepted")
