from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import aiohttp
import pytest

from relay.simulator.options import Options, Retries
from relay.simulator.rates import Faults
from relay.simulator.server import Simulator
from tests.unit.simulator.receiver import receiving

QUICK = Options(queue_seconds=0.0, run_seconds=0.0, retries=Retries(spacing=(0.0,)))
RESULT = "/v3/async/task-result"

Json = dict[str, Any]
Headers = Mapping[str, str] | None


def hooked(url: str, **webhook: Any) -> Json:
    return {"extra": {"webhook": {"url": url, **webhook}}, "request": {"prompt": "a kite"}}


async def post(
    session: aiohttp.ClientSession,
    simulator: Simulator,
    path: str,
    body: Json,
    headers: Mapping[str, str] | None = None,
) -> tuple[int, Json]:
    async with session.post(simulator.url + path, json=body, headers=headers) as response:
        return response.status, await response.json()


async def submit(session: aiohttp.ClientSession, simulator: Simulator, body: Json, simulate: str = "none") -> str:
    status, answer = await post(session, simulator, "/v3/async/txt2img", body, {"X-Simulate": simulate})
    assert (status, set(answer)) == (200, {"task_id"})
    return str(answer["task_id"])


async def poll(session: aiohttp.ClientSession, simulator: Simulator, task_id: str) -> tuple[int, Json]:
    async with session.get(simulator.url + RESULT, params={"task_id": task_id}) as response:
        return response.status, await response.json()


async def idle(simulator: Simulator) -> None:
    async with asyncio.timeout(10):
        await simulator.wait_idle()


async def test_a_task_is_reported_to_its_webhook_as_it_can_be_polled(session: aiohttp.ClientSession) -> None:
    """Webhook and polling, two sides of one fact, would differ."""
    async with receiving() as receiver, Simulator(QUICK) as simulator:
        task_id = await submit(session, simulator, hooked(receiver.url))
        await idle(simulator)
        status, polled = await poll(session, simulator, task_id)
    [body] = receiver.bodies
    assert body["event_type"] == "ASYNC_TASK_RESULT"
    assert body["payload"]["task"] == polled["task"]
    assert (status, polled["task"]["task_id"], polled["task"]["status"]) == (200, task_id, "TASK_STATUS_SUCCEED")


async def test_a_task_in_progress_has_the_same_shape(session: aiohttp.ClientSession) -> None:
    """A client that polls would never see a task run."""
    options = replace(QUICK, queue_seconds=600.0)
    async with Simulator(options) as simulator:
        task_id = await submit(session, simulator, {"request": {}})
        status, body = await poll(session, simulator, task_id)
    assert (status, body["task"]["status"], body["images"]) == (200, "TASK_STATUS_QUEUED", [])


async def test_a_failed_task_is_a_200(session: aiohttp.ClientSession) -> None:
    """A failure of the task would look like one of the polling."""
    async with Simulator(QUICK) as simulator:
        task_id = await submit(session, simulator, {}, "fail")
        status, body = await poll(session, simulator, task_id)
    assert (status, body["task"]["status"]) == (200, "TASK_STATUS_FAILED")
    assert body["task"]["reason"]


@pytest.mark.parametrize(
    ("query", "simulate", "status", "reason"),
    [
        ("?task_id=unknown", "none", 404, "TASK_NOT_FOUND"),
        ("", "none", 400, "INVALID_REQUEST_BODY"),
        ("?task_id=x", "error", 500, "GET_RESULT_FAILED"),
        ("?task_id=x", "error=429", 429, "RATE_LIMIT_EXCEEDED"),
        ("?task_id=x", "error=403", 403, "INVALID_API_KEY"),
        ("?task_id=x", "bogus", 400, "INVALID_REQUEST_BODY"),
    ],
)
async def test_polling_fails_in_the_documented_ways(
    session: aiohttp.ClientSession, query: str, simulate: str, status: int, reason: str
) -> None:
    """A reconciler could not be tried against the answers that it has to survive."""
    async with (
        Simulator(QUICK) as simulator,
        session.get(simulator.url + RESULT + query, headers={"X-Simulate": simulate}) as response,
    ):
        body = await response.json()
        assert (response.status, body["code"], body["reason"]) == (status, status, reason)
        assert "Retry-After" not in response.headers


async def test_the_first_polls_of_a_task_can_fail(session: aiohttp.ClientSession) -> None:
    """A reconciler that gives up at the first 500, or at a 404 for a task that is only new, would not be caught."""
    async with Simulator(QUICK) as simulator:
        task_id = await submit(session, simulator, {}, "poll-error=2, poll-missing=3, poll-limited")
        statuses = [(await poll(session, simulator, task_id))[0] for _ in range(7)]
    assert statuses == [404, 404, 404, 500, 500, 429, 200]
    assert sum(number for _, number in simulator.ledger.polls) == 7


@pytest.mark.parametrize("retry_after", [None, 3])
async def test_a_429_says_when_to_come_again_only_on_request(
    session: aiohttp.ClientSession, retry_after: int | None
) -> None:
    """A client that needs the header, which the vendor does not document, or one that ignores it, would look right."""
    options = replace(QUICK, polls_per_minute=1, retry_after=retry_after)
    async with Simulator(options) as simulator:
        answers = []
        for _ in range(2):
            async with session.get(simulator.url + RESULT, params={"task_id": "x"}) as response:
                answers.append((response.status, response.headers.get("Retry-After")))
    assert answers == [(404, None), (429, retry_after and str(retry_after))]


async def test_a_page_of_html_is_no_task(session: aiohttp.ClientSession) -> None:
    """A client that takes any 200 for a success would look right."""
    async with Simulator(QUICK) as simulator:
        for path in ("/v3/async/txt2img", "/v3beta/flux-1-schnell"):
            async with session.post(simulator.url + path, json={}, headers={"X-Simulate": "html"}) as response:
                assert (response.status, response.content_type) == (200, "text/html")
        async with session.get(simulator.url + RESULT, headers={"X-Simulate": "html"}) as response:
            assert response.content_type == "text/html"
        assert simulator.ledger.paid == 0


async def test_an_answer_that_is_lost_is_paid_for(session: aiohttp.ClientSession) -> None:
    """A client that submits again after a reset would not be seen to pay twice."""
    async with Simulator(QUICK) as simulator:
        for path in ("/v3/async/txt2img", "/v3beta/flux-1-schnell"):
            with pytest.raises(aiohttp.ClientConnectionError):
                await session.post(simulator.url + path, json={}, headers={"X-Simulate": "reset"})
        assert (simulator.ledger.paid, len(simulator.ledger.tasks())) == (2, 1)


async def test_refusals_vary_as_the_documented_ones_do(session: aiohttp.ClientSession) -> None:
    """A client that branches on one reason, or needs metadata, would look right."""
    seen: set[str] = set()
    bare = 0
    async with Simulator(QUICK) as simulator:
        for number in range(40):
            body = {"request": {"prompt": f"kite {number}"}}
            status, answer = await post(session, simulator, "/v3/async/txt2img", body, {"X-Simulate": "error=400"})
            assert (status, answer["code"]) == (400, 400)
            seen.add(answer["reason"])
            bare += "metadata" not in answer
    assert len(seen) > 5
    assert 0 < bare < 40


async def test_an_error_on_submission_creates_no_task(session: aiohttp.ClientSession) -> None:
    """A client that repeats a failed submission would believe that it made two tasks."""
    async with Simulator(QUICK) as simulator:
        status, body = await post(session, simulator, "/v3/async/upscale", {}, {"X-Simulate": "error"})
        assert (status, body["code"]) == (500, 500)
        assert simulator.ledger.tasks() == []


async def test_rates_apply_where_no_header_says_otherwise(session: aiohttp.ClientSession) -> None:
    """A fault given by flag would do nothing, or strike the task that was to be spared."""
    async with Simulator(replace(QUICK, faults=Faults({"error": 1.0}))) as simulator:
        struck, _ = await post(session, simulator, "/v3/async/txt2img", {})
        spared, _ = await post(session, simulator, "/v3/async/txt2img", {}, {"X-Simulate": "none"})
    assert (struck, spared) == (500, 200)


async def test_an_early_webhook_comes_before_the_answer(session: aiohttp.ClientSession) -> None:
    """The race between webhook and submission, which was observed, could not be tried."""
    async with receiving(0) as receiver, Simulator(QUICK) as simulator:
        submitting = asyncio.create_task(submit(session, simulator, hooked(receiver.url), "before"))
        await receiver.received(1)
        assert not submitting.done()
        receiver.release()
        assert await submitting == receiver.bodies[0]["payload"]["task"]["task_id"]


async def test_an_early_webhook_that_is_lost_holds_nothing_up(session: aiohttp.ClientSession) -> None:
    """A submission would wait forever."""
    async with receiving() as receiver, Simulator(QUICK) as simulator, asyncio.timeout(10):
        await submit(session, simulator, hooked(receiver.url), "before,lost")
    assert receiver.bodies == []


async def test_a_lost_webhook_leaves_the_result_to_be_polled(session: aiohttp.ClientSession) -> None:
    """A lost webhook is what polling is for."""
    async with receiving() as receiver, Simulator(QUICK) as simulator:
        task_id = await submit(session, simulator, hooked(receiver.url), "lost")
        await idle(simulator)
        _, body = await poll(session, simulator, task_id)
    assert (receiver.bodies, body["task"]["status"]) == ([], "TASK_STATUS_SUCCEED")


async def test_a_late_webhook_waits_and_its_task_does_not(session: aiohttp.ClientSession) -> None:
    """A late webhook would be a task that ran longer."""
    async with receiving() as receiver, Simulator(QUICK) as simulator:
        task_id = await submit(session, simulator, hooked(receiver.url), "late=10m")
        _, body = await poll(session, simulator, task_id)
        assert (receiver.bodies, body["task"]["status"]) == ([], "TASK_STATUS_SUCCEED")


async def test_the_contradiction_comes_after_what_it_contradicts(session: aiohttp.ClientSession) -> None:
    """Which of two statements came first would be a matter of chance."""
    async with receiving(500, 200) as receiver, Simulator(QUICK) as simulator:
        await submit(session, simulator, hooked(receiver.url), "contradict")
        await idle(simulator)
    said = [body["payload"]["task"]["status"].removeprefix("TASK_STATUS_") for body in receiver.bodies]
    assert said == ["SUCCEED", "SUCCEED", "FAILED"]


@pytest.mark.parametrize("status", ["TASK_STATUS_SUCCEED", "TASK_STATUS_FAILED"])
async def test_test_mode_sends_the_mock_event_it_was_asked_for(session: aiohttp.ClientSession, status: str) -> None:
    """Test mode would take as long as a generation, or end in its own way."""
    options = replace(QUICK, queue_seconds=600.0)
    async with receiving() as receiver, Simulator(options) as simulator:
        mode = {"enabled": True, "return_task_status": status}
        task_id = await submit(session, simulator, hooked(receiver.url, test_mode=mode))
        await idle(simulator)
        assert simulator.ledger.tasks()[0].asked.mock
    task = receiver.bodies[0]["payload"]["task"]
    assert (task["task_id"], task["status"]) == (task_id, status)


async def test_a_checked_test_mode_fails_the_submission_of_an_unreachable_webhook(
    session: aiohttp.ClientSession,
) -> None:
    """A client that reads that 500 as it is documented could not be tried."""
    options = replace(QUICK, checked_test_mode=True)
    mode = {"enabled": True, "return_task_status": "TASK_STATUS_SUCCEED"}
    async with receiving() as receiver, Simulator(options) as simulator:
        await submit(session, simulator, hooked(receiver.url, test_mode=mode))
        body = hooked("http://127.0.0.1:9/none", test_mode=mode)
        status, answer = await post(session, simulator, "/v3/async/txt2img", body)
        assert (status, answer["reason"], len(simulator.ledger.tasks())) == (500, "CREATE_TASK_FAILED", 1)


async def test_endpoints_that_answer_at_once_make_no_task(session: aiohttp.ClientSession) -> None:
    """A direct answer would be followed by a webhook, or be a task id only."""
    async with Simulator(QUICK) as simulator:
        status, body = await post(session, simulator, "/v3beta/flux-1-schnell", {"prompt": "a kite"})
        assert (status, body["images"][0]["image_url_ttl"], simulator.ledger.tasks()) == (200, 604800, [])
        failed, _ = await post(session, simulator, "/v3/remove-background", {}, {"X-Simulate": "error=429"})
        assert failed == 429


async def test_the_unified_video_api_calls_back(session: aiohttp.ClientSession) -> None:
    """Tasks of the unified API would never be reported."""
    async with receiving() as receiver, Simulator(QUICK) as simulator:
        body = {"model": "wan-2.6", "prompt": "a kite", "callback": receiver.url}
        await post(session, simulator, "/v3/video/create", body)
        await idle(simulator)
    assert "video_url" in receiver.bodies[0]["payload"]["videos"][0]


async def test_the_default_webhook_hears_of_tasks_that_name_none(session: aiohttp.ClientSession) -> None:
    """Endpoints without a webhook field could not be tried with one."""
    async with receiving() as receiver, Simulator(replace(QUICK, default_webhook=receiver.url)) as simulator:
        await submit(session, simulator, {})
        await idle(simulator)
    assert len(receiver.bodies) == 1


@pytest.mark.parametrize("path", ["/v3/async/txt2img", "/v3/seedream-4.0"])
async def test_a_body_that_is_not_json_is_refused(session: aiohttp.ClientSession, path: str) -> None:
    """Bad JSON would make a task, or a 500."""
    async with (
        Simulator(QUICK) as simulator,
        session.post(simulator.url + path, data=b"{") as response,
    ):
        assert (response.status, (await response.json())["reason"]) == (400, "INVALID_REQUEST_BODY")


@pytest.mark.parametrize("header", [{}, {"Authorization": "Bearer wrong"}])
async def test_without_the_right_key_nothing_is_answered(
    session: aiohttp.ClientSession, header: dict[str, str]
) -> None:
    """A client that forgets its key would learn it in production."""
    async with Simulator(replace(QUICK, api_keys=("k1",))) as simulator:
        for path in ("/v3/async/txt2img", "/v3beta/flux-1-schnell"):
            status, body = await post(session, simulator, path, {}, header)
            assert (status, body["reason"]) == (403, "INVALID_API_KEY")
        async with session.get(simulator.url + RESULT, headers=header) as response:
            assert response.status == 403
        status, _ = await post(session, simulator, "/v3/async/txt2img", {}, {"Authorization": "Bearer k1"})
        assert status == 200


async def test_limits_are_counted_apart_for_submissions_and_polls(session: aiohttp.ClientSession) -> None:
    """A client that polls too often would see its submissions refused."""
    options = replace(QUICK, submissions_per_minute=1, polls_per_minute=2)
    async with Simulator(options) as simulator:
        task_id = await submit(session, simulator, {})
        refused, _ = await post(session, simulator, "/v3/async/txt2img", {})
        polls = [(await poll(session, simulator, task_id))[0] for _ in range(3)]
    assert (refused, polls) == (429, [200, 200, 429])


async def test_one_seed_plays_one_scenario_whatever_the_order(session: aiohttp.ClientSession) -> None:
    """A failure seen once could not be seen again."""

    async def play(prompts: list[str]) -> set[tuple[str, tuple[str, ...], str]]:
        options = replace(QUICK, seed=5, faults=Faults({"fail": 0.5, "lost": 0.5}))
        async with Simulator(options) as simulator:
            for prompt in prompts:
                await post(session, simulator, "/v3/async/txt2img", {"request": {"prompt": prompt}})
            return {(task.asked.prompt, task.fate.directives(), task.task_id) for task in simulator.ledger.tasks()}

    prompts = [f"kite {number}" for number in range(12)]
    assert await play(prompts) == await play(prompts[::-1])
