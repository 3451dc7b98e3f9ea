from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Mapping
from typing import Any

import aiohttp
import orjson
import pytest
from yarl import URL

from relay.simulator.chat.apis.api import OPENAI_BASES as BASES
from relay.simulator.options import Options
from relay.simulator.rates import Faults
from relay.simulator.server import Simulator

CHAT = "/openai/v1/chat/completions"
BODY = {"model": "deepseek/deepseek-v3.1", "messages": [{"role": "user", "content": "fly a kite"}]}
STREAM = BODY | {"stream": True}

Headers = Mapping[str, str] | None


@pytest.fixture
async def simulator() -> AsyncIterator[Simulator]:
    async with Simulator(Options()) as simulator:
        yield simulator


async def post(
    session: aiohttp.ClientSession, url: str, body: Any = BODY, headers: Headers = None
) -> tuple[int, str, bytes]:
    async with session.post(url, json=body, headers=headers) as response:
        return response.status, response.content_type, await response.read()


@pytest.mark.parametrize("base", BASES)
async def test_a_chat_is_answered_under_every_base(
    session: aiohttp.ClientSession, simulator: Simulator, base: str
) -> None:
    """Clients with an older base would find nothing."""
    url = f"{simulator.url}{base}/chat/completions"
    status, kind, raw = await post(session, url)
    assert (status, kind, orjson.loads(raw)["object"]) == (200, "application/json", "chat.completion")
    status, kind, raw = await post(session, url, STREAM)
    assert (status, kind) == (200, "text/event-stream")
    assert raw.endswith(b"data: [DONE]\n\n")


@pytest.mark.parametrize("base", BASES)
async def test_the_other_routes_are_there(session: aiohttp.ClientSession, simulator: Simulator, base: str) -> None:
    """A proxy would have nothing to pass through."""
    url = simulator.url + base
    for route, more in (
        ("embeddings", {"input": "a"}),
        ("rerank", {"documents": ["a"]}),
    ):
        status, _, raw = await post(session, f"{url}/{route}", {"model": "baai/bge-m3", **more})
        assert (status, route, orjson.loads(raw)["model"]) == (200, route, "baai/bge-m3")
    async with session.get(f"{url}/models") as response:
        listed = await response.json()
    for model_id in (listed["data"][0]["id"], listed["data"][0]["id"].replace("/", "%2F")):
        async with session.get(f"{url}/models/{model_id}") as response:
            assert await response.json() == listed["data"][0]


@pytest.mark.parametrize("path", ["/openai", "/openai/", "/openai/v1/nothing", "/v3/openai/v1/files", "/v3/openai/x"])
async def test_an_unrouted_path_is_plain_text_and_seen(
    session: aiohttp.ClientSession, simulator: Simulator, path: str
) -> None:
    """A client that expects JSON of every 404 would not be caught, or a test could not know that it was asked."""
    status, kind, raw = await post(session, simulator.url + path)
    assert (status, kind, raw) == (404, "text/plain", b"404 page not found")


@pytest.mark.parametrize(
    ("body", "status", "reason"),
    [
        (BODY | {"model": "org/none"}, 404, "MODEL_NOT_FOUND"),
        (BODY | {"messages": []}, 400, "INVALID_REQUEST_BODY"),
        ({"messages": []}, 400, "INVALID_REQUEST_BODY"),
        ([], 400, "INVALID_REQUEST_BODY"),
    ],
)
async def test_a_request_that_is_wrong_is_refused_in_the_flat_shape(
    session: aiohttp.ClientSession, simulator: Simulator, body: Any, status: int, reason: str
) -> None:
    """The errors of the simulator would not be those that clients meet."""
    got, kind, raw = await post(session, simulator.url + CHAT, body)
    document = orjson.loads(raw)
    assert (got, kind, document["code"], document["reason"]) == (status, "application/json", status, reason)


async def test_messages_are_answered_counted_and_refused_in_their_own_shape(session: aiohttp.ClientSession) -> None:
    """Clients of Anthropic's API would meet OpenAI's half of the upstream."""
    body = {**BODY, "max_tokens": 9, "system": "be brief"}
    async with Simulator(Options(api_keys=("k",))) as simulator:
        for base in ("/anthropic/v1", "/anthropic"):
            url = f"{simulator.url}{base}/messages"
            for key in ({"X-Api-Key": "k"}, {"Authorization": "Bearer k"}):
                status, _, raw = await post(session, url, body, key)
                assert (status, orjson.loads(raw)["type"]) == (200, "message")
            _, kind, raw = await post(session, url, body | {"stream": True}, {"X-Api-Key": "k"})
            assert (kind, raw.startswith(b"event: message_start\n")) == ("text/event-stream", True)
            status, _, raw = await post(session, f"{url}/count_tokens", body, {"X-Api-Key": "k"})
            assert (status, list(orjson.loads(raw))) == (200, ["input_tokens"])
            for key, status, kind in (({"X-Api-Key": "x"}, 401, "authentication_error"), ({}, 403, "permission_error")):
                got, _, raw = await post(session, url, body, key)
                assert (got, orjson.loads(raw)["error"]["type"]) == (status, kind)
        assert (await post(session, f"{simulator.url}/openai/v1/responses", {}, {"X-Api-Key": "k"}))[0] == 403


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/openai/v1/completions", {"prompt": "fly a kite"}),
        ("/openai/v1/responses", {"input": "fly a kite"}),
        ("/anthropic/v1/messages", BODY | {"max_tokens": 100}),
    ],
)
async def test_each_api_fails_as_it_is_asked_to(
    session: aiohttp.ClientSession, simulator: Simulator, path: str, body: Any
) -> None:
    """Faults could be tried on chat completions only."""
    url, body = simulator.url + path, {"model": STREAM["model"], **body, "stream": True}
    assert (await post(session, url, body, {"X-Simulate": "error=503"}))[0] == 503
    _, _, raw = await post(session, url, body, {"X-Simulate": "truncated, at=4"})
    assert raw.count(b"data: ") == 3
    _, _, raw = await post(session, url, body, {"X-Simulate": "error-frame, at=4"})
    assert (raw.count(b"data: "), b"overloaded" in raw) == (4, True)
    with pytest.raises(aiohttp.ClientError):
        await post(session, url, body, {"X-Simulate": "cut, at=2"})


async def test_no_key_and_a_wrong_key_are_told_apart(session: aiohttp.ClientSession) -> None:
    """A client that treats 401 and 403 differently would be tested against one of them only."""
    async with Simulator(Options(api_keys=("k",))) as simulator:
        url = simulator.url + CHAT
        answers = [await post(session, url, BODY, headers) for headers in (None, {"Authorization": "Bearer x"})]
        assert [(status, orjson.loads(raw)["reason"]) for status, _, raw in answers] == [
            (403, "INVALID_API_KEY"),
            (401, "FAILED_TO_AUTH"),
        ]
        assert (await post(session, url, BODY, {"Authorization": "Bearer k"}))[0] == 200
        async with session.get(f"{simulator.url}/openai/v1/models") as response:
            assert response.status == 403


async def test_the_limit_is_reported_without_headers(session: aiohttp.ClientSession) -> None:
    """A client would rely on a ``Retry-After`` that the vendor documents nowhere."""
    async with Simulator(Options(chats_per_minute=1)) as simulator:
        await post(session, simulator.url + CHAT)
        async with session.post(simulator.url + CHAT, json=BODY) as response:
            assert response.status == 429
            assert "Retry-After" not in response.headers


async def test_equal_requests_to_equal_simulators_are_answered_alike(session: aiohttp.ClientSession) -> None:
    """A failed run could not be repeated, and a stream through a proxy not be compared with a direct one."""
    runs = []
    for _ in range(2):
        async with Simulator(Options(seed=4, chat_faults=Faults({"error": 0.3, "truncated": 0.5}))) as simulator:
            runs.append([await post(session, simulator.url + CHAT, STREAM) for _ in range(8)])
    first, second = (
        [(status, [line for line in raw.split(b'"created":') if not line[:10].isdigit()]) for status, _, raw in run]
        for run in runs
    )
    assert first == second
    assert len({status for status, _ in first}) == 2


async def test_faults_are_named_by_the_request(session: aiohttp.ClientSession, simulator: Simulator) -> None:
    """A single request could not be made to fail."""
    url = simulator.url + CHAT
    status, _, raw = await post(session, url, STREAM, {"X-Simulate": "error=503"})
    assert (status, orjson.loads(raw)["reason"]) == (503, "SERVICE_NOT_AVAILABLE")
    _, _, raw = await post(session, url, STREAM, {"X-Simulate": "truncated, at=3"})
    assert raw.count(b"data: ") == 2
    status, _, raw = await post(session, url, STREAM, {"X-Simulate": "vanish"})
    assert (status, b"truncated" in raw) == (400, True)
    with pytest.raises(aiohttp.ClientError):
        await post(session, url, STREAM, {"X-Simulate": "no-answer"})


async def test_a_script_can_be_registered_over_http(session: aiohttp.ClientSession, simulator: Simulator) -> None:
    """A test in another process could not write its own answers."""
    answers = [{"status": 503, "pieces": []}, {"pieces": [{"text": "data: 1\r\r"}]}]
    async with session.post(f"{simulator.url}/_simulator/scripts", json={"answers": answers}) as response:
        script = await response.json()
    headers = {"X-Simulate": f"script={script['id']}"}
    answers = [await post(session, simulator.url + path, {}, headers) for path in (CHAT, "/openai/v1/nothing")]
    assert [(status, raw) for status, _, raw in answers] == [(503, b""), (200, b"data: 1\r\r")]
    async with session.post(f"{simulator.url}/_simulator/scripts", json={"answers": 3}) as response:
        assert response.status == 400
    assert (await post(session, simulator.url + CHAT, BODY, {"X-Simulate": "script=none"}))[0] == 400


async def test_what_was_seen_is_shown(session: aiohttp.ClientSession, simulator: Simulator) -> None:
    """A test could not know what reached the upstream, and whether it was left early."""
    raw = orjson.dumps(STREAM)
    url = URL(f"{simulator.url}{CHAT}?a=%2Fb", encoded=True)
    async with session.post(url, data=raw, headers={"X-Simulate": "hang"}) as response:
        await response.content.readany()
    async with asyncio.timeout(5):
        while simulator.exchanges.open():
            await asyncio.sleep(0.001)
    async with session.get(f"{simulator.url}/_simulator/exchanges") as response:
        [shown] = (await response.json())["exchanges"]
    assert (shown["method"], shown["target"], shown["status"]) == ("POST", f"{CHAT}?a=%2Fb", 200)
    assert (shown["body_bytes"], shown["body_sha256"]) == (len(raw), hashlib.sha256(raw).hexdigest())
    assert shown["outcome"] == "client_gone"
    assert shown["ended_at"] >= shown["started_at"]
    assert shown["headers"]["X-Simulate"] == "hang"


async def test_stopping_ends_the_streams(session: aiohttp.ClientSession) -> None:
    """A stop would wait for a stream that never ends, or call it the client's doing."""
    async with asyncio.timeout(30):
        async with Simulator(Options()) as simulator:
            simulator._runner._shutdown_timeout = 60.0  # which the server grants to what goes on
            response = await session.post(simulator.url + CHAT, json=STREAM, headers={"X-Simulate": "hang"})
            await response.content.readany()
        response.close()
    assert [exchange.outcome for exchange in simulator.exchanges] == ["stopped"]
