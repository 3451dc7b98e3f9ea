"""What the links of the simulator's outputs lead to."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import aiohttp
import pytest
from yarl import URL

from relay.simulator.options import Options
from relay.simulator.server import Simulator
from relay.simulator.tasks.outputs import PATH, content, expires_at
from relay.simulator.tasks.results import TTL_SECONDS, sign

QUICK = Options(queue_seconds=0.0, run_seconds=0.0)


async def output_of(
    session: aiohttp.ClientSession, simulator: Simulator, name: str, directives: str = "none", **extra: Any
) -> str:
    """Submits a task; the link of its output."""
    headers = {"X-Simulate": directives}
    async with session.post(f"{simulator.url}/v3/async/{name}", json={"extra": extra}, headers=headers) as response:
        return await link_of(session, simulator, (await response.json())["task_id"])


async def link_of(session: aiohttp.ClientSession, simulator: Simulator, task_id: str) -> str:
    """Asks for the result of a task; the link of its output."""
    async with session.get(f"{simulator.url}/v3/async/task-result", params={"task_id": task_id}) as response:
        result = await response.json()
    (output,) = [each for kind in ("images", "videos", "audios") for each in result.get(kind, [])]
    return str(next(value for key, value in output.items() if key.endswith("_url")))


@pytest.mark.parametrize(
    ("name", "extra", "media_type", "beginning"),
    [
        ("txt2img", {}, "image/png", b"\x89PNG"),
        ("txt2img", {"response_image_type": "jpeg"}, "image/jpeg", b"\xff\xd8\xff"),
        ("qwen-image-txt2img", {"response_image_type": "webp"}, "image/webp", b"RIFF"),
        ("minimax-hailuo-02", {}, "video/mp4", b"\0\0\0 ftyp"),
        ("minimax-speech-02-hd", {}, "audio/wav", b"RIFF"),
        ("minimax-speech-02-hd", {"response_audio_type": "mp3"}, "audio/mpeg", b"ID3"),
    ],
)
async def test_a_link_leads_to_what_it_promises(
    session: aiohttp.ClientSession, name: str, extra: dict[str, str], media_type: str, beginning: bytes
) -> None:
    """A newcomer's console would show broken pictures, and a downloader could not be tried."""
    async with (
        Simulator(QUICK) as simulator,
        session.get(await output_of(session, simulator, name, **extra)) as response,
    ):
        assert (response.status, response.content_type) == (200, media_type)
        assert (await response.read()).startswith(beginning)


async def test_a_link_that_has_expired_is_refused_and_one_that_never_was_is_missing(
    session: aiohttp.ClientSession,
) -> None:
    """What a client does with a dead link could not be tried."""
    async with Simulator(QUICK) as simulator:
        place = simulator.url + PATH
        long_ago = (time.time_ns() // 1_000_000) - 2 * TTL_SECONDS * 1000
        for url, status, code in (
            (sign(f"{place}/x.png", "s3", long_ago), 403, "AccessDenied"),
            (sign(f"{place}/x.png", "cos", long_ago), 403, "AccessDenied"),
            (f"{place}/x.png?X-Amz-Date=yesterday", 400, "AuthorizationQueryParametersError"),
            (f"{place}/x.exe", 404, "NoSuchKey"),
            (f"{place}/..%2Foutputs.py", 404, "NoSuchKey"),
        ):
            async with session.get(URL(url, encoded=True)) as response:
                assert (response.status, code in await response.text()) == (status, True), url


def test_a_signature_lasts_an_hour() -> None:
    """Links would outlive the time that the events give, or die before it."""
    for how in ("s3", "cos"):
        query = URL(sign("https://x.example/1.png", how, 1_700_000_000_000), encoded=True).query  # type: ignore[arg-type]
        assert expires_at(query) == 1_700_000_000 + TTL_SECONDS
    assert expires_at(URL(sign("https://x.example/1.png", "plain", 0)).query) is None


async def test_an_output_is_as_large_as_its_task_asks_for(session: aiohttp.ClientSession) -> None:
    """Nobody could try how a large file is downloaded, or tell whether it arrived whole."""
    async with Simulator(QUICK) as simulator:
        for size in (10, 1_000_000):
            link = await output_of(session, simulator, "txt2img", f"output-size={size}")
            async with session.get(URL(link, encoded=True)) as response:
                assert await response.read() == b"".join(content(URL(link).name, size))
                assert response.content_length == size


async def test_an_output_breaks_as_often_as_its_task_asks_for(session: aiohttp.ClientSession) -> None:
    """A downloader would only be tried against a source that never fails."""
    async with Simulator(QUICK) as simulator:
        link = URL(await output_of(session, simulator, "txt2img", "output-size=200000, output-broken=3"), encoded=True)
        async with session.get(link) as response:
            assert response.status == 503
        for _ in range(2):
            with pytest.raises(aiohttp.ClientPayloadError):
                async with session.get(link) as response:
                    await response.read()
        async with session.get(link) as response:
            assert len(await response.read()) == 200_000


async def test_a_link_that_ends_early_is_signed_again_by_a_poll(session: aiohttp.ClientSession) -> None:
    """What a downloader does with a link that ends while it waits could not be tried."""
    async with Simulator(QUICK) as simulator:
        old = URL(await output_of(session, simulator, "txt2img", "short-links=1s"), encoded=True)
        (task,) = simulator.ledger.tasks()
        async with asyncio.timeout(10):
            while True:
                async with session.get(old) as response:
                    if response.status == 403:
                        break
        new = URL(await link_of(session, simulator, task.task_id), encoded=True)
        assert (new.path, new.query["X-Amz-Expires"]) == (old.path, "1")
        async with session.get(new) as response:
            assert response.status == 200
